"""Two processes (gloo) share a measurement, and come to the figures of one."""

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from comfyui_figura.pipelines.demo.stylegan_human import random_generator
from comfyui_figura.pipelines.stylegan_human.configs import tiny
from comfyui_figura.pipelines.stylegan_human.loading import save_generator
from comfyui_figura.pipelines.stylegan_human.training import run as running
from comfyui_figura.pipelines.stylegan_human.training.aligned_images import AlignedImages
from comfyui_figura.pipelines.stylegan_human.training.metrics import DistributionRuler
from comfyui_figura.pipelines.stylegan_human.training.sharing import features_of, from_first

from .conftest import small_config

ROOT = Path(__file__).resolve().parents[4]
EYE = """
import atexit, os, pathlib
import torch

class Eye:
    seen = 0

    def features(self, pixels):
        self.seen += len(pixels)
        return torch.cat([pixels[:, :, 0, 0], pixels[:, :, 16, 8], pixels[:, :, 31, 3]], dim=1)

def load():
    eye, rank = Eye(), os.environ.get("RANK", "alone")
    note = pathlib.Path(__file__).with_name(f"seen_{rank}")
    atexit.register(lambda: note.write_text(str(eye.seen)))
    return eye
"""


@pytest.fixture
def eye(tmp_path, monkeypatch) -> Iterator[Path]:
    """A feature network of the user's own, which leaves a note of how many pictures it has seen."""
    (tmp_path / "eye_of_mine.py").write_text(EYE)
    monkeypatch.syspath_prepend(tmp_path)
    yield tmp_path
    sys.modules.pop("eye_of_mine", None)


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


def in_two(eye: Path, words: list[object]) -> list[str]:
    """The command line in two processes, as accelerate launch would start them; what each prints."""
    group = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port())}
    group |= {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(eye)}
    run = [
        subprocess.Popen(
            [sys.executable, "-m", "pipelines", "stylegan", *map(str, words)], cwd=ROOT, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            env=os.environ | group | {"RANK": str(rank), "LOCAL_RANK": str(rank)},
        )
        for rank in range(2)
    ]  # fmt: skip
    ends = [process.communicate(timeout=900) for process in run]
    assert all(process.returncode == 0 for process in run), "".join(errors for _, errors in ends)[-3000:]
    return [shown for shown, _ in ends]


def seen(eye: Path) -> list[int]:
    return [int((eye / f"seen_{rank}").read_text()) for rank in range(2)]


def test_a_run_in_two_processes_measures_once(pictures, eye):
    """Labelled; the 200 generated pictures are pieces of 64, 64, 64 and 8, the 12 real ones a single piece,
    so that the second process looks at none of them. Both networks are as they start, hence equal.
    """
    names = sorted(path.name for path in pictures.glob("*.png"))
    labels = [[name, index % 3] for index, name in enumerate(names)]
    (pictures / "dataset.json").write_text(json.dumps({"labels": labels}))
    alone = small_config(
        pictures, eye / "alone", kimg=0.004, cond=True, mbstd_group=2, metrics=("fid", "kid", "pr"),
        metric_samples=200, detector="eye_of_mine:load",
    )  # fmt: skip
    running.run(alone)
    flags = (
        "--cfg tiny --cbase 128 --cmax 8 --zdim 8 --map-depth 1 --batch 4 --kimg 0.004 --tick 0.008 --snap 1"
    )
    flags += " --aug noaug --fp32 --cond --mbstd-group 2 --metrics fid,kid,pr --metric-samples 200"
    flags += " --detector eye_of_mine:load --trainer.cpu --trainer.log-every 1 --workers 0"
    in_two(eye, ["train", "--data", pictures, "--outdir", eye / "two", *flags.split()])
    one, two = (
        [json.loads(line) for line in (eye / name / "log.jsonl").read_text().splitlines()]
        for name in ("alone", "two")
    )
    assert one[0] == two[0] and {"fid", "kid", "precision", "recall"} < set(two[0])
    assert [line["step"] for line in two if "fid" in line] == [0, 1]
    assert seen(eye) == [12 + 2 * (64 + 64), 2 * (64 + 8)], "first at the start, then after the update"


def test_measure_in_two_processes(pictures, eye):
    network = random_generator(tiny(2, 32))
    save_generator(eye / "a.safetensors", network)
    words = ["--networks", eye / "a.safetensors", "--data", pictures, "--detector", "eye_of_mine:load"]
    first, second = in_two(eye, ["measure", *words, "--samples", 70, "--device", "cpu"])
    ruler = DistributionRuler(eye_here(), AlignedImages(pictures), ("fid",), 70)
    assert first.split() == ["a.safetensors", "fid", f"{ruler(network)['fid']:.4f}"]
    assert second == "" and seen(eye) == [12 + 64, 6]


def eye_here():
    import eye_of_mine

    return eye_of_mine.Eye()


def test_alone_every_piece_is_looked_at():
    pieces = [torch.arange(2.0), torch.arange(2.0, 3)]
    found = features_of(pieces, [2, 1], lambda piece: piece[:, None] * 2, torch.device("cpu"))
    assert np.array_equal(found, [[0], [2], [4]])
    assert from_first(lambda: {"fid": 1.0}, torch.device("cpu")) == {"fid": 1.0}
