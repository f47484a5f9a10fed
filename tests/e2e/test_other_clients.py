"""A second client, comfy-cli, which converts and checks graphs by itself; and the upload route."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from harness import graphs
from harness.models import draw_person

COMFY = shutil.which("comfy", path=str(Path(sys.executable).parent)) or shutil.which("comfy")


def comfy_run(server, home: Path, workflow: Path) -> dict:
    """What ``comfy run --json`` answers."""
    environment = {**os.environ, "HOME": str(home), "USERPROFILE": str(home), "DO_NOT_TRACK": "1"}
    subprocess.run([COMFY, "--skip-prompt", "tracking", "disable"], env=environment, capture_output=True)
    command = [COMFY, "--skip-prompt", "--where", "local", "run", "--workflow", str(workflow)]
    command += ["--host", "127.0.0.1", "--port", str(server.port), "--wait", "--timeout", "180", "--json"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
    return json.loads(done.stdout.splitlines()[-1])  # after one line per event


@pytest.mark.skipif(COMFY is None, reason="comfy-cli is not installed")
@pytest.mark.parametrize("name", graphs.names()[:1])
def test_comfy_cli_runs_a_workflow(comfy_server, tmp_path, name):
    path = tmp_path / f"{name}.json"
    path.write_text(json.dumps(graphs.light(name)), encoding="utf-8")
    answer = comfy_run(comfy_server, tmp_path, path)
    assert answer["ok"], answer
    path.write_text(json.dumps({"1": {"class_type": "NoSuchNode", "inputs": {}}}), encoding="utf-8")
    assert not comfy_run(comfy_server, tmp_path, path)["ok"]


def test_an_uploaded_picture_can_be_used(client, tmp_path):
    draw_person(3).save(tmp_path / "figura upload.png")
    name = client.upload(tmp_path / "figura upload.png", "figura upload.png")
    graph = {
        "1": {"class_type": "LoadImage", "inputs": {"image": name}},
        "2": {"class_type": "PreviewImage", "inputs": {"images": ["1", 0]}},
    }
    run = client.run(graph)
    assert run.end == "execution_success"
    assert client.picture(run.files()[0][1]).shape == (384, 256, 3)
