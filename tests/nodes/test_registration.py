"""What ComfyUI and the Manager see of the pack at start-up, and what it costs."""

import importlib.util
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("comfy", reason="no ComfyUI: set COMFYUI_PATH")
ROOT = Path(__file__).resolve().parents[2]
COMFYUI = Path(os.environ["COMFYUI_PATH"])

spec = importlib.util.spec_from_file_location("figura_node_list", Path(__file__).with_name("node_list.py"))
node_list = importlib.util.module_from_spec(spec)
spec.loader.exec_module(node_list)

HEAVY = {"diffusers", "mmpose", "mmcv", "onnxruntime", "accelerate", "cv2"}
CALLS, MEGABYTES = 50_000, 5.0  # 40,264 calls took 0.044 CPU seconds; 0.050 are allowed
MEASURE = Path(__file__).with_name("measure_import.py")


@pytest.fixture(scope="module")
def nodes():
    return node_list.registered()


def test_import_is_cheap_and_clean(tmp_path):
    """In a fresh process with ComfyUI loaded, the bytecode written. Seconds: ``benchmarks/startup.py``."""
    _measure(tmp_path)
    cost = _measure(tmp_path)
    assert not HEAVY & set(cost["modules"]), sorted(HEAVY & set(cost["modules"]))
    assert cost["forbidden"] == []
    assert cost["calls"] <= CALLS
    assert cost["megabytes"] <= MEGABYTES


def _measure(bytecode: Path) -> dict:
    command = [sys.executable, str(MEASURE), str(ROOT), str(COMFYUI), "calls"]
    environment = {**os.environ, "PYTHONPYCACHEPREFIX": str(bytecode)}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


def test_node_list_is_in_step(nodes):
    committed = json.loads(node_list.LIST.read_text(encoding="utf-8"))
    assert committed == node_list.listing(nodes), "run `make nodes`"


def test_saved_workflows_keep_working(nodes):
    frozen = json.loads(node_list.FROZEN.read_text(encoding="utf-8"))
    now = {node_id: node_list.signature(node) for node_id, node in nodes.items()}
    assert node_list.broken(frozen, now) == []
    assert sorted(frozen) == sorted(now), "run `make nodes` to freeze the new nodes too"


@pytest.mark.parametrize(
    "change",
    [
        lambda f: f.pop("A"),
        lambda f: f["A"]["inputs"].reverse(),
        lambda f: f["A"]["inputs"].pop(0),
        lambda f: f["A"]["outputs"].__setitem__(0, "MASK"),
    ],
)
def test_a_breaking_change_is_seen(change):
    frozen = {"A": {"inputs": [["x", "INT"], ["y", "FLOAT"]], "outputs": ["IMAGE"]}}
    now = json.loads(json.dumps(frozen))
    assert node_list.broken(frozen, now) == []
    change(now)
    assert len(node_list.broken(frozen, now)) == 1


def test_ids_are_ours_alone(nodes):
    """No id of ComfyUI's, as its sources write them: a pack's node of that name would be ignored."""
    texts = [COMFYUI / "nodes.py", *(COMFYUI / "comfy_extras").glob("*.py")]
    source = "\n".join(path.read_text(encoding="utf-8") for path in texts)
    core = set(re.findall(r'node_id\s*=\s*"(\w+)"|"(\w+)"\s*:\s*[A-Z]\w+', source))
    assert {"KSampler", "LoadImage"} <= {name for pair in core for name in pair}
    for node_id in nodes:
        assert re.fullmatch(r"Figura[A-Z]\w+", node_id)
        assert node_id not in {name for pair in core for name in pair}


def test_node_ids_are_literals(nodes):
    """The Manager's scanner and people searching the source find them."""
    source = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "nodes").rglob("*.py"))
    for node_id in nodes:
        assert source.count(f'node_id="{node_id}"') == 1, node_id


def test_every_node_is_documented(nodes):
    for node_id, node in nodes.items():
        schema, info = node.GET_SCHEMA(), node.GET_NODE_INFO_V1()
        assert len(schema.description) > 20, f"{node_id} has no description"
        assert re.fullmatch(r"figura/\w+", schema.category), node_id
        assert schema.display_name.isascii() and schema.display_name != node_id, node_id
        for group in ("required", "optional"):
            for name, spec in info["input"].get(group, {}).items():
                assert len(spec) > 1 and spec[1].get("tooltip"), f"{node_id}.{name} has no tooltip"
        assert all(output.tooltip and output.display_name for output in schema.outputs), node_id
        page = ROOT / "web" / "docs" / f"{node_id}.md"
        assert page.is_file() and len(page.read_text(encoding="utf-8").splitlines()) >= 5, page.name


def test_no_help_without_its_node(nodes):
    assert {path.stem for path in (ROOT / "web" / "docs").glob("*.md")} <= set(nodes)


def test_seeds_have_the_whole_range_and_a_control(nodes):
    for node_id, node in nodes.items():
        for item in node.GET_SCHEMA().inputs:
            if item.id in ("seed", "noise_seed"):
                assert (item.min, item.max) == (0, 2**64 - 1), node_id
                assert item.control_after_generate, node_id
