"""One update's arithmetic as the released trainer's: latents of both pictures, the average's share."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from ..defaults import LATENT_SCALE


@torch.no_grad()
def sampled_latents(vae: Any, pixels: Tensor, draw: Callable[[Tensor], Tensor]) -> Tensor:
    """A sample of the posterior, scaled: pixels [B, 3, H, W] in [-1, 1] -> [B, 4, H/8, W/8]; ``draw`` gives
    standard noise shaped like a tensor."""
    posterior = vae.encode(pixels.to(next(vae.parameters()))).latent_dist
    mean = posterior.mean.float()
    return (mean + posterior.std.float() * draw(mean)) * LATENT_SCALE


def average_decay(number: int, most: float) -> float:
    """How much of the average stays after update ``number`` (the first is 0), at most ``most``.

    The released code counts the update before it takes the share, so the first keeps 2/11.
    """
    return min(most, (2 + number) / (11 + number))
