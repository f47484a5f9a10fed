"""CosmicMan's pictures from prompts, on diffusers: one pass, or two (section 2 of the released scripts).

The second pass denoises the first one's latents again with SDXL's refiner or base; here it is seeded.
"""

import logging
from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor

from ..common import diffusion, text
from ..common.errors import FiguraInputError
from ..common.files import check_folder
from ..common.images import to_image
from ..common.least_size import check_least, levels_of
from ..common.picture_files import file_name, write_picture
from ..common.processes import share
from ..common.progress import Progress, silent
from ..common.seeds import batch_seeds
from . import configs, recipe
from .configs import GenerateConfig
from .passes import CosmicMan, Pass, load

log = logging.getLogger(__name__)


def check(config: GenerateConfig) -> None:
    """Refuse what cannot be drawn, before any file is opened."""
    config = configs.with_defaults(config)
    if not config.prompts:
        raise FiguraInputError(
            "prompts", "none", "one or more", 'For example: --prompts "a fit woman in a coat"'
        )
    for name, size in (("H", config.H), ("W", config.W)):
        if size < 64 or size > 4096 or size % 8:
            near = max(64, min(4096, round(size / 8) * 8))
            raise FiguraInputError(name, str(size), "a multiple of 8 from 64 to 4096", f"Take {near}.")
    for name, value, low in (
        ("steps", config.steps, 1),
        ("images", config.images, 1),
        ("scale", config.scale, 0),
    ):
        if not low <= value <= 1000:
            raise FiguraInputError(name, str(value), f"a number from {low} to 1000")
    if config.sampler not in diffusion.SAMPLERS:
        raise FiguraInputError("sampler", repr(config.sampler), f"one of {', '.join(diffusion.SAMPLERS)}")
    batch_seeds(config.seed, 1)


def full_prompt(prompt: str, a_prompt: str, released_commas: bool = False) -> str:
    """The prompt with the added one after a comma; the released script adds the comma to nothing, too."""
    return f"{prompt}, {a_prompt}" if a_prompt or released_commas else prompt


@torch.no_grad()
def draw(
    model: CosmicMan,
    prompt: str,
    negative: str,
    seeds: list[int],
    size: tuple[int, int],
    progress: Progress = silent,
) -> Tensor:
    """Draw one picture per seed: IMAGE [B, height, width, 3]. Picture i depends on ``seeds[i]`` alone.

    Raises: FiguraInputError where ``size`` (height, width) is too small for a tiny model.
    """
    unets = [one.unet for one in (model.first, model.second) if one is not None]
    check_least(size[1], size[0], [*(levels_of(unet, 8) for unet in unets), levels_of(model.vae)])
    steps = model.first.steps
    total = steps + (model.second.steps if model.second else 0)
    latents = _denoise(model, model.first, prompt, negative, seeds, size, None, _part(progress, 0, total))
    if model.second is not None:
        seeds = [(seed + recipe.REFINE_SEED) % 2**64 for seed in seeds]
        after = _part(progress, steps, total)
        latents = _denoise(model, model.second, prompt, negative, seeds, size, latents, after)
    return to_image(diffusion.decode(model.vae, latents))


def _part(progress: Progress, before: int, total_steps: int) -> Progress:
    """A listener for one pass, that counts on from the passes before it."""

    def listen(done: int, total: int, preview: Tensor | None = None) -> None:
        progress(before + done, total_steps, preview)

    return listen


def _denoise(
    model: CosmicMan,
    run: Pass,
    prompt: str,
    negative: str,
    seeds: list[int],
    size: tuple[int, int],
    start: Tensor | None,
    progress: Progress,
) -> Tensor:
    without, embeds = (text.encode(run.base.encoders, [words]) for words in (negative, prompt))
    added = {}
    if (ids := run.sizes(*size)) is not None:
        other = run.sizes(*size, aesthetic=recipe.NEGATIVE_AESTHETIC)
        assert other is not None
        added = {"time_ids": ids.to(model.device), "negative_time_ids": other.to(model.device)}
    predict = diffusion.guided(run.unet, embeds, without, run.scale, **added)
    strength = 1.0 if start is None else recipe.REFINE_STRENGTH
    return diffusion.sample(
        predict,
        diffusion.make_scheduler(run.sampler, run.base.scheduler),
        model.latent_shape(*size),
        seeds,
        round(run.steps / strength),
        start=start,
        strength=strength,
        device=model.device,
        dtype=model.dtype,
        progress=progress,
    )


def run(config: GenerateConfig, progress: Progress = silent) -> Iterator[Path]:
    """Draw every prompt and write each picture as soon as it is done, with its settings inside the file."""
    check(config)
    config = configs.with_defaults(config)
    assert config.outdir is not None
    check_folder(config.outdir, "outdir")
    model = load(config)
    for index, prompt in share([prompt for prompt in config.prompts for _ in range(config.images)]):
        seed = batch_seeds(config.seed, index + 1)[-1]
        whole = full_prompt(prompt, config.a_prompt, config.released_commas)
        image = draw(model, whole, config.n_prompt, [seed], (config.H, config.W), progress)
        path = config.outdir / file_name(index, prompt)
        write_picture(path, image[0], _settings(config, whole, seed))
        yield path


def _settings(config: GenerateConfig, prompt: str, seed: int) -> str:
    second = f", Second pass: {config.refiner_path}" if config.use_refiner else ""
    return (
        f"{prompt}\nNegative prompt: {config.n_prompt}\nSteps: {config.steps}, Sampler: {config.sampler}, "
        f"CFG scale: {config.scale}, Seed: {seed}, Size: {config.W}x{config.H}, "
        f"Model: {Path(config.unet_path).name}{second}"
    )
