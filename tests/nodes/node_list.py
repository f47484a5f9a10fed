"""Write node_list.json (for the Manager's scanner) and frozen_nodes.json (the promise not to break graphs).

Run from the repository root: ``make nodes``, or ``python tests/nodes/node_list.py``. What would break
saved workflows (an id, an input or an output gone, moved or of another type) is refused; ``--rewrite``
forces it and is for nodes that were never in a release.
"""

import argparse
import asyncio
import json
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
LIST, FROZEN = ROOT / "node_list.json", HERE / "frozen_nodes.json"


def registered() -> dict[str, type]:
    """Node classes by id, as the entry point gives them to ComfyUI."""
    import comfyui_figura

    extension = asyncio.run(comfyui_figura.comfy_entrypoint())
    return {node.GET_SCHEMA().node_id: node for node in asyncio.run(extension.get_node_list())}


def listing(nodes: dict[str, type]) -> dict[str, str]:
    """Id -> display name, sorted."""
    return {node_id: nodes[node_id].GET_SCHEMA().display_name for node_id in sorted(nodes)}


def signature(node: type) -> dict[str, list]:
    """What a saved workflow relies on: inputs in order as [name, type], outputs as types."""
    info = node.GET_NODE_INFO_V1()
    inputs = [
        [name, "COMBO" if isinstance(spec[0], list) else spec[0]]
        for group in ("required", "optional")
        for name, spec in info["input"].get(group, {}).items()
    ]
    return {"inputs": inputs, "outputs": list(info["output"])}


def broken(frozen: dict[str, dict], now: dict[str, dict]) -> list[str]:
    """Sentences naming what of ``frozen`` does not hold any more. Appending at the end breaks nothing."""
    wrongs = [f"{node_id} is gone" for node_id in frozen if node_id not in now]
    for node_id in frozen.keys() & now.keys():
        for part in ("inputs", "outputs"):
            then, today = frozen[node_id][part], now[node_id][part]
            if today[: len(then)] != then:
                wrongs.append(f"{node_id}: {part} were {then}, are {today}")
    return sorted(wrongs)


def main() -> int:
    """Write both files; 1 when that would break saved workflows."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rewrite", action="store_true", help="break the promise (never after a release)")
    rewrite = parser.parse_args().rewrite
    sys.path.insert(0, str(HERE.parent))
    import conftest  # noqa: F401  loads the pack as ComfyUI does

    nodes = registered()
    now = {node_id: signature(nodes[node_id]) for node_id in sorted(nodes)}
    frozen = json.loads(FROZEN.read_text(encoding="utf-8")) if FROZEN.is_file() else {}
    if not rewrite and (wrongs := broken(frozen, now)):
        sys.stderr.write("\n".join(["Saved workflows would break:", *wrongs]) + "\n")
        return 1
    LIST.write_text(json.dumps(listing(nodes), indent=2) + "\n", encoding="utf-8")
    lines = [f"  {json.dumps(node_id)}: {json.dumps(now[node_id])}" for node_id in now]
    FROZEN.write_text("{\n" + ",\n".join(lines) + "\n}\n" if lines else "{}\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
