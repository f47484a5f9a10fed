"""One update's arithmetic: pictures and skeletons to latents, as the released trainer draws them."""

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
