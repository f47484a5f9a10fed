"""Every shipped workflow run in the real server, small: pictures, progress, previews, cache, seeds."""

import io
from pathlib import Path

import numpy as np
import pytest
from harness import graphs
from PIL import Image

PICTURES = ("png", "jpg", "jpeg", "webp")
VIDEOS = ("mp4", "webm", "mkv", "gif")
LONG = {"steps", "iterations"}  # inputs of nodes that work for more than a second at their defaults


class Case:
    """A workflow with its first run and what that made."""

    def __init__(self, client, name: str, output: Path) -> None:
        before = set(output.rglob("*"))
        self.client, self.graph = client, graphs.light(name)
        self.first = client.run(self.graph)
        self.again = client.run(self.graph)
        self.files = made(client, self.first)
        self.written = set(output.rglob("*")) - before


@pytest.fixture(scope="module", params=graphs.names())  # so all tests of one workflow run in a row
def case(request, client, comfy_server) -> Case:
    return Case(client, request.param, comfy_server.base / "output")


def made(client, run) -> dict[str, bytes]:
    """The decoded pixels of every file the run made, by node and place: names change from run to run."""
    contents, counts = {}, {}
    for node_id, file in run.files():
        place = counts[node_id] = counts.get(node_id, -1) + 1
        contents[f"{node_id}/{place}/{file['filename'].rsplit('.')[-1]}"] = client.view(file)
    return contents


def pixels(content: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(content)).convert("RGB"))


def same(a: dict[str, bytes], b: dict[str, bytes]) -> bool:
    """Equal to the last bit: pictures pixel by pixel (files hold the graph too), others byte by byte."""
    if a.keys() != b.keys():
        return False
    for place, content in a.items():
        if place.endswith(PICTURES):
            if not np.array_equal(pixels(content), pixels(b[place])):
                return False
        elif not place.endswith(VIDEOS) and content != b[place]:
            return False
    return True


def long_nodes(graph: dict[str, dict]) -> dict[str, int]:
    """Id -> steps of every node that works in steps, two or more."""
    found = {}
    for node_id, node in graph.items():
        steps = [node["inputs"][key] for key in LONG & node["inputs"].keys()]
        if steps and isinstance(steps[0], int) and steps[0] > 1:
            found[node_id] = steps[0]
    return found


def test_it_makes_its_pictures(case):
    run = case.first
    assert run.end == "execution_success", run.error.get("exception_message")
    contents = case.files
    assert contents or case.written, "no file came out"
    for place, content in contents.items():
        if place.endswith(PICTURES):
            picture = pixels(content)
            assert min(picture.shape[:2]) >= 32, place
            assert picture.std() > 1, f"{place} is one colour"
        else:
            assert len(content) > 100, place


def test_pictures_have_the_size_asked_for(case):
    """Where a graph names one size, a picture it saved has that size, or a whole multiple of it."""
    graph = case.graph
    sizes = {
        (node["inputs"]["width"], node["inputs"]["height"])
        for node in graph.values()
        if {"width", "height"} <= node["inputs"].keys() and isinstance(node["inputs"]["width"], int)
    }
    if len(sizes) != 1:
        pytest.skip(f"the graph has {len(sizes)} sizes")
    width, height = sizes.pop()
    shapes = [pixels(content).shape for p, content in case.files.items() if p.endswith(PICTURES)]
    fitting = [shape for shape in shapes if shape[0] % height == 0 and shape[1] % width == 0]
    assert fitting, f"asked for {width} x {height}, got {shapes}"


def test_it_shows_progress_and_previews(case):
    run = case.first
    graph = case.graph
    finished = {node for state in run.named("progress_state") for node, s in state["nodes"].items()}
    assert finished, "no progress_state came"
    if not long_nodes(graph):
        pytest.skip("no node of this graph works in steps")
    for node_id in long_nodes(graph):
        bars = [(done, total) for node, done, total in run.progress if node == node_id]
        assert bars and bars[-1][0] == bars[-1][1], f"node {node_id}: {bars}"
        steps = [done for done, _ in bars]
        assert all(b >= a or b <= 1 for a, b in zip(steps, steps[1:], strict=False)), steps  # 1: next pass
        previews = [picture for node, picture in run.previews if node in (node_id, "")]
        assert previews, f"node {node_id} sent no preview"
        assert max(previews[0].size) <= 512


def test_a_second_run_is_all_cached(case):
    assert case.again.end == "execution_success"
    assert case.again.executed == []


def test_the_seed_decides(case):
    """Another seed, another picture; the first seed, computed anew, the first picture to the last bit."""
    changed = graphs.seeded(case.graph, 1)
    if changed is None:
        pytest.skip("the graph has no seed")
    other = case.client.run(changed)
    assert other.end == "execution_success"
    assert not same(made(case.client, other), case.files)
    case.client.free()
    again = case.client.run(case.graph)
    assert again.executed, "the server had kept its cache, so this would prove nothing"
    assert same(made(case.client, again), case.files)
