"""VAE weight names: diffusers' AutoencoderKL <-> LDM single files, for any size."""

import re
from collections.abc import Iterable
from typing import Any

from .errors import FiguraWeightsError
from .weights import StateDict

VAE_PREFIX = "first_stage_model."
_VAE_RULES = [
    (r"mid_block\.resnets\.0\.", "mid.block_1."),
    (r"mid_block\.resnets\.1\.", "mid.block_2."),
    (r"mid_block\.attentions\.0\.group_norm\.", "mid.attn_1.norm."),
    (r"mid_block\.attentions\.0\.(?:to_q|query)\.", "mid.attn_1.q."),
    (r"mid_block\.attentions\.0\.(?:to_k|key)\.", "mid.attn_1.k."),
    (r"mid_block\.attentions\.0\.(?:to_v|value)\.", "mid.attn_1.v."),
    (r"mid_block\.attentions\.0\.(?:to_out\.0|proj_attn)\.", "mid.attn_1.proj_out."),
    (r"conv_norm_out\.", "norm_out."),
    (r"conv_shortcut\.", "nin_shortcut."),
    (r"^encoder\.down_blocks\.(\d+)\.resnets\.", r"encoder.down.\1.block."),
    (r"^encoder\.down_blocks\.(\d+)\.downsamplers\.0\.", r"encoder.down.\1.downsample."),
]


def is_diffusers_vae(names: Iterable[str]) -> bool:
    """Tell diffusers VAE names (``encoder.down_blocks``) from LDM names (``encoder.down``)."""
    return any(name.startswith(("encoder.down_blocks.", "decoder.up_blocks.")) for name in names)


def vae_to_ldm(state: StateDict) -> StateDict:
    """diffusers AutoencoderKL names -> LDM names (without prefix); attention becomes 1x1 convolutions."""
    levels = 1 + max(
        (int(name.split(".")[2]) for name in state if name.startswith("decoder.up_blocks.")), default=0
    )
    renamed = {}
    for name, tensor in state.items():
        for pattern, new in _VAE_RULES:
            name = re.sub(pattern, new, name)
        match = re.match(r"decoder\.up_blocks\.(\d+)\.(resnets\.|upsamplers\.0\.)(.*)", name)
        if match:
            part = "block." if match[2] == "resnets." else "upsample."
            name = f"decoder.up.{levels - 1 - int(match[1])}.{part}{match[3]}"
        if ".mid.attn_1." in name and name.endswith("weight") and tensor.ndim == 2:
            tensor = tensor[:, :, None, None]
        renamed[name] = tensor
    return renamed


def vae_config_from_shapes(state: StateDict) -> dict[str, Any]:
    """Read a KL VAE's sizes (LDM names): ``ch, ch_mult, num_res_blocks, z_channels, embed_dim, …``."""
    try:
        first = state["encoder.conv_in.weight"]
        levels = 1 + max(int(name.split(".")[2]) for name in state if name.startswith("encoder.down."))
        blocks = 1 + max(int(n.split(".")[4]) for n in state if n.startswith("encoder.down.0.block."))
        widths = [state[f"encoder.down.{i}.block.0.conv1.weight"].shape[0] for i in range(levels)]
        z = state["decoder.conv_in.weight"].shape[1]
        embed = state["post_quant_conv.weight"].shape[1]
    except (KeyError, ValueError, IndexError) as error:
        raise FiguraWeightsError(
            "VAE", f"no tensor {error}", "the KL autoencoder of Stable Diffusion",
            "Take a checkpoint with a VAE in it, or load the VAE from a file of its own.",
        ) from error  # fmt: skip
    channels = first.shape[0]
    return {
        "in_channels": first.shape[1],
        "ch": channels,
        "ch_mult": [width // channels for width in widths],
        "num_res_blocks": blocks,
        "z_channels": z,
        "embed_dim": embed,
    }


_BACK = [
    (r"mid\.block_1\.", "mid_block.resnets.0."),
    (r"mid\.block_2\.", "mid_block.resnets.1."),
    (r"mid\.attn_1\.norm\.", "mid_block.attentions.0.group_norm."),
    (r"mid\.attn_1\.([qkv])\.", r"mid_block.attentions.0.to_\1."),
    (r"mid\.attn_1\.proj_out\.", "mid_block.attentions.0.to_out.0."),
    (r"(?<!conv_)norm_out\.", "conv_norm_out."),
    (r"nin_shortcut\.", "conv_shortcut."),
    (r"^encoder\.down\.(\d+)\.block\.", r"encoder.down_blocks.\1.resnets."),
    (r"^encoder\.down\.(\d+)\.downsample\.", r"encoder.down_blocks.\1.downsamplers.0."),
]


def vae_to_diffusers(state: StateDict, levels: int) -> StateDict:
    """LDM VAE names (without prefix) -> diffusers names; attention's 1x1 convolutions become linears."""
    renamed = {}
    for name, tensor in state.items():
        for pattern, new in _BACK:
            name = re.sub(pattern, new, name)
        match = re.match(r"decoder\.up\.(\d+)\.(block\.|upsample\.)(.*)", name)
        if match:
            part = "resnets." if match[2] == "block." else "upsamplers.0."
            name = f"decoder.up_blocks.{levels - 1 - int(match[1])}.{part}{match[3]}"
        if ".attentions.0.to_" in name and tensor.ndim == 4:
            tensor = tensor[:, :, 0, 0]
        renamed[name] = tensor
    return renamed


def own_tensors(state: StateDict) -> StateDict:
    """Without what trainers leave in VAE files: loss networks and averages."""
    return {name: tensor for name, tensor in state.items() if not name.startswith(("loss.", "model_ema."))}
