"""Weight names: diffusers folders <-> LDM single files (CompVis, sgm, OpenCLIP), for any network size.

Only names, shapes and configurations; no model is built here. ``unet_config`` means the LDM repositories'
description of a UNet: ``model_channels``, ``channel_mult``, ``num_res_blocks``, transformer depths and heads.
"""

import re
from collections.abc import Iterable
from typing import Any

from .errors import FiguraWeightsError
from .weights import StateDict

UNetConfig = dict[str, Any]

UNET_PREFIX, VAE_PREFIX = "model.diffusion_model.", "first_stage_model."
_UNET_TOP = {
    "conv_in": "input_blocks.0.0",
    "time_embedding.linear_1": "time_embed.0",
    "time_embedding.linear_2": "time_embed.2",
    "add_embedding.linear_1": "label_emb.0.0",
    "add_embedding.linear_2": "label_emb.0.2",
    "class_embedding.linear_1": "label_emb.0.0",
    "class_embedding.linear_2": "label_emb.0.2",
    "conv_norm_out": "out.0",
    "conv_out": "out.2",
}
_RESNET = {
    "norm1": "in_layers.0",
    "conv1": "in_layers.2",
    "time_emb_proj": "emb_layers.1",
    "norm2": "out_layers.0",
    "conv2": "out_layers.3",
    "conv_shortcut": "skip_connection",
}


def strip_prefix(state: StateDict, prefix: str) -> StateDict:
    """The part of ``state`` whose names begin with ``prefix``, without it."""
    return {name[len(prefix) :]: tensor for name, tensor in state.items() if name.startswith(prefix)}


def is_diffusers_unet(names: Iterable[str]) -> bool:
    """Tell diffusers names (``conv_in``) from LDM names (``input_blocks.0.0``)."""
    return "conv_in.weight" in names


