"""Write workflows/<name>.json (and .jpg) from api/<name>.json and notes/<name>.json beside this file.

Run from the repository root, with the names of workflows or none for all:

    make workflows                                  the .json files of all; starts a ComfyUI for its node list
    .venv/bin/python tests/workflows/build.py NAME… the same for some
    … build.py --pictures NAME…                     also run them there on tiny models, for the thumbnails
    … build.py --object-info saved.json NAME…       no server: node list as saved from /object_info

Widgets that an API form leaves out are added to it with their defaults, so that both forms say the same.

The notes file of a workflow holds

    {"title": "…",                                  one line, for people
     "note": ["Markdown", "lines"],                 shown in the graph
     "models": {"<node id>": [{"name": "…", "url": "…", "directory": "…"}]},   for the page's download offer
     "groups": {"Models": ["1", "2"], …},           optional; default by what the nodes do
     "control": {"<node id>.seed": "increment"},    optional; default "randomize"
     "thumbnail": "another workflow's name",       optional; for a graph that makes no picture
     "light": {"<node id>.<input>": 4}}             optional; changes for the quick run of the tests
"""

import argparse
import json
import sys
import tempfile
from pathlib import Path

import tomllib

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
sys.path.insert(0, str(HERE.parent))

import conftest  # noqa: E402, F401  loads the pack and makes `harness` and `builder` importable
from builder.nodes import completed  # noqa: E402
from builder.thumbnail import thumbnail  # noqa: E402
from builder.ui_form import build  # noqa: E402
from harness import graphs, install  # noqa: E402
from harness.client import Client  # noqa: E402
from harness.session import serving  # noqa: E402

OLDEST_COMFYUI = "0.3.64"


def write(name: str, object_info: dict) -> None:
    """Write the UI form of workflow ``name``."""
    graph, notes = graphs.load(name), graphs.notes(name)
    if (whole := completed(graph, object_info)) != graph:
        (graphs.API / f"{name}.json").write_text(json.dumps(whole, indent=2) + "\n", encoding="utf-8")
    notes["note"] = "\n".join(notes["note"])
    pyproject = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    versions = {"figura": pyproject["project"]["version"], "comfy-core": OLDEST_COMFYUI}
    workflow = build(name, whole, notes, object_info, versions)
    text = json.dumps(workflow, indent=1, ensure_ascii=False)
    (graphs.WORKFLOWS / f"{name}.json").write_text(text + "\n", encoding="utf-8")


def write_picture(name: str, client: Client) -> None:
    """Run workflow ``name`` small and make its thumbnail from what came out."""
    name_of_picture = graphs.notes(name).get("thumbnail", name)
    run = client.run(graphs.light(name_of_picture))
    if run.end != "execution_success":
        raise RuntimeError(f"{name}: {run.error.get('exception_message', run.end)}")
    pictures = [client.picture(file) for _, file in run.files() if file["filename"].endswith(".png")]
    (graphs.WORKFLOWS / f"{name}.jpg").write_bytes(thumbnail(pictures, graphs.notes(name)["title"]))


def main() -> None:
    """Parse the command line and write."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", default=[])
    parser.add_argument("--pictures", action="store_true")
    parser.add_argument("--object-info", type=Path)
    options = parser.parse_args()
    names = options.names or graphs.names()
    graphs.WORKFLOWS.mkdir(exist_ok=True)
    if options.object_info:
        object_info = json.loads(options.object_info.read_text(encoding="utf-8"))
        return [write(name, object_info) for name in names] and None
    found = install.find() or sys.exit("no ComfyUI: set COMFYUI_PATH")
    with tempfile.TemporaryDirectory() as base, serving(found, Path(base)) as server:
        client = Client(server.url)
        object_info = client.object_info()
        for name in names:
            write(name, object_info)
            if options.pictures:
                write_picture(name, client)


if __name__ == "__main__":
    main()
