"""Pictures from prompts by a base of any size; the standalone side of the Base Loader."""

from collections.abc import Iterator
from pathlib import Path

import torch

from ..common import base_model
from ..common.captioned import draw_captions
from ..common.files import check_folder
from ..common.images import to_image
from ..common.picture_files import file_name, write_picture
from ..common.processes import find_device, share
from ..common.progress import Progress, silent
from ..common.seeds import batch_seeds
from .configs import GenerateConfig

BATCH = 16


def run(config: GenerateConfig, progress: Progress = silent) -> Iterator[Path]:
    """Draw every prompt; yields each picture's file as it is written. Shares the work of ``accelerate``."""
    config.check()
    check_folder(config.outdir, "outdir")
    prompts = [prompt for prompt in config.prompts for _ in range(config.images)]
    seeds = batch_seeds(config.seed, len(prompts))
    path = base_model.find(config.base_path, "base", "figura base new makes a tiny one.")
    base = base_model.open_base(path, unet=True).to(find_device(config.device), torch.float32, torch.float32)
    assert base.unet is not None
    base.check_least(*config.size)
    groups = [range(first, min(first + BATCH, len(prompts))) for first in range(0, len(prompts), BATCH)]
    for _, group in share(groups):  # the same pictures stand together, however many processes there are
        pictures = draw_captions(
            base.unet, base.encoders, base.vae, [prompts[index] for index in group],
            [seeds[index] for index in group], size=config.size, guidance=config.scale, steps=config.steps,
            negative=config.negative, sampler=config.sampler, schedule=base.scheduler,
        )  # fmt: skip
        for index, image in zip(group, to_image(pictures), strict=True):
            file = config.outdir / file_name(index, prompts[index])
            image = image.repeat_interleave(config.enlarge, 0).repeat_interleave(config.enlarge, 1)
            write_picture(file, image, _settings(config, prompts[index], seeds[index]))
            yield file
        progress(group.stop, len(prompts))


def _settings(config: GenerateConfig, prompt: str, seed: int) -> str:
    height, width = config.size
    return (
        f"{prompt}\nNegative prompt: {config.negative}\nSteps: {config.steps}, Sampler: {config.sampler}, "
        f"CFG scale: {config.scale}, Seed: {seed}, Size: {width}x{height}, Model: {config.base_path.name}"
    )
