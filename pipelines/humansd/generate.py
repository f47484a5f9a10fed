"""HumanSD's pictures on diffusers: skeleton pictures and prompts in, people out; no ComfyUI."""

import logging
from collections.abc import Iterator, Sequence
from functools import partial
from itertools import count
from pathlib import Path

import torch
from torch import Tensor

from ..common.errors import FiguraInputError
from ..common.files import check_folder
from ..common.images import read_image, to_image, to_pixels, write_png
from ..common.picture_files import write_picture
from ..common.processes import is_mine
from ..common.progress import Progress, silent
from ..common.seeds import batch_seeds, noise
from . import ddim, vae
from .canvas import on_canvas
from .checkpoint import require_model
from .conditioning import check_prompts, check_strength, encode_skeleton, repeat_rows, with_added
from .configs import GenerateConfig, SampleConfig
from .defaults import LATENT_CHANNELS
from .model import HumanSD, encode_prompts, load, predictor
from .poses import check_threshold, drawn_poses

log = logging.getLogger(__name__)
TOGETHER = 4  # pictures painted at once, to bound memory; each depends on its own seed alone


@torch.no_grad()
def paint(
    model: HumanSD,
    prompt: str,
    negative: str,
    skeletons: Tensor,
    seeds: Sequence[int],
    sample: SampleConfig,
    start: Tensor | None = None,
    progress: Progress = silent,
) -> Tensor:
    """Paint one picture per seed: IMAGE [B, H, W, 3] in [0, 1].

    Args:
        skeletons: IMAGE [1 or B, H, W, 3] in HumanSD's colours, sides multiples of 64.
        start: IMAGE [1, H, W, 3] to start from where ``sample.strength`` is below 1.
    """
    steps = ddim.plan(sample.ddim_steps, sample.strength, sample.schedule == "legacy_49")
    encode = partial(_encode, model)
    pose = encode_skeleton(encode, skeletons, sample.pose_strength, always=True).pose
    pose = repeat_rows(pose, len(seeds))
    fresh = noise((LATENT_CHANNELS, *pose.shape[2:]), seeds).to(model.device)
    latents = ddim.starting(steps, fresh, None if start is None else encode(start))
    positive, negative_embeds = (encode_prompts(model, [words]) for words in (prompt, negative))
    predict = predictor(model, pose, positive, negative_embeds, sample.scale)
    latents = ddim.denoise(predict, latents, steps, eta=sample.eta, seeds=seeds, progress=progress)
    rows = [to_image(vae.decode(model.vae, one[None])).cpu() for one in latents]
    return torch.cat(rows)


def _encode(model: HumanSD, image: Tensor) -> Tensor:
    return vae.encode(model.vae, to_pixels(image))


def check(config: GenerateConfig) -> None:
    """Refuse what cannot be painted, before any file is opened."""
    check_folder(config.save_path, "save_path")
    check_prompts([config.prompt])
    check_threshold(config.detection_thresh)
    batch_seeds(config.seed, config.num_samples)
    sample = config.sample
    if not 0 <= sample.scale <= 100:
        raise FiguraInputError("scale", f"{sample.scale:g}", "a number from 0 to 100")
    check_strength(sample.pose_strength)
    ddim.check_eta(sample.eta)
    ddim.plan(sample.ddim_steps, sample.strength, sample.schedule == "legacy_49")
    sources = (config.pose_file, config.ready_pose, config.image, config.skeleton)
    if (count := sum(source is not None for source in sources)) != 1:
        raise FiguraInputError(
            "pose", f"{count} sources", "one of --pose-file, --ready-pose, --image and --skeleton",
            "For example: --ready-pose standing",
        )  # fmt: skip
    if sample.strength < 1 and config.init_image is None:
        raise FiguraInputError(
            "strength", f"{sample.strength:g} without a picture", "--init-image, or a strength of 1"
        )


def run(config: GenerateConfig, progress: Progress = silent) -> Iterator[Path]:
    """Paint every pose and write each picture when it is done, the skeleton beside it; yields the paths.

    Picture number i of the whole run, over all poses, has seed + i, and its settings are inside the file.
    """
    check(config)
    start = None if config.init_image is None else read_image(config.init_image)
    require_model(config.humansd_checkpoint)
    model, prompt, number = None, with_added(config.prompt, config.added_prompt), 0
    turns = count()  # of groups, over all poses: processes take them in turn
    for name, skeleton in drawn_poses(config):
        model = model or load(config.humansd_checkpoint, config.device, config.dtype)
        write_png(config.save_path / f"{name}_skeleton.png", skeleton[0])
        begin = (
            None if start is None else on_canvas(start, "init_image", (skeleton.shape[1], skeleton.shape[2]))
        )
        seeds = batch_seeds(config.seed, number + config.num_samples)[number:]
        number += config.num_samples
        for group in (seeds[at : at + TOGETHER] for at in range(0, len(seeds), TOGETHER)):
            if not is_mine(next(turns)):
                continue
            images = paint(
                model, prompt, config.negative_prompt, skeleton, group, config.sample, begin, progress
            )
            for seed, image in zip(group, images, strict=True):
                path = config.save_path / f"{name}_{seed}.png"
                write_picture(path, image, settings(config, prompt, seed))
                yield path


def settings(config: GenerateConfig, prompt: str, seed: int) -> str:
    """The settings of one picture in the words that other programs read back."""
    sample = config.sample
    return (
        f"{prompt}\nNegative prompt: {config.negative_prompt}\nSteps: {sample.ddim_steps}, Sampler: DDIM, "
        f"Schedule type: {sample.schedule}, CFG scale: {sample.scale:g}, Seed: {seed}, "
        f"Model: {config.humansd_checkpoint.name}"
    )
