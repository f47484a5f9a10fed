"""The server takes the pack, and serves what belongs to it: nodes, help, templates."""

import json
import urllib.error

import pytest
from harness import graphs, pack

OURS = "Figura"


@pytest.fixture(scope="module")
def ours(object_info):
    return {name: info for name, info in object_info.items() if name.startswith(OURS)}


def test_every_listed_node_is_there(object_info):
    listed = json.loads((pack.ROOT / "node_list.json").read_text(encoding="utf-8"))
    assert set(listed) <= set(object_info)
    from_pack = {name for name, info in object_info.items() if pack.FOLDER in info["python_module"]}
    assert from_pack == set(listed)


def test_nodes_bear_description_and_tooltips(ours):
    for name, info in ours.items():
        assert len(info["description"]) > 20, name
        for group in ("required", "optional"):
            for key, (_, options) in ((k, (*v, {})[:2]) for k, v in info["input"].get(group, {}).items()):
                assert options.get("tooltip"), f"{name}.{key} has no tooltip"
        assert all(info["output_tooltips"]) and len(info["output_tooltips"]) == len(info["output"]), name


def test_help_is_served(ours, client):
    for name in ours:
        page = client.get(f"/extensions/{pack.FOLDER}/docs/{name}.md").decode()
        assert len(page.splitlines()) >= 5, name


def test_scripts_are_listed_once(client):
    scripts = [path for path in client.get_json("/extensions") if pack.FOLDER in path]
    shipped = sorted(path.name for path in (pack.ROOT / "web").rglob("*.js"))
    assert sorted(path.rsplit("/", 1)[1] for path in scripts) == shipped
    for path in scripts:
        assert client.get(path)


def test_every_workflow_is_a_template(client):
    listed = client.get_json("/workflow_templates").get(pack.FOLDER, [])
    assert sorted(listed) == graphs.names()


@pytest.mark.parametrize("name", graphs.names())
def test_template_and_thumbnail_answer(client, name):
    shipped = json.loads((graphs.WORKFLOWS / f"{name}.json").read_text(encoding="utf-8"))
    assert client.get_json(f"/api/workflow_templates/{pack.FOLDER}/{name}.json") == shipped
    thumbnail = client.get(f"/api/workflow_templates/{pack.FOLDER}/{name}.jpg")
    assert thumbnail[:2] == b"\xff\xd8" and len(thumbnail) <= 40_000


def test_an_unknown_template_is_not_found(client):
    with pytest.raises(urllib.error.HTTPError, match="404"):
        client.get(f"/api/workflow_templates/{pack.FOLDER}/no_such_workflow.json")


def test_the_pack_starts_quietly(comfy_server):
    """At most one line of the log comes from us (ComfyUI itself adds the line with its import time)."""
    start = comfy_server.log.split("To see the GUI")[0]
    said = [line for line in start.splitlines() if "figura" in line.lower() and " seconds" not in line]
    assert len(said) <= 1, said
