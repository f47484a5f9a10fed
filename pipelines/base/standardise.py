"""Latents of mean 0 and variance 1 after Stable Diffusion's fixed factor, by a change inside the autoencoder.

A VAE trained from nothing has latents of any mean and spread, one for each channel; samplers and LoRA expect
those that 0.18215 brings to unit variance. The wanted shift and scale go into the 1x1 convolutions on both
sides of the latents, so that what is decoded does not change.
"""

from typing import Any

import torch
from torch import Tensor

FACTOR = 0.18215


@torch.no_grad()
def fold(vae: Any, mean: Tensor, deviation: Tensor, factor: float = FACTOR) -> None:
    """Change ``quant_conv`` and ``post_quant_conv`` in place: z' = (z - mean) / (deviation * factor).

    Args:
        vae: a diffusers AutoencoderKL. mean, deviation: per latent channel, [C].
    """
    scale = deviation * factor
    channels = mean.numel()
    into, out = vae.quant_conv, vae.post_quant_conv
    into.bias[:channels] -= mean
    into.bias[:channels] /= scale
    into.weight[:channels] /= scale[:, None, None, None]
    into.bias[channels:] -= 2 * scale.log()  # the log variances
    out.bias += out.weight[:, :, 0, 0] @ mean
    out.weight *= scale[None, :, None, None]


@torch.no_grad()
def latent_statistics(vae: Any, pixels: Tensor, batch: int = 16) -> tuple[Tensor, Tensor]:
    """Mean and deviation of the latents' means per channel, [C] each, over pictures [B, 3, H, W]."""
    means = torch.cat([vae.encode(part).latent_dist.mean for part in pixels.split(batch)])
    flat = means.transpose(0, 1).flatten(1).double()
    return flat.mean(1).float(), flat.std(1).float()
