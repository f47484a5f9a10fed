"""The shipped workflows as files: the UI form means the same as the API form, and is fit to be shown.

Nothing here runs a graph; tests/e2e does. The types of stock nodes come from a real ComfyUI's node list.
"""

import json
from pathlib import Path

import pytest
from builder.layout import TITLE
from builder.thumbnail import MOST_BYTES
from harness import graphs
from PIL import Image

NOTES_ONLY = {"MarkdownNote", "Note"}
NO_PICTURE = 4  # standard deviation, of 255, below which a thumbnail shows nothing


def ui(name: str) -> dict:
    return json.loads((graphs.WORKFLOWS / f"{name}.json").read_text(encoding="utf-8"))


def real_nodes(workflow: dict) -> list[dict]:
    return [node for node in workflow["nodes"] if node["type"] not in NOTES_ONLY]


each = pytest.mark.parametrize("name", graphs.names())


def test_folder_holds_each_workflow_once():
    """API form, notes, UI form and thumbnail for every name, and nothing else."""
    expected = graphs.names()
    assert sorted(path.stem for path in graphs.NOTES.glob("*.json")) == expected
    shipped = {path.name for path in graphs.WORKFLOWS.iterdir()}
    assert shipped == {f"{name}{suffix}" for name in expected for suffix in (".json", ".jpg")}
    others = ("example_workflows", "example", "examples", "workflow")
    assert not [folder for folder in others if (graphs.WORKFLOWS.parent / folder).exists()]


@each
def test_ui_form_is_the_api_form(name, object_info):
    """By a converter of the test's own, which reads widgets by their order as the page does."""
    workflow = ui(name)
    origin = {link[0]: [str(link[1]), link[2]] for link in workflow["links"]}
    back = {}
    shipped = {i: {k: v for k, v in node.items() if k != "_meta"} for i, node in graphs.load(name).items()}
    for node in real_nodes(workflow):
        if widgets_changed(node, shipped[str(node["id"])], object_info[node["type"]]):
            del shipped[str(node["id"])]
            continue
        inputs = widget_inputs(node, object_info[node["type"]])
        inputs |= {slot["name"]: origin[slot["link"]] for slot in node["inputs"] if slot["link"] is not None}
        back[str(node["id"])] = {"class_type": node["type"], "inputs": inputs}
    assert back == shipped and len(back) > len(graphs.load(name)) / 2


NEWER = {"CreateVideo", "SaveVideo"}  # stock nodes that 0.33.0 gave other widgets


def widgets_changed(node: dict, entry: dict, info: dict) -> bool:
    """Whether this core's stock node has other widgets than the oldest core's, for which forms are built: a
    new optional one, or one that became a group. The page fills in what is missing.
    """
    given = {name for name, value in entry["inputs"].items() if not isinstance(value, list)}
    plain = {
        name
        for group in ("required", "optional")
        for name, spec in info["input"].get(group, {}).items()
        if isinstance(spec[0], list) or spec[0] in ("COMBO", "INT", "FLOAT", "STRING", "BOOLEAN")
    }
    return node["type"] in NEWER and not given <= plain <= entry["inputs"].keys()


def widget_inputs(node: dict, info: dict) -> dict:
    """Widget values by name; fails when their number is not what the page expects."""
    values = iter(node["widgets_values"])
    named, uploads = {}, False
    for group in ("required", "optional"):
        for name, spec in info["input"].get(group, {}).items():
            kind, options = spec[0], (spec[1] if len(spec) > 1 else {})
            scalar = isinstance(kind, list) or kind in ("COMBO", "INT", "FLOAT", "STRING", "BOOLEAN")
            if not scalar or options.get("forceInput"):
                continue
            named[name] = next(values)
            if kind == "INT" and (name in graphs.SEEDS or options.get("control_after_generate")):
                assert next(values) in ("fixed", "increment", "decrement", "randomize")
            uploads |= any(options.get(key) for key in ("image_upload", "video_upload", "audio_upload"))
        assert not uploads or group != "required" or next(values) == "image"  # the button, after all others
    assert list(values) == [], f"{node['type']} has more widget values than widgets"
    return named


