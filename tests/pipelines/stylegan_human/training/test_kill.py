"""SIGKILL at random moments of real runs, alone and in two processes (gloo).

Each start costs seconds, so they run only where ``FIGURA_KILLS`` says how many blows to survive; the suite's
own ``test_run.py`` cuts a run short in one process. Two processes also check that they agree: running means
and the strength of augmentation are averaged over them.
"""

import json
import os
import random
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[4]
KILLS = int(os.environ.get("FIGURA_KILLS") or 0)
STEPS = 48

pytestmark = pytest.mark.skipif(not KILLS, reason="FIGURA_KILLS is not set")


def start(data: Path, out: Path, processes: int) -> list[subprocess.Popen]:
    """One run of the command line, as accelerate launch would start its processes."""
    flags = f"--data {data} --outdir {out} --cfg shhq --cbase 128 --cmax 8 --zdim 8 --map-depth 1 --batch 4"
    flags += f" --mbstd-group 1 --batch-gpu 1 --kimg {STEPS * 4 / 1000} --tick 0.016 --snap 1 --fp32 --mirror"
    flags += " --augpipe bgcfnc --trainer.cpu --trainer.log-every 5"
    shared = {"WORLD_SIZE": str(processes), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port())}
    return [
        subprocess.Popen(
            [sys.executable, "-m", "pipelines", "stylegan", "train", *flags.split()], cwd=ROOT, text=True,
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
            env=os.environ | {"OMP_NUM_THREADS": "1"}
            | (shared | {"RANK": str(rank), "LOCAL_RANK": str(rank)} if processes > 1 else {}),
        )
        for rank in range(processes)
    ]  # fmt: skip


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


def finish(run: list[subprocess.Popen]) -> None:
    errors = "".join(process.communicate(timeout=900)[1] for process in run)
    assert all(process.returncode == 0 for process in run), errors[-3000:]


def checkpoints(out: Path) -> list[str]:
    return sorted(path.name for path in (out / "checkpoints").glob("step_*"))


def result(out: Path) -> dict[str, bytes]:
    folder = out / "checkpoints" / f"step_{STEPS:08d}"
    return {path.name: path.read_bytes() for path in [*folder.iterdir(), out / "log.jsonl"]}


@pytest.mark.parametrize("processes", [1, 2])
def test_killed_runs_end_bit_identically(pictures, tmp_path, processes):
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    finish(start(pictures, whole, processes))
    chance, kills = random.Random(processes), 0
    while kills < KILLS and f"step_{STEPS:08d}" not in checkpoints(killed):
        before, running = checkpoints(killed), start(pictures, killed, processes)
        while checkpoints(killed) == before and running[0].poll() is None:
            time.sleep(0.01)
        time.sleep(chance.uniform(0, 0.5))
        kills += running[0].poll() is None
        for process in running:
            process.kill()
            process.communicate()
    finish(start(pictures, killed, processes))
    assert kills
    assert result(killed) == result(whole)
    state = json.loads((killed / "checkpoints" / f"step_{STEPS:08d}" / "state.json").read_text())
    assert state["processes"] == processes and state["task"]["path_mean"] > 0
