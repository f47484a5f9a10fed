"""SIGKILL at random moments: a run resumed after any number of them ends exactly as one that was left alone.

``FIGURA_KILLS`` sets how many kills each case survives (the suite's own number is small, for its time).
"""

import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from comfyui_figura.pipelines.common.training.order import indices_of
from comfyui_figura.pipelines.common.weights import load_state_dict

PROGRAM = Path(__file__).with_name("regression.py")
KILLS = int(os.environ.get("FIGURA_KILLS") or 2)
LONGEST = 300 + 60 * KILLS  # seconds for one run on a busy machine; longer ones have more updates
CASES = [(1, True), (2, True), (2, False)][: 3 if "FIGURA_KILLS" in os.environ else 2]
RUN = dict(
    steps=20 * (KILLS + 1),  # room for every blow
    batch=8,
    checkpoint_every=4,
    sample_every=0,
    log_every=5,
    measure_every=7,
)


def start(out: Path, processes: int, **task) -> list[subprocess.Popen]:
    """A run of the little task."""
    settings = json.dumps({**RUN, "out": str(out), "task": {"pause": 0.02, **task}})
    return launch(PROGRAM, settings, processes)


def launch(program: Path, argument: str, processes: int) -> list[subprocess.Popen]:
    """The processes of one run, with what a launcher would tell them (a launcher would outlive the blow)."""
    shared = {"WORLD_SIZE": str(processes), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port())}
    return [
        subprocess.Popen(
            [sys.executable, str(program), argument],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=os.environ | (shared | {"RANK": str(rank), "LOCAL_RANK": str(rank)} if processes > 1 else {}),
        )
        for rank in range(processes)
    ]


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


def finish(run: list[subprocess.Popen]) -> None:
    try:
        errors = "".join(process.communicate(timeout=LONGEST)[1] for process in run)
    finally:
        for process in run:  # none outlives the test
            process.kill()
    assert all(process.returncode == 0 for process in run), errors


def result(out: Path) -> dict[str, bytes]:
    folder = out / "checkpoints" / f"step_{RUN['steps']:08d}"
    kept = {path.name: path.read_bytes() for path in folder.iterdir()}
    return {**kept, "log": (out / "log.jsonl").read_bytes(), "finished": (out / "finished.json").read_bytes()}


def checkpoints(out: Path) -> list[str]:
    return sorted(path.name for path in (out / "checkpoints").glob("step_*"))


@pytest.mark.parametrize(("processes", "wrapped"), CASES)
def test_killed_and_resumed_runs_are_bit_identical(tmp_path, processes, wrapped):
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    finish(start(whole, processes, wrapped=wrapped))
    chance = random.Random(processes)
    kills = 0
    for _ in range(KILLS):
        before = checkpoints(killed)
        running = start(killed, processes, wrapped=wrapped)
        while checkpoints(killed) == before and running[0].poll() is None:
            time.sleep(0.01)  # until it has got a little further than the one before
        time.sleep(chance.uniform(0, 0.25))
        kills += running[0].poll() is None
        for process in running:
            process.kill()
            process.communicate()
    finish(start(killed, processes, wrapped=wrapped))
    assert kills == KILLS, "the run was over before the blows fell"
    assert result(killed) == result(whole)


def test_a_polite_stop_saves_first(tmp_path):
    running = start(tmp_path, 1, pause=0.05)
    process = running[0]
    while not checkpoints(tmp_path) and process.poll() is None:
        time.sleep(0.01)
    process.send_signal(signal.SIGTERM)
    finish(running)
    steps = [
        json.loads((path / "state.json").read_text())["step"]
        for path in (tmp_path / "checkpoints").glob("step_*")
    ]
    assert 4 <= max(steps) < RUN["steps"]
    finish(start(tmp_path, 1))
    assert f"step_{RUN['steps']:08d}" in checkpoints(tmp_path)


def test_a_bad_batch_is_named_whole_by_two_processes(tmp_path):
    settings = {"out": str(tmp_path), "steps": 3, "batch": 8, "sample_every": 0, "task": {"bad": [1]}}
    finish(launch(PROGRAM, json.dumps(settings), 2))
    (line,) = [json.loads(text) for text in (tmp_path / "bad_batches.jsonl").read_text().splitlines()]
    names = [str(i) for i in indices_of(0, 1, 8, 37)]
    assert line == {"step": 1, "names": names, "applied": [], "skipped": ["one", "two"]}


def test_a_sharded_run_saves_whole_weights_and_resumes_bit_identically(tmp_path):
    """FSDP2, two networks with an optimiser each: the second half again, from the first's checkpoint."""
    settings = {"out": str(tmp_path), "steps": 12, "batch": 8, "checkpoint_every": 6, "sample_every": 0}
    last, saved = tmp_path / "checkpoints" / "step_00000012", []
    for _ in range(2):
        finish(launch(Path(__file__).with_name("sharded.py"), json.dumps(settings), 2))
        saved.append({path.name: path.read_bytes() for path in last.iterdir()})
        weights = load_state_dict(last / "weights.safetensors")
        averages = load_state_dict(last / "averages.safetensors")
        shutil.rmtree(last)
    assert saved[0] == saved[1] and len(saved[0]) == 5
    assert weights["one.0.weight"].shape == averages["one.0.weight"].shape == (8, 4), "a shard, not the whole"
    assert not weights["one.0.weight"].equal(averages["one.0.weight"])
