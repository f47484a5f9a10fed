"""HumanSD's UNet: that of Stable Diffusion 2.1-base with 8 input channels, noisy latents first, pose second.

Paper section 3.2; the channels' order is that of the released weights (the paper's figure shows the other).
"""

from typing import Any

import torch
from torch import Tensor, nn

from ..common.errors import FiguraWeightsError
from ..common.ldm import StateDict, UNetConfig, unet_to_diffusers
from .configs import LATENT_CHANNELS

FIRST_CONV = "input_blocks.0.0.weight"
HEAD_WIDTH = 64
POSE_CHANNELS = LATENT_CHANNELS


def unet_config(state: StateDict, head_width: int = HEAD_WIDTH) -> UNetConfig:
    """Read the architecture from LDM-named shapes (without prefix), in the words of the LDM repositories.

    Shapes do not tell the width of an attention head: 64 in Stable Diffusion 2.1.
    """
    try:
        return _config(state, head_width)
    except (KeyError, IndexError, ValueError) as error:
        raise FiguraWeightsError(
            "UNet", f"no tensor {error}", "the UNet of Stable Diffusion 2.1", "The file is incomplete."
        ) from error


def _config(state: StateDict, head_width: int) -> UNetConfig:
    channels = state[FIRST_CONV].shape[0]
    res_blocks, widths, depths = _levels(state)
    to_k = next(name for name in state if name.endswith("transformer_blocks.0.attn2.to_k.weight"))
    up = [_depth(state, f"output_blocks.{i}.1.") for i in range(sum(n + 1 for n in res_blocks))]
    return {
        "image_size": 32,
        "use_spatial_transformer": True,
        "legacy": False,
        "use_temporal_attention": False,
        "use_temporal_resblock": False,
        "in_channels": state[FIRST_CONV].shape[1],
        "out_channels": state["out.2.weight"].shape[0],
        "model_channels": channels,
        "channel_mult": [width // channels for width in widths],
        "num_res_blocks": res_blocks,
        "transformer_depth": depths,
        "transformer_depth_output": up[::-1],  # named from the top level down, as ComfyUI pops it
        "transformer_depth_middle": _depth(state, "middle_block.1.") or -1,
        "use_linear_in_transformer": _linear(state),
        "context_dim": state[to_k].shape[1],
        "adm_in_channels": None,
        "num_heads": -1,
        "num_head_channels": head_width,
    }


def _levels(state: StateDict) -> tuple[list[int], list[int], list[int]]:
    """Residual blocks and width of each level, and the transformer depth behind each residual block."""
    res_blocks, widths, depths = [0], [], []
    index = 1
    while any(name.startswith(f"input_blocks.{index}.") for name in state):
        if f"input_blocks.{index}.0.op.weight" in state:
            res_blocks.append(0)
        else:
            width = state[f"input_blocks.{index}.0.out_layers.3.weight"].shape[0]
            res_blocks[-1] += 1
            depths.append(_depth(state, f"input_blocks.{index}.1."))
            widths = [*widths[: len(res_blocks) - 1], width]
        index += 1
    return res_blocks, widths, depths


def _depth(state: StateDict, prefix: str) -> int:
    blocks = {
        name[len(prefix) :].split(".")[1] for name in state if name.startswith(f"{prefix}transformer_blocks.")
    }
    return len(blocks)


def _linear(state: StateDict) -> bool:
    """SD2 projects into its transformers with linear layers, SD1 with 1x1 convolutions."""
    return next(tensor.ndim for name, tensor in state.items() if name.endswith(".1.proj_in.weight")) == 2


def diffusers_config(config: UNetConfig) -> dict[str, Any]:
    """Arguments of diffusers' ``UNet2DConditionModel`` for a configuration of ``unet_config``."""
    widths = [config["model_channels"] * mult for mult in config["channel_mult"]]
    per_level = iter(config["transformer_depth"])
    attends = [any([next(per_level) for _ in range(n)]) for n in config["num_res_blocks"]]
    return {
        "in_channels": config["in_channels"],
        "out_channels": config["out_channels"],
        "block_out_channels": widths,
        "layers_per_block": list(config["num_res_blocks"]),
        "down_block_types": ["CrossAttnDownBlock2D" if on else "DownBlock2D" for on in attends],
        "up_block_types": ["CrossAttnUpBlock2D" if on else "UpBlock2D" for on in reversed(attends)],
        "attention_head_dim": [width // config["num_head_channels"] for width in widths],  # counts, in truth
        "cross_attention_dim": config["context_dim"],
        "use_linear_projection": config["use_linear_in_transformer"],
        "sample_size": 64,
    }


def build_unet(state: StateDict, config: UNetConfig, dtype: torch.dtype = torch.float32) -> nn.Module:
    """Build diffusers' UNet from LDM-named weights (without prefix). Called as ``unet(x, t, context).sample``."""
    from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel

    with torch.device("meta"):
        unet = UNet2DConditionModel(**diffusers_config(config))
    fill(unet, unet_to_diffusers(state, config), "UNet", dtype)
    return unet


def fill(module: nn.Module, state: StateDict, what: str, dtype: torch.dtype) -> None:
    """Put weights into a module built on the meta device; every name and shape must fit. Ready for inference."""
    expected = {name: tuple(tensor.shape) for name, tensor in module.state_dict().items()}
    missing = [name for name in expected if name not in state]
    unknown = [name for name in state if name not in expected]
    wrong = [name for name in expected if name in state and tuple(state[name].shape) != expected[name]]
    if missing or unknown or wrong:
        listed = ", ".join([*missing, *unknown, *wrong][:5])
        raise FiguraWeightsError(
            what, f"{len(missing)} tensors missing, {len(unknown)} unknown, {len(wrong)} of another shape ({listed})",
            f"the {len(expected)} tensors of this network", "The file is damaged or of another model.",
        )  # fmt: skip
    module.load_state_dict({name: tensor.to(dtype) for name, tensor in state.items()}, assign=True)
    module.eval().requires_grad_(False)


def widen(state: StateDict, prefix: str = "") -> StateDict:
    """Give a 4-channel UNet four more input channels with zero weights; the other tensors are passed on.

    HumanSD's training starts from this: until trained, the skeleton has no effect.
    """
    weight: Tensor = state[prefix + FIRST_CONV]
    if weight.shape[1] != LATENT_CHANNELS:
        raise FiguraWeightsError("UNet", f"{weight.shape[1]} input channels", f"{LATENT_CHANNELS}")
    extra = weight.new_zeros(weight.shape[0], POSE_CHANNELS, *weight.shape[2:])
    return state | {prefix + FIRST_CONV: torch.cat([weight, extra], 1)}
