"""Thirty mixed prompts: memory stays, and the last pass makes what the first made."""

import hashlib

import pytest
from harness import graphs

WORKFLOWS, PASSES = 10, 3  # thirty prompts
GROWTH = 0.10  # of the memory after the first pass; allocators keep some, a leaked model would be more


@pytest.mark.skipif(not graphs.names(), reason="no workflows yet")
def test_memory_stays_and_results_repeat(comfy_server, client):
    names = graphs.names()
    names = names[:: max(1, len(names) // WORKFLOWS)][:WORKFLOWS]  # spread over all systems
    first = {name: digest(client, name) for name in names}
    before = comfy_server.resident_bytes()
    for _ in range(1, PASSES):
        for name in names:
            assert digest(client, name) == first[name], name
    if before is None:
        pytest.skip("this system does not tell a process's memory")
    assert comfy_server.resident_bytes() <= before * (1 + GROWTH)


def digest(client, name: str) -> str:
    """Run ``name`` and digest the pixels of its pictures; a prompt of another graph has emptied the cache."""
    run = client.run(graphs.light(name))
    assert run.end == "execution_success", f"{name}: {run.error.get('exception_message')}"
    pictures = [client.picture(file) for _, file in run.files() if file["filename"].endswith(".png")]
    return hashlib.sha256(b"".join(picture.tobytes() for picture in pictures)).hexdigest()
