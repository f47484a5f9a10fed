"""Stable Diffusion's autoencoder (KL, 8x) as HumanSD uses it: pixels to scaled latents and back."""

from typing import Any

from torch import Tensor

from .defaults import LATENT_SCALE


def encode(vae: Any, pixels: Tensor) -> Tensor:
    """Pixels [B, 3, H, W] in [-1, 1] -> latents [B, 4, H/8, W/8] times 0.18215, the posterior's mean.

    The released code samples the posterior; for skeletons the difference is far below what the UNet sees.
    """
    weight = next(vae.parameters())
    return vae.encode(pixels.to(weight)).latent_dist.mode().float() * LATENT_SCALE


def decode(vae: Any, latents: Tensor) -> Tensor:
    """Scaled latents [B, 4, h, w] -> pixels [B, 3, 8h, 8w], not clamped."""
    weight = next(vae.parameters())
    return vae.decode((latents / LATENT_SCALE).to(weight)).sample.float()
