"""A running prompt stops within two steps when asked to, and the next one runs as if nothing had been."""

import pytest
from harness import graphs

STEPS = ("steps", "iterations", "joint_steps")
MANY = 300
AFTER = 2  # steps that may still be seen: one under way when the request arrives, one reported meanwhile
QUICK = {"FiguraStyleGANEditSweep": 20}  # draws a tiny picture in the time that the request travels
AT_ONCE = {"FiguraStyleGANWalk"}  # its steps are rows of numbers: done before anybody could ask


def stepping() -> list[tuple[str, str, str, str]]:
    """For each node type that works in steps, one place: (type, workflow, node id, input)."""
    places = {}
    for name in graphs.names():
        for node_id, node in graphs.load(name).items():
            for key in () if node["class_type"] in AT_ONCE else STEPS:
                if isinstance(node["inputs"].get(key), int) and node["inputs"][key] > 1:
                    places.setdefault(node["class_type"], (node["class_type"], name, node_id, key))
    return sorted(places.values())


@pytest.mark.parametrize(("kind", "name", "node_id", "key"), stepping())
def test_it_stops_within_two_steps(client, object_info, kind, name, node_id, key):
    client.free()  # else the node may come from the cache
    inputs = object_info[kind]["input"]
    options = {**inputs.get("required", {}), **inputs.get("optional", {})}[key][1]
    many = min(MANY, options.get("max", MANY))
    seen, at = [], []

    def stop_at_first_step(data):
        if str(data["node"]) == node_id:
            seen.append(data["value"])
            if not at and data["value"] >= 1:
                client.interrupt(data["prompt_id"])
                at.append(data["value"])

    run = client.run(graphs.with_input(graphs.light(name), node_id, key, many), stop_at_first_step)
    assert run.end == "execution_interrupted", run.error.get("exception_message")
    assert at and max(seen) <= at[0] + QUICK.get(kind, AFTER), seen
    again = client.run(graphs.light(name))
    assert again.end == "execution_success", again.error.get("exception_message")
