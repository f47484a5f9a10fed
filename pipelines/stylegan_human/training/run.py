"""Puts a run together: data, recipe, networks, measurements; then the shared trainer does the rest."""

import json
import logging
from dataclasses import asdict
from typing import Any

import torch

from ...common.processes import rank_and_count
from ...common.progress import console, silent
from ...common.training.loop import TrainResult
from ...common.training.loop import train as train_task
from .aligned_images import open_images
from .configs import TrainConfig, trainer_config
from .image_set import ImageSet
from .measuring import Measuring
from .presets import recipe
from .starting import fresh_networks, resumed_networks
from .task import GanTask

LOG = logging.getLogger(__name__)


def run(config: TrainConfig) -> TrainResult | None:
    """Train as the flags say. Returns None after a dry run.

    Raises:
        FiguraInputError: settings, data or a starting network that cannot be used; see their own modules.
    """
    config.check()
    rank, processes = rank_and_count()
    data = open_images(
        config.data, config.square, config.cond, config.mirror, config.subset, config.seed, config.max_bad
    )
    settled = recipe(config, data.size[0], data.label_dim, processes)
    trainer = trainer_config(config, settled.batch, settled.kimg, processes)
    about = {"system": "stylegan_human", "recipe": _plain(settled), "flags": _plain(config)}
    if config.dry_run:
        print(json.dumps(about | {"trainer": _plain(trainer)}, indent=1))
        return None
    _set_precision(config)
    if config.resume is None:
        networks = fresh_networks(settled, config.seed)
    else:
        networks = resumed_networks(settled, config.seed, config.resume)
    measuring = Measuring(trainer.out, rank == 0, ruler_of(config, data))
    task = GanTask(settled, networks, data, config.seed, config.freezed, measuring, config.nhwc)
    result = train_task(task, trainer, console("training", "sample") if rank == 0 else silent, about)
    if rank == 0:
        print(f"{result.steps * settled.batch / 1000:.1f} kimg in {trainer.out}; {data.bad.report()}")
        if measuring.best is not None:
            name, value, samples = measuring.best
            print(f"best {name} {value:.2f} at {samples / 1000:.1f} kimg: {trainer.out / 'best.safetensors'}")
    return result


def ruler_of(config: TrainConfig, data: ImageSet):
    """The measurement that --metrics and --detector ask for, or None."""
    if config.detector is None or not config.metrics:
        if config.metrics not in ((), ("fid",)):  # asked for, not merely the default
            LOG.warning("--metrics %s: not measured, since no --detector is given.", ",".join(config.metrics))
        return None
    from ...common.feature_distances import feature_network
    from .metrics import DistributionRuler

    network = feature_network(config.detector)
    real = data if config.metric_data is None else open_images(config.metric_data, config.square)
    return DistributionRuler(network, real, config.metrics, config.metric_samples, data.labels, config.seed)


def _set_precision(config: TrainConfig) -> None:
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = config.allow_tf32
    torch.backends.cudnn.benchmark = not config.nobench


def _plain(settings: Any) -> dict:
    return json.loads(json.dumps(asdict(settings), default=str))
