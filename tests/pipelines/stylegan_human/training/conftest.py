"""A folder of small pictures, and settings with which a network learns something in a second."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from comfyui_figura.pipelines.stylegan_human.training.configs import TrainConfig
from PIL import Image


@pytest.fixture(autouse=True)
def one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def write_pictures(folder: Path, count: int = 12, size: tuple[int, int] = (32, 16), seed: int = 0) -> Path:
    """PNG files ``img00.png`` … of (height, width): a bright figure on a dark ground, each a little other."""
    folder.mkdir(parents=True, exist_ok=True)
    source = np.random.RandomState(seed)
    height, width = size
    for index in range(count):
        pixels = source.randint(0, 60, (height, width, 3)).astype(np.uint8)
        pixels[height // 8 : -height // 8, width // 4 : -width // 4] = source.randint(120, 255, 3)
        Image.fromarray(pixels).save(folder / f"img{index:02d}.png")
    return folder


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    return write_pictures(tmp_path / "pictures")


def small_config(data: Path, out: Path, **changes) -> TrainConfig:
    """Four updates of four pictures with a few channels."""
    settings = dict(
        cfg="tiny", cbase=128, cmax=8, zdim=8, map_depth=1, batch=4, kimg=0.016, tick=0.008, snap=1,
        aug="noaug", fp32=True,
    )  # fmt: skip
    config = TrainConfig(data, out, **(settings | changes))
    return replace(config, trainer=replace(config.trainer, cpu=True, log_every=1, workers=0))
