"""Thirty mixed prompts: memory stays, and the last pass makes what the first made."""

import hashlib

import pytest
from harness import graphs

WORKFLOWS, PASSES = 10, 3  # thirty prompts
GROWTH = 0.03  # of the memory after the first pass: a leaked picture of each prompt would be more
STOCK = "CheckpointLoaderSimple"  # its 250 MB text encoder leaves holes in the heap, 120 MB at times


@pytest.mark.skipif(not graphs.names(), reason="no workflows yet")
def test_memory_stays_and_results_repeat(comfy_server, client):
    names = [name for name in graphs.names() if STOCK not in kinds(name)]
    names = [names[i * len(names) // WORKFLOWS] for i in range(WORKFLOWS)]  # spread over all systems
    first = {name: digest(client, name) for name in names}
    before = comfy_server.resident_bytes()
    for name in names * (PASSES - 1):
        assert digest(client, name) == first[name], name
    if before is None:
        pytest.skip("this system does not tell a process's memory")
    assert comfy_server.resident_bytes() <= before * (1 + GROWTH)


def kinds(name: str) -> set[str]:
    return {node["class_type"] for node in graphs.load(name).values()}


def digest(client, name: str) -> str:
    """Run ``name`` and digest the pixels of its pictures; a prompt of another graph has emptied the cache."""
    run = client.run(graphs.light(name))
    assert run.end == "execution_success", f"{name}: {run.error.get('exception_message')}"
    pictures = [client.picture(file) for _, file in run.files() if file["filename"].endswith(".png")]
    return hashlib.sha256(b"".join(picture.tobytes() for picture in pictures)).hexdigest()
