"""``figura stylegan train`` and ``measure``: the published scripts' options, on the shared trainer."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from ..training.configs import TrainConfig
from ..training.flag_words import MetricNames
from ..training.metric_names import check_samples


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
    metrics: MetricNames = ("fid",)
    """fid (Frechet distance), kid (kernel distance), pr (precision and recall), or the published names, such
    as fid50k_full."""
    samples: int = 50000
    """Pictures generated for each network; the published names generate 50000."""
    square: bool = False
    """Pictures as high as wide."""
    device: str = "auto"
    """cpu, cuda, or auto."""


def train(config: Annotated[TrainConfig, tyro.conf.arg(name="")]) -> None:
    """Train a StyleGAN2 or StyleGAN3 on a folder of aligned pictures."""
    from ..training.run import run

    run(config)


def measure(config: Annotated[MeasureConfig, tyro.conf.arg(name="")]) -> None:
    """Measure how far networks are from real pictures: Frechet and kernel distance, precision and recall."""
    from ...common.feature_distances import feature_network
    from ...common.processes import find_device, rank_and_count
    from ..loading import load_generator
    from ..training.aligned_images import open_images
    from ..training.metrics import DistributionRuler

    check_samples(config.metrics, config.samples, "--samples")
    network = feature_network(config.detector)
    real = open_images(config.data, config.square)
    device = find_device(config.device)
    rank, processes = rank_and_count()
    if processes > 1:
        from accelerate import PartialState

        PartialState(cpu=device.type == "cpu")  # forms the group that shares the work
    ruler = DistributionRuler(network, real, config.metrics, config.samples)
    for path in config.networks:
        figures = ruler(load_generator(path).to(device))
        if rank == 0:
            print(path.name, *(f"{name} {value:.4f}" for name, value in figures.items()), flush=True)
