"""The shipped workflows in API form, and the small changes tests make to them."""

import copy
import json
from pathlib import Path

TESTS = Path(__file__).resolve().parents[2]
API = TESTS / "workflows" / "api"
NOTES = TESTS / "workflows" / "notes"
WORKFLOWS = TESTS.parent / "workflows"

MAX_STEPS, MAX_SIDE = 4, 128  # enough to see progress, previews and an interruption; a CPU's patience
SEEDS = ("seed", "noise_seed")


def names() -> list[str]:
    """Names of all shipped workflows, sorted."""
    return sorted(path.stem for path in API.glob("*.json"))


def load(name: str) -> dict[str, dict]:
    """The API form of workflow ``name``, as committed."""
    return json.loads((API / f"{name}.json").read_text(encoding="utf-8"))


def notes(name: str) -> dict:
    """What the UI form adds to ``name``: title, note, models, groups, and the changes for a quick run."""
    path = NOTES / f"{name}.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}


def light(name: str) -> dict[str, dict]:
    """Workflow ``name`` with few steps and small pictures, links and everything else as shipped.

    Sizes of one graph shrink by one factor, so that inputs that must agree still do. What this rule does
    not fit is named in the notes: ``"light": {"<node id>.<input>": value}``.
    """
    graph = load(name)
    factor = _factor(graph)
    for node in graph.values():
        inputs = node["inputs"]
        for key in [key for key in inputs if key.endswith("steps") and isinstance(inputs[key], int)]:
            inputs[key] = min(inputs[key], MAX_STEPS)
        for key in ("width", "height"):
            if isinstance(inputs.get(key), int):
                inputs[key] = max(64, inputs[key] // factor // 64 * 64)
    for place, value in notes(name).get("light", {}).items():
        node_id, key = place.split(".")
        graph[node_id]["inputs"][key] = value
    return graph


def _factor(graph: dict[str, dict]) -> int:
    sides = [node["inputs"].get(key) for node in graph.values() for key in ("width", "height")]
    longest = max((side for side in sides if isinstance(side, int)), default=MAX_SIDE)
    return max(1, longest // MAX_SIDE)


def seeded(graph: dict[str, dict], add: int) -> dict[str, dict] | None:
    """The graph with ``add`` added to every seed; None where it has no seed."""
    graph, found = copy.deepcopy(graph), False
    for node in graph.values():
        for key in SEEDS:
            if isinstance(node["inputs"].get(key), int):
                node["inputs"][key] += add
                found = True
    return graph if found else None


def with_input(graph: dict[str, dict], node_id: str, key: str, value) -> dict[str, dict]:
    """The graph with one input changed."""
    graph = copy.deepcopy(graph)
    graph[node_id]["inputs"][key] = value
    return graph
