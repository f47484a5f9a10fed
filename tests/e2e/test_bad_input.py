"""What a user gets wrong is answered in a sentence, and the server stays up."""

import pytest
from harness import graphs
from harness.client import Refused
from harness.models import BROKEN, PICTURES

WIDGETS_AND_ANY = ("COMBO", "INT", "FLOAT", "STRING", "BOOLEAN", "*")
SENTENCES = ("FiguraInputError", "FiguraWeightsError", "FiguraMissingPackage")


def our_nodes() -> list[tuple[str, str, str]]:
    """One place of each of our node types in the shipped workflows: (type, workflow, node id)."""
    places = {}
    for name in graphs.names():
        for node_id, node in graphs.load(name).items():
            if node["class_type"].startswith("Figura"):
                places.setdefault(node["class_type"], (node["class_type"], name, node_id))
    return sorted(places.values())


each_node = pytest.mark.parametrize(("kind", "name", "node_id"), our_nodes())


@pytest.fixture(autouse=True)
def server_stays_up(comfy_server, client):
    yield
    assert comfy_server.alive()
    client.get("/system_stats")


@pytest.fixture
def inputs(object_info, kind) -> dict[str, list]:
    """Name -> [type, options] of all inputs of the node type."""
    declared = object_info[kind]["input"]
    both = {**declared.get("required", {}), **declared.get("optional", {})}
    return {name: [*spec, {}][:2] for name, spec in both.items()}


def refusal(client, graph: dict) -> list[str]:
    """The kinds of errors that a 400 names; empty when the graph was taken (and stopped at once)."""
    try:
        run = client.run(graph)
    except Refused as refused:
        return kinds_of(refused.answer["node_errors"]) or [refused.answer["error"]["type"]]
    if run.node_errors:  # a graph of several outputs runs those that it can
        return kinds_of(run.node_errors)
    assert_is_told(run)
    return []


def kinds_of(node_errors: dict) -> list[str]:
    return [error["type"] for node in node_errors.values() for error in node["errors"]]


def assert_is_told(run) -> None:
    """The run failed in one of our nodes with one of our errors, in words for a user."""
    error = run.error
    assert run.end == "execution_error", run.end
    assert error["exception_type"].rsplit(".")[-1] in SENTENCES, error["exception_message"]
    message = error["exception_message"].strip()
    assert 20 < len(message) < 1500 and "Traceback" not in message


@each_node
def test_a_missing_input_is_named(client, inputs, object_info, kind, name, node_id):
    required = object_info[kind]["input"].get("required", {})
    if not required:
        pytest.skip("the node requires nothing")
    graph = graphs.light(name)
    graph[node_id]["inputs"] = {k: v for k, v in graph[node_id]["inputs"].items() if k not in required}
    assert "required_input_missing" in refusal(client, graph)


@each_node
def test_numbers_out_of_range_are_refused(client, inputs, kind, name, node_id):
    given = graphs.load(name)[node_id]["inputs"]
    numbers = [key for key, (declared, _) in inputs.items() if declared in ("INT", "FLOAT")]
    numbers = [key for key in numbers if not isinstance(given.get(key), list)]
    if not numbers:
        pytest.skip("the node takes no numbers")
    for key in numbers:
        low, high = inputs[key][1]["min"], inputs[key][1]["max"]
        for value, error in ((high + 1, "value_bigger_than_max"), (low - 1, "value_smaller_than_min")):
            graph = graphs.with_input(graphs.light(name), node_id, key, value)
            assert refusal(client, graph) == [error], key


@each_node
def test_a_link_of_the_wrong_type_is_refused(client, inputs, kind, name, node_id):
    sockets = [key for key, (declared, _) in inputs.items() if not isinstance(declared, list)]
    sockets = [key for key in sockets if inputs[key][0] not in WIDGETS_AND_ANY]
    if not sockets:
        pytest.skip("the node has no sockets")
    graph = graphs.light(name)
    graph["9999"] = {"class_type": "StyleModelLoader", "inputs": {"style_model_name": "none"}}
    graph[node_id]["inputs"][sockets[0]] = ["9999", 0]
    assert "return_type_mismatch" in refusal(client, graph)


@each_node
def test_an_unknown_choice_is_told(client, inputs, kind, name, node_id):
    """0.3.64 does not check the choices of V3 nodes, so the node itself must."""
    choices = [key for key, (kind, _) in inputs.items() if isinstance(kind, list) or kind == "COMBO"]
    if not choices:
        pytest.skip("the node has no choices")
    for key in choices:
        client.free()
        graph = graphs.with_input(graphs.light(name), node_id, key, "no such choice/../..")
        assert set(refusal(client, graph)) <= {"value_not_in_list"}, key


@pytest.mark.parametrize(("kind", "name", "node_id"), [place for place in our_nodes() if "Load" in place[0]])
def test_a_broken_file_is_named(comfy_server, client, inputs, kind, name, node_id):
    """Every file that is no model, in every choice that offers it."""
    offered = [(key, broken) for key in inputs for broken in BROKEN if broken in options_of(inputs[key])]
    if not offered:
        pytest.skip("the node offers folders, or nothing from models")
    for key, broken in offered:
        run = client.run(graphs.with_input(graphs.light(name), node_id, key, broken))
        assert_is_told(run)
        message = run.error["exception_message"]
        assert broken.split(".")[0] in message, message
        assert str(comfy_server.base) not in message, message


def options_of(spec: list) -> list:
    kind, options = spec
    return kind if isinstance(kind, list) else options.get("options", []) if kind == "COMBO" else []


def picture_cases() -> list[tuple[str, str]]:
    kinds = {name: {node["class_type"] for node in graphs.load(name).values()} for name in graphs.names()}
    return [(name, picture) for name in kinds if "LoadImage" in kinds[name] for picture in PICTURES]


@pytest.mark.parametrize(("name", "picture"), picture_cases())
def test_odd_pictures_work_or_are_told(client, name, picture):
    """One pixel, grey, palette with transparency: a picture comes out, or one of our nodes says why not."""
    graph = graphs.light(name)
    for node in graph.values():
        if node["class_type"] == "LoadImage":
            node["inputs"]["image"] = picture
    run = client.run(graph)
    if run.end != "execution_success" and run.error["node_type"].startswith("Figura"):
        assert_is_told(run)
