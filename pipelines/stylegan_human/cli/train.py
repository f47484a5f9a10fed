"""``figura stylegan train`` and ``measure``: the published scripts' options, on the shared trainer."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from ..training.configs import TrainConfig


@dataclass(frozen=True)
class MeasureConfig:
    """How far networks' pictures are from real ones, in the space of a feature network."""

    networks: tuple[Path, ...]
    """Network files, each measured in turn."""
    data: Path
    """Folder or .zip of the real pictures."""
    detector: str
    """Feature network as module:function: your own code, called without arguments, whose result has
    features(pixels [B, 3, H, W] in [-1, 1]) -> [B, D]. For mannequins:
    .mannequin.reader.reading:load_reader"""
    metrics: tuple[Literal["fid", "kid"], ...] = ("fid",)
    """Frechet distance, kernel distance."""
    samples: int = 50000
    """Pictures generated for each network."""
    square: bool = False
    """Pictures as high as wide."""
    device: str = "auto"
    """cpu, cuda, or auto."""


def train(config: Annotated[TrainConfig, tyro.conf.arg(name="")]) -> None:
    """Train a StyleGAN2 or StyleGAN3 on a folder of aligned pictures."""
    from ..training.run import run

    run(config)


def measure(config: Annotated[MeasureConfig, tyro.conf.arg(name="")]) -> None:
    """Measure Frechet and kernel distance of networks to real pictures."""
    from ...common.processes import find_device
    from ..loading import load_generator
    from ..training.aligned_images import AlignedImages
    from ..training.metrics import DistributionRuler, feature_network

    network = feature_network(config.detector)
    real = AlignedImages(config.data, config.square)
    device = find_device(config.device)
    ruler = DistributionRuler(network, real, config.metrics, config.samples, device=device)
    for path in config.networks:
        figures = ruler(load_generator(path).to(device))
        print(path.name, *(f"{name} {value:.4f}" for name, value in figures.items()), flush=True)
