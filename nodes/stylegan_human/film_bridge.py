"""Films in ComfyUI: frames as IMAGE batches, and ComfyUI's own VIDEO."""

from fractions import Fraction

import numpy as np
import torch
from comfy.model_patcher import ModelPatcher
from comfy_api.input_impl import VideoFromComponents, VideoFromFile
from comfy_api.util import VideoComponents
from torch import Tensor

from ...pipelines.common.errors import FiguraInputError
from ...pipelines.common.images import to_image
from ...pipelines.stylegan_human.generate import MAX_BYTES, frames, synthesize
from ...pipelines.stylegan_human.latents.edit import check_edit
from ...pipelines.stylegan_human.latents.latent_file import Latents
from ...pipelines.stylegan_human.latents.latents import check_ws, parse_rows, parse_seeds
from ...pipelines.stylegan_human.latents.mixing import mixing_frames
from ...pipelines.stylegan_human.latents.walks import path_of_seeds
from ...pipelines.stylegan_human.video import check_fps, mp4_bytes
from .. import host


def between_seeds(
    patcher: ModelPatcher, seeds: str, steps: int, space: str, mode: str, loop: bool, psi: float
) -> Latents:
    """The latents of a walk through seeds such as ``1,3,5-9``."""
    stops = parse_seeds(seeds, limit=256)
    return Latents(path_of_seeds(host.on_device(patcher), stops, steps, psi, mode, space, loop).cpu())


def drawn(patcher: ModelPatcher, latents: Latents, noise_mode: str, seed: int) -> Tensor:
    """IMAGE batch of the latents, all with the same noise."""
    generator = host.on_device(patcher)
    progress = host.NodeProgress(len(latents.ws) * generator.synthesis.num_steps)
    seeds = [seed] * len(latents.ws)
    pixels = synthesize(generator, latents.ws, noise_mode, seeds, progress=progress, edits=latents.edits)
    return host.result(to_image(pixels))


def mixing(
    patcher: ModelPatcher,
    walk: Latents,
    people: Latents,
    styles: str,
    only_mixed: bool,
    overlap: int,
    noise: tuple[str, int],
) -> Tensor:
    """IMAGE batch of the mixing video's frames; ``overlap`` -1 stands for the released one."""
    generator = host.on_device(patcher)
    chosen = parse_rows(styles, generator.config.num_ws) or list(range(generator.config.num_ws))
    _check_memory(len(walk.ws), 1 + len(people.ws), generator.image_size)
    progress = host.NodeProgress(len(walk.ws) * (1 + len(people.ws)) * generator.synthesis.num_steps)
    found = mixing_frames(
        generator, walk.ws, people.ws, chosen, only_mixed, None if overlap < 0 else overlap, *noise, progress
    )
    return host.result(torch.from_numpy(np.stack(list(found))).float() / 255)


def _check_memory(count: int, columns: int, size: tuple[int, int]) -> None:
    total = count * columns * 2 * size[0] * size[1] * 3 * 5  # bytes in uint8, and four times those in float
    if total > MAX_BYTES:
        raise FiguraInputError(
            "walk", f"{count} frames ({total / 2**30:.0f} GiB)", f"at most {count * MAX_BYTES // total}",
            "Use figura stylegan mix-video, which keeps no frames in memory.",
        )  # fmt: skip


def as_video(images: Tensor, fps: float) -> VideoFromComponents:
    """VIDEO of an IMAGE batch."""
    check_fps(fps)
    return VideoFromComponents(
        VideoComponents(images=images, frame_rate=Fraction(fps).limit_denominator(1000))
    )


def film(patcher: ModelPatcher, latents: Latents, fps: float, noise_mode: str, seed: int) -> VideoFromFile:
    """VIDEO of the latents, encoded as they are drawn."""
    check_fps(fps)
    generator = host.on_device(patcher)
    ws = check_ws(latents.ws, generator.config.num_ws, generator.config.w_dim)
    for edit, _ in latents.edits:
        check_edit(edit, generator)
    progress = host.NodeProgress(len(ws) * generator.synthesis.num_steps)
    return VideoFromFile(mp4_bytes(frames(generator, ws, noise_mode, seed, progress, latents.edits), fps))
