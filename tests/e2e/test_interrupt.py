"""A running prompt stops within two steps when asked to, and the next one runs as if nothing had been.

Steps of tiny models take milliseconds, and a message says nothing of when its step was done. So the steps
count that are told of after the server has answered and twice as long as that took has passed: by then
whatever was under way has arrived, on a quiet machine and on a busy one.
"""

import time

import pytest
from harness import graphs

STEPS = ("steps", "iterations", "joint_steps")
MANY = 300
AFTER = 2  # steps that may still be seen: one under way when the request arrives, one reported meanwhile
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
    told, asked, answered = [], [], []

    def stop_at_first_step(data):
        if str(data["node"]) == node_id:
            told.append((data["value"], time.monotonic()))
            if not asked and data["value"] >= 1:
                asked.append(time.monotonic())
                client.interrupt(data["prompt_id"])
                answered.append(time.monotonic())

    run = client.run(graphs.with_input(graphs.light(name), node_id, key, many), stop_at_first_step)
    assert run.end == "execution_interrupted", run.error.get("exception_message")
    quiet = answered[0] + 2 * (answered[0] - asked[0])
    late = [value for value, when in told if when > quiet]
    assert len(late) <= AFTER and told[-1][0] < many, told
    again = client.run(graphs.light(name))
    assert again.end == "execution_success", again.error.get("exception_message")
