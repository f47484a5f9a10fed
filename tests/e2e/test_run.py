"""Every shipped workflow run in the real server, small: pictures, progress, previews, cache, seeds."""

import io

import numpy as np
import pytest
from harness import graphs
from PIL import Image

each = pytest.mark.parametrize("name", graphs.names())
PICTURES = ("png", "jpg", "jpeg", "webp")
VIDEOS = ("mp4", "webm", "mkv", "gif")
LONG = {"steps", "iterations"}  # inputs of nodes that work for more than a second at their defaults


@pytest.fixture(scope="module")
def first_runs(client):
    """The first run of each workflow, made when first asked for."""
    done = {}

    def run(name: str):
        if name not in done:
            done[name] = client.run(graphs.light(name))
            done[name, "made"] = made(client, done[name])
        return done[name]

    run.made = lambda name: run(name) and done[name, "made"]
    return run


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


@each
def test_it_makes_its_pictures(first_runs, name):
    run = first_runs(name)
    assert run.end == "execution_success", run.error.get("exception_message")
    contents = first_runs.made(name)
    assert contents, "no file came out"
    for place, content in contents.items():
        if place.endswith(PICTURES):
            picture = pixels(content)
            assert min(picture.shape[:2]) >= 32, place
            assert picture.std() > 1, f"{place} is one colour"
        else:
            assert len(content) > 100, place


@each
def test_pictures_have_the_size_asked_for(first_runs, name):
    """Where a graph names one size, a picture it saved has that size, or a whole multiple of it."""
    graph = graphs.light(name)
    sizes = {
        (node["inputs"]["width"], node["inputs"]["height"])
        for node in graph.values()
        if {"width", "height"} <= node["inputs"].keys() and isinstance(node["inputs"]["width"], int)
    }
    if len(sizes) != 1:
        pytest.skip(f"the graph has {len(sizes)} sizes")
    width, height = sizes.pop()
    shapes = [pixels(content).shape for p, content in first_runs.made(name).items() if p.endswith(PICTURES)]
    fitting = [shape for shape in shapes if shape[0] % height == 0 and shape[1] % width == 0]
    assert fitting, f"asked for {width} x {height}, got {shapes}"


@each
def test_it_shows_progress_and_previews(first_runs, name):
    run = first_runs(name)
    graph = graphs.light(name)
    finished = {node for state in run.named("progress_state") for node, s in state["nodes"].items()}
    assert finished, "no progress_state came"
    if not long_nodes(graph):
        pytest.skip("no node of this graph works in steps")
    for node_id in long_nodes(graph):
        bars = [(done, total) for node, done, total in run.progress if node == node_id]
        assert bars and bars[-1][0] == bars[-1][1], f"node {node_id}: {bars}"
        assert [done for done, _ in bars] == sorted(done for done, _ in bars)
        previews = [picture for node, picture in run.previews if node in (node_id, "")]
        assert previews, f"node {node_id} sent no preview"
        assert max(previews[0].size) <= 512


@each
def test_a_second_run_is_all_cached(first_runs, client, name):
    first_runs(name)
    client.run(graphs.light(name))
    again = client.run(graphs.light(name))
    assert again.end == "execution_success"
    assert again.executed == []


@each
def test_the_seed_decides(first_runs, client, name):
    """Another seed, another picture; the first seed, computed anew, the first picture to the last bit."""
    changed = graphs.seeded(graphs.light(name), 1)
    if changed is None:
        pytest.skip("the graph has no seed")
    first = first_runs.made(name)
    other = client.run(changed)
    assert other.end == "execution_success"
    assert not same(made(client, other), first)
    client.free()
    again = client.run(graphs.light(name))
    assert again.executed, "the server had kept its cache, so this would prove nothing"
    assert same(made(client, again), first)
