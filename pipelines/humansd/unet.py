"""HumanSD's UNet: that of Stable Diffusion 2.1-base with 8 input channels, noisy latents first, pose second.

Paper section 3.2; the channels' order is that of the released weights (the paper's figure shows the other).
"""

import torch
from torch import Tensor, nn

from ..common import base_model, ldm
from ..common.errors import FiguraWeightsError
from ..common.ldm import StateDict, UNetConfig
from .defaults import LATENT_CHANNELS

FIRST_CONV = "input_blocks.0.0.weight"
CHANNELS = 2 * LATENT_CHANNELS
HEAD_WIDTH = 64
V_PREDICTION_NORM = "output_blocks.11.1.transformer_blocks.0.norm1.bias"
V_PREDICTION_SPREAD = 0.09  # of the 768-pixel SD2.x, whose outputs are velocities; the same test as ComfyUI's


def unet_config(state: StateDict, head_width: int = HEAD_WIDTH) -> UNetConfig:
    """Read the architecture from LDM-named shapes (without prefix); no shape tells the heads' width."""
    return ldm.unet_config_from_shapes(state) | {"num_heads": -1, "num_head_channels": head_width}


def build_unet(state: StateDict, head_width: int = HEAD_WIDTH, what: str = "UNet") -> nn.Module:
    """Build diffusers' UNet from LDM-named weights (without prefix). Called as ``unet(x, t, context)``."""
    return base_model.build_unet(state, ldm.diffusers_config(unet_config(state, head_width)), what)


def widen(state: StateDict, prefix: str = "") -> StateDict:
    """Give a 4-channel UNet four more input channels with zero weights; the other tensors are passed on.

    HumanSD's training starts from this: until trained, the skeleton has no effect.
    """
    weight: Tensor = state[prefix + FIRST_CONV]
    if weight.shape[1] != LATENT_CHANNELS:
        raise FiguraWeightsError("UNet", f"{weight.shape[1]} input channels", f"{LATENT_CHANNELS}")
    norm = state.get(prefix + V_PREDICTION_NORM)
    if norm is not None and norm.float().std(unbiased=False) > V_PREDICTION_SPREAD:
        raise FiguraWeightsError(
            "UNet", "the 768-pixel Stable Diffusion 2.1, which predicts velocities",
            "the 512-pixel base, which predicts noise", "Take v2-1_512-ema-pruned.",
        )  # fmt: skip
    extra = weight.new_zeros(weight.shape[0], CHANNELS - LATENT_CHANNELS, *weight.shape[2:])
    return state | {prefix + FIRST_CONV: torch.cat([weight, extra], 1)}
