"""Stable Diffusion's autoencoder (KL, 8x): pixels to scaled latents and back."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from ..common.ldm import StateDict, is_diffusers_vae, vae_config_from_shapes, vae_to_ldm
from .configs import LATENT_SCALE
from .unet import fill


def vae_config(state: StateDict) -> dict[str, Any]:
    """Arguments of diffusers' ``AutoencoderKL``, read from LDM-named shapes (without prefix)."""
    sizes = vae_config_from_shapes(state)
    levels = len(sizes["ch_mult"])
    return {
        "in_channels": sizes["in_channels"],
        "out_channels": sizes["in_channels"],
        "latent_channels": sizes["z_channels"],
        "block_out_channels": [sizes["ch"] * mult for mult in sizes["ch_mult"]],
        "layers_per_block": sizes["num_res_blocks"],
        "down_block_types": ["DownEncoderBlock2D"] * levels,
        "up_block_types": ["UpDecoderBlock2D"] * levels,
        "scaling_factor": LATENT_SCALE,
    }


def build_vae(state: StateDict, dtype: torch.dtype = torch.float32) -> nn.Module:
    """Build diffusers' ``AutoencoderKL`` of any size from LDM or diffusers names (without prefix)."""
    from diffusers.loaders.single_file_utils import convert_ldm_vae_checkpoint
    from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL

    if is_diffusers_vae(state):
        state = vae_to_ldm(state)
    config = vae_config(state)
    with torch.device("meta"):
        vae = AutoencoderKL(**config)
    fill(vae, convert_ldm_vae_checkpoint(dict(state), config), "VAE", dtype)
    return vae


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


Encode = Callable[
    [Tensor], Tensor
]  # pixels [B, 3, H, W] in [-1, 1] -> latents, as the caller's VAE scales them