def unet_config_from_diffusers(config: dict[str, Any]) -> UNetConfig:
    """Describe the UNet of a diffusers ``config.json`` as LDM does, or raise FiguraWeightsError."""
    _check_plain(config)
    widths = list(config["block_out_channels"])
    levels = len(widths)
    res = _per_level(config.get("layers_per_block", 2), levels)
    depth = _per_level(config.get("transformer_layers_per_block", 1), levels)
    down = [
        d if "CrossAttn" in kind else 0 for d, kind in zip(depth, config["down_block_types"], strict=True)
    ]
    up_depth = config.get("reverse_transformer_layers_per_block")
    depth_out = list(reversed(_per_level(up_depth, levels))) if up_depth is not None else depth
    up_types = list(reversed(config["up_block_types"]))
    up = [d if "CrossAttn" in kind else 0 for d, kind in zip(depth_out, up_types, strict=True)]
    adm = config.get("projection_class_embeddings_input_dim")
    return {
        "image_size": 32,
        "use_spatial_transformer": True,
        "legacy": False,
        "use_temporal_attention": False,
        "use_temporal_resblock": False,
        "in_channels": config.get("in_channels", 4),
        "out_channels": config.get("out_channels", 4),
        "model_channels": widths[0],
        "channel_mult": [width // widths[0] for width in widths],
        "num_res_blocks": res,
        "transformer_depth": [d for d, n in zip(down, res, strict=True) for _ in range(n)],
        "transformer_depth_output": [d for d, n in zip(up, res, strict=True) for _ in range(n + 1)],
        "transformer_depth_middle": _middle(config, depth),
        "use_linear_in_transformer": bool(config.get("use_linear_projection", False)),
        "context_dim": config.get("cross_attention_dim", 1280),
        "adm_in_channels": adm,
        **_added(config, adm),
        **_heads(config, widths),
    }


def _added(config: dict[str, Any], adm: int | None) -> dict[str, Any]:
    """SDXL's size conditioning; the width of one size's embedding only where it is not SDXL's 256."""
    time_dim = config.get("addition_time_embed_dim") or 256
    own_width = {} if time_dim == 256 else {"addition_time_embed_dim": time_dim}
    return {"num_classes": "sequential", **own_width} if adm else {}


def _check_plain(config: dict[str, Any]) -> None:
    """Refuse the variants of diffusers' UNet that the LDM layout has no words for."""
    if not {"block_out_channels", "down_block_types", "up_block_types"} <= set(config):
        raise FiguraWeightsError(
            "config.json", f"the keys {sorted(config)[:8]}", "those of a diffusers UNet2DConditionModel",
            "Take the config.json that lies beside the weights in the same repository.",
        )  # fmt: skip
    wanted: dict[str, tuple] = {
        "norm_num_groups": (32,),
        "act_fn": ("silu", "swish"),
        "addition_embed_type": (None, "text_time"),
        "resnet_time_scale_shift": ("default",),
        "encoder_hid_dim": (None,),
        "dual_cross_attention": (False,),
        "conv_in_kernel": (3,),
    }
    for key, allowed in wanted.items():
        if config.get(key, allowed[0]) not in allowed:
            raise FiguraWeightsError("config.json", f"{key} = {config[key]!r}", f"{allowed[0]!r}")
    first = config["block_out_channels"][0]
    if first % 32 or any(width % first for width in config["block_out_channels"]):
        raise FiguraWeightsError(
            "config.json", f"block_out_channels {list(config['block_out_channels'])}",
            "multiples of 32 that are multiples of the first",
        )  # fmt: skip


def _per_level(value: int | list[int] | tuple[int, ...], levels: int) -> list[int]:
    return [value] * levels if isinstance(value, int) else list(value)


def _middle(config: dict[str, Any], depth: list[int]) -> int:
    kind = config.get("mid_block_type", "UNetMidBlock2DCrossAttn")
    return -2 if kind is None else depth[-1] if "CrossAttn" in kind else -1


def _heads(config: dict[str, Any], widths: list[int]) -> dict[str, int]:
    """One head count for all levels (SD1.5), or one head width (SD2, SDXL). diffusers' key names lie."""
    counts = _per_level(config.get("num_attention_heads") or config.get("attention_head_dim", 8), len(widths))
    if len(set(counts)) == 1:
        return {"num_heads": counts[0], "num_head_channels": -1}
    head_widths = {width // count for width, count in zip(widths, counts, strict=True)}
    if len(head_widths) == 1:
        return {"num_heads": -1, "num_head_channels": head_widths.pop()}
    raise FiguraWeightsError(
        "config.json",
        f"attention heads {counts} for widths {widths}",
        "one count or one width for all levels",
    )


def _unet_modules(unet_config: UNetConfig) -> dict[str, str]:
    """diffusers module -> LDM module, for the blocks of this configuration."""
    modules = dict(_UNET_TOP)
    res, depth = list(unet_config["num_res_blocks"]), list(unet_config["transformer_depth"])
    depth_out, last = list(unet_config["transformer_depth_output"]), len(res) - 1
    n = 1
    for level, count in enumerate(res):
        for i in range(count):
            modules[f"down_blocks.{level}.resnets.{i}"] = f"input_blocks.{n}.0"
            if depth.pop(0):
                modules[f"down_blocks.{level}.attentions.{i}"] = f"input_blocks.{n}.1"
            n += 1
        if level < last:
            modules[f"down_blocks.{level}.downsamplers.0.conv"] = f"input_blocks.{n}.0.op"
            n += 1
    modules |= {"mid_block.resnets.0": "middle_block.0", "mid_block.attentions.0": "middle_block.1"}
    modules["mid_block.resnets.1"] = "middle_block.2"
    n = 0
    for up, count in enumerate(reversed(res)):
        for i in range(count + 1):
            modules[f"up_blocks.{up}.resnets.{i}"] = f"output_blocks.{n}.0"
            attends = bool(depth_out.pop())
            if attends:
                modules[f"up_blocks.{up}.attentions.{i}"] = f"output_blocks.{n}.1"
            if i == count and up < last:
                modules[f"up_blocks.{up}.upsamplers.0.conv"] = f"output_blocks.{n}.{1 + attends}.conv"
            n += 1
    return modules


def _rename(state: StateDict, modules: dict[str, str], resnet: dict[str, str]) -> StateDict:
    """Rename each tensor by the longest module that its name begins with; unknown names stay as they are."""
    renamed = {}
    for name, tensor in state.items():
        parts = name.split(".")
        for cut in range(len(parts) - 1, 0, -1):
            module = modules.get(".".join(parts[:cut]))
            if module is not None:
                rest = ".".join(parts[cut:])
                for old, new in resnet.items():
                    if rest.startswith(old + "."):
                        rest = new + rest[len(old) :]
                        break
                name = f"{module}.{rest}"
                break
        renamed[name] = tensor
    return renamed


def unet_to_ldm(state: StateDict, unet_config: UNetConfig) -> StateDict:
    """diffusers UNet names -> LDM names (without ``model.diffusion_model.``)."""
    return _rename(state, _unet_modules(unet_config), _RESNET)


def unet_to_diffusers(state: StateDict, unet_config: UNetConfig) -> StateDict:
    """LDM UNet names (without prefix) -> diffusers names."""
    modules = {new: old for old, new in _unet_modules(unet_config).items() if not old.startswith("class_")}
    return _rename(state, modules, {new: old for old, new in _RESNET.items()})


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
