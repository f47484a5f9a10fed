"""Pictures for captions, many at a time, by a text-to-image base of any size."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from . import diffusion, text
from .progress import Progress, silent


@torch.no_grad()
def draw_captions(
    unet: nn.Module,
    encoders: Mapping[str, nn.Module],
    vae: nn.Module,
    captions: Sequence[str],
    seeds: Sequence[int],
    *,
    size: tuple[int, int],
    guidance: float,
    steps: int,
    negative: str = "",
    sampler: str = "dpm",
    schedule: dict[str, Any] | None = None,
    batch: int = 16,
    progress: Progress = silent,
) -> Tensor:
    """Pictures [N, 3, H, W] in [-1, 1], picture i from caption i and seed i alone, on the UNet's device.

    Args:
        size: height and width, multiples of the autoencoder's factor.
        schedule: diffusers' configuration of the base; Stable Diffusion's own if None.
        batch: pictures that are denoised together; does not change them.
        progress: counts pictures.
    """
    weight = next(unet.parameters())
    widths: Any = vae.config.block_out_channels  # type: ignore[union-attr]
    shape = (4, *(side // 2 ** (len(widths) - 1) for side in size))
    empty, drawn = text.encode(encoders, [negative]), []
    for first in range(0, len(captions), batch):
        words = text.encode(encoders, captions[first : first + batch])
        sizes = {} if words.pooled is None else {"time_ids": whole_picture(size).to(weight)}
        latents = diffusion.sample(
            diffusion.guided(unet, words, empty, guidance, **sizes),
            diffusion.make_scheduler(sampler, schedule),
            shape,
            seeds[first : first + batch],
            steps,
            device=weight.device,
            dtype=weight.dtype,
        )
        drawn.append(diffusion.decode(vae, latents))
        progress(min(first + batch, len(captions)), len(captions))
    return torch.cat(drawn)


def whole_picture(size: tuple[int, int]) -> Tensor:
    """SDXL's sizes [1, 6] of a picture that was not cropped."""
    return torch.tensor([[*size, 0, 0, *size]])