@each
def test_values_are_allowed(name, object_info):
    """Numbers in range and choices in the list, but for file names, which depend on the machine."""
    for node in graphs.load(name).values():
        info = object_info[node["class_type"]]["input"]
        for key, spec in {**info.get("required", {}), **info.get("optional", {})}.items():
            value = node["inputs"].get(key)
            options = spec[1] if len(spec) > 1 else {}
            if isinstance(value, int | float) and not isinstance(value, bool):
                assert options.get("min", value) <= value <= options.get("max", value), f"{key} = {value}"
        missing = info.get("required", {}).keys() - node["inputs"].keys()
        assert not missing, f"{node['class_type']} lacks {missing}"


@each
def test_links_join_what_fits(name):
    workflow = ui(name)
    nodes = {node["id"]: node for node in workflow["nodes"]}
    for link_id, source, out, target, place, kind in workflow["links"]:
        output, slot = nodes[source]["outputs"][out], nodes[target]["inputs"][place]
        assert slot["link"] == link_id and link_id in output["links"]
        assert output["type"] == kind
        assert kind in str(slot["type"]).split(",") or "*" in (kind, slot["type"])
    used = [slot["link"] for node in nodes.values() for slot in node["inputs"] if slot["link"] is not None]
    assert sorted(used) == sorted(link[0] for link in workflow["links"])
    assert workflow["last_node_id"] == max(nodes) and workflow["last_link_id"] == len(workflow["links"])


@each
def test_nodes_name_their_pack(name):
    """With ``cnr_id`` and ``ver`` the Manager can install what a user lacks."""
    for node in real_nodes(ui(name)):
        properties = node["properties"]
        assert properties["Node name for S&R"] == node["type"]
        assert properties["cnr_id"] == ("figura" if node["type"].startswith("Figura") else "comfy-core")
        assert properties["ver"].count(".") == 2


@each
def test_only_our_nodes_and_comfyuis(name, object_info):
    for node in real_nodes(ui(name)):
        module = object_info[node["type"]]["python_module"]
        ours = node["type"].startswith("Figura")
        assert module.startswith("custom_nodes." if ours else ("nodes", "comfy_extras")), node["type"]


@each
def test_models_can_be_fetched(name):
    """Every entry for the page's download offer is whole, and its file is one the node asks for."""
    entries = [
        (node, model) for node in real_nodes(ui(name)) for model in node["properties"].get("models", [])
    ]
    for node, model in entries:
        assert set(model) == {"name", "url", "directory"}
        assert model["url"].startswith("https://") and model["directory"]
        asked = [Path(str(value).replace("\\", "/")).name for value in node["widgets_values"]]
        folders = model["directory"].split("/")  # one of them is the choice, where a model is a folder
        assert {model["name"], *folders} & set(asked), f"{node['type']} asks for {asked}"


@each
def test_note_explains(name):
    notes = [node for node in ui(name)["nodes"] if node["type"] in NOTES_ONLY]
    assert notes and sum(len(str(node["widgets_values"][0])) for node in notes) > 200


@each
def test_nothing_overlaps(name):
    boxes = [(n["type"], *n["pos"], *n["size"]) for n in ui(name)["nodes"]]
    for i, (a, ax, ay, aw, ah) in enumerate(boxes):
        for b, bx, by, bw, bh in boxes[:i]:
            apart = ax >= bx + bw or bx >= ax + aw or ay - TITLE >= by + bh or by - TITLE >= ay + ah
            assert apart, f"{a} lies on {b}"


@each
def test_thumbnail_shows_something(name):
    path = graphs.WORKFLOWS / f"{name}.jpg"
    assert path.stat().st_size <= MOST_BYTES
    with Image.open(path) as picture:
        deviations = [high - low for low, high in picture.convert("RGB").getextrema()]
    assert max(deviations) > NO_PICTURE
