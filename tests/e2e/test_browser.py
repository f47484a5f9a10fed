"""Every shipped workflow in the real front end: no red node, and it queues exactly the API form.

Screenshots go to the folder named by ``FIGURA_SCREENSHOTS`` (default: pytest's temporary folder).
"""

import json
import os
from pathlib import Path

import pytest
from harness import browser, graphs, pack

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(browser.chromium() is None, reason="NO CHROMIUM FOUND: set FIGURA_CHROMIUM"),
]


@pytest.fixture(scope="module")
def screenshots(tmp_path_factory, comfy_server) -> Path:
    folder = os.environ.get("FIGURA_SCREENSHOTS")
    return (Path(folder) if folder else tmp_path_factory.mktemp("screenshots")) / comfy_server.install.version


@pytest.fixture(scope="module", params=[False, True], ids=["canvas", "vue"])
def page(request, comfy_server):
    with browser.opened(comfy_server.url, vue_nodes=request.param) as opened:
        opened.renderer = "vue" if request.param else "canvas"
        yield opened


@pytest.mark.parametrize("name", graphs.names())
def test_workflow_opens_and_queues_itself(page, screenshots, name):
    workflow = json.loads((graphs.WORKFLOWS / f"{name}.json").read_text(encoding="utf-8"))
    nodes = page.load(workflow)
    page.show_all()
    page.screenshot(screenshots / f"{name}_{page.renderer}.png")
    assert len(nodes) == len(workflow["nodes"])
    assert [node["type"] for node in nodes if not node["known"] or node["errors"]] == []
    assert page.our_troubles(pack.FOLDER) == []
    queued, shipped = page.prompt(), graphs.load(name)
    assert queued.keys() == shipped.keys()
    for node_id, node in shipped.items():
        assert queued[node_id]["class_type"] == node["class_type"]
        inputs = queued[node_id]["inputs"]
        same = {key: inputs.get(key) for key in node["inputs"]}  # a newer ComfyUI may know more inputs
        assert same == node["inputs"], f"{node['class_type']} ({node_id})"


@pytest.mark.parametrize("name", graphs.names())
def test_sizes_in_the_file_hold_the_widgets(page, name):
    """No node grows when the page opens it, so none covers its neighbour."""
    nodes = page.load(json.loads((graphs.WORKFLOWS / f"{name}.json").read_text(encoding="utf-8")))
    if page.renderer == "vue":
        pytest.skip("the Vue renderer sizes nodes itself; its screenshots are for the eye")
    assert _overlapping(nodes) == []


def _overlapping(nodes: list[dict]) -> list[tuple[str, str]]:
    boxes = [
        (n["type"], *n["pos"], *(max(a, b) for a, b in zip(n["size"], n["least"], strict=True)))
        for n in nodes
    ]
    pairs = [(a, b) for i, a in enumerate(boxes) for b in boxes[:i]]
    return [
        (a[0], b[0])
        for a, b in pairs
        if a[1] < b[1] + b[3] and b[1] < a[1] + a[3] and a[2] - 34 < b[2] + b[4] and b[2] - 34 < a[2] + a[4]
    ]
