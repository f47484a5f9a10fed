"""One update's arithmetic: pictures and skeletons to latents, as the released trainer draws them."""

from typing import Any

import torch
from torch import Tensor

from ..defaults import LATENT_SCALE


@torch.no_grad()
def sampled_latents(vae: Any, pixels: Tensor, draw: Tensor) -> Tensor:
    """A sample of the posterior, scaled: pixels [B, 3, H, W] in [-1, 1], standard noise ``draw``
    [B, 4, H/8, W/8]."""
    posterior = vae.encode(pixels.to(next(vae.parameters()))).latent_dist
    return (posterior.mean.float() + posterior.std.float() * draw.to(pixels.device)) * LATENT_SCALE
