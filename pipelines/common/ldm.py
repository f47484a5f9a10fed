"""Weight names: diffusers folders <-> LDM single files (CompVis, sgm, OpenCLIP), for any network size.

Only names, shapes and configurations; no model is built here. ``unet_config`` means the LDM repositories'
description of a UNet: ``model_channels``, ``channel_mult``, ``num_res_blocks``, transformer depths and heads.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from .errors import FiguraWeightsError
from .weights import StateDict

UNetConfig = dict[str, Any]

UNET_PREFIX = "model.diffusion_model."
_LDM_CONSTANTS: dict[str, Any] = {
    "image_size": 32,
    "use_spatial_transformer": True,
    "legacy": False,
    "use_temporal_attention": False,
    "use_temporal_resblock": False,
}
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
    with told_config():
        _check_plain(config)
        return _from_diffusers(config)


@contextmanager
def told_config() -> Iterator[None]:
    """Turn what a broken config.json does to code that reads it into a FiguraWeightsError."""
    try:
        yield
    except FiguraWeightsError:
        raise
    except (
        TypeError,
        ValueError,
        KeyError,
        IndexError,
        AttributeError,
        ArithmeticError,
        RuntimeError,
    ) as error:
        raise FiguraWeightsError(
            "config.json", f"values that make no network ({type(error).__name__}: {error})",
            "the configuration of a diffusers UNet2DConditionModel",
            "Take the config.json that lies beside the weights in the same repository.",
        ) from error  # fmt: skip


def _from_diffusers(config: dict[str, Any]) -> UNetConfig:
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
        **_LDM_CONSTANTS,
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
    _check_limits(config)
    first = config["block_out_channels"][0]
    if first % 32 or any(width % first for width in config["block_out_channels"]):
        raise FiguraWeightsError(
            "config.json", f"block_out_channels {list(config['block_out_channels'])}",
            "multiples of 32 that are multiples of the first",
        )  # fmt: skip


_LISTS = {
    "block_out_channels", "layers_per_block", "transformer_layers_per_block", "attention_head_dim",
    "num_attention_heads",
}  # fmt: skip


def _check_limits(config: dict[str, Any]) -> None:
    """Refuse sizes that no released network comes near, before anything is built."""
    limits = {
        "block_out_channels": (1, 8192), "layers_per_block": (1, 16), "transformer_layers_per_block": (1, 64),
        "in_channels": (1, 64), "out_channels": (1, 64), "cross_attention_dim": (1, 16384),
        "attention_head_dim": (1, 1024), "num_attention_heads": (1, 1024),
        "addition_time_embed_dim": (2, 4096), "projection_class_embeddings_input_dim": (1, 65536),
    }  # fmt: skip
    for key, (low, high) in limits.items():
        values = config.get(key)
        listed = isinstance(values, (list, tuple)) and key in _LISTS and len(values) > 0
        for value in values if listed and values else [values]:
            whole = isinstance(value, int) and not isinstance(value, bool) and low <= value <= high
            if values is not None and not whole:
                raise FiguraWeightsError(
                    "config.json", f"{key} = {values!r}", f"whole numbers {low} to {high}"
                )
    if not 1 <= len(config["block_out_channels"]) <= 8:
        raise FiguraWeightsError(
            "config.json", f"{len(config['block_out_channels'])} levels", "1 to 8 levels"
        )


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


def unet_config_from_shapes(state: StateDict) -> UNetConfig:
    """Read a UNet's configuration from LDM-named tensors (without prefix), except its attention heads."""
    try:
        first, last = state["input_blocks.0.0.weight"], state["out.2.weight"]
        width = first.shape[0]
        res, mult, depth = _down_blocks(state, width)
    except KeyError as error:
        raise FiguraWeightsError(
            "UNet", f"{len(state)} tensors, none named {error}", "a Stable Diffusion UNet with LDM names"
        ) from error
    outputs = sum(count + 1 for count in res)
    contexts = [t.shape[1] for n, t in state.items() if n.endswith("attn2.to_k.weight")]
    projections = [t.ndim == 2 for n, t in state.items() if n.endswith(".proj_in.weight")]
    adm = state["label_emb.0.0.weight"].shape[1] if "label_emb.0.0.weight" in state else None
    middle = _depth(state, "middle_block.1.") or (-1 if "middle_block.0.in_layers.0.weight" in state else -2)
    return {
        **_LDM_CONSTANTS,
        "in_channels": first.shape[1],
        "out_channels": last.shape[0],
        "model_channels": width,
        "channel_mult": mult,
        "num_res_blocks": res,
        "transformer_depth": depth,
        "transformer_depth_output": [
            _depth(state, f"output_blocks.{n}.1.") for n in reversed(range(outputs))
        ],
        "transformer_depth_middle": middle,
        "use_linear_in_transformer": any(projections),
        "context_dim": contexts[0] if contexts else None,
        "adm_in_channels": adm,
        **({"num_classes": "sequential"} if adm else {}),
    }


def _down_blocks(state: StateDict, width: int) -> tuple[list[int], list[int], list[int]]:
    """Residual blocks per level, channel multiple per level, transformer depth per block."""
    res, mult, depth, n = [0], [], [], 1
    while any(f"input_blocks.{n}.0.{part}.weight" in state for part in ("op", "in_layers.0")):
        if f"input_blocks.{n}.0.op.weight" in state:
            res.append(0)
        else:
            if res[-1] == 0:
                mult.append(state[f"input_blocks.{n}.0.out_layers.3.weight"].shape[0] // width)
            res[-1] += 1
            depth.append(_depth(state, f"input_blocks.{n}.1."))
        n += 1
    return res, mult, depth


def _depth(state: StateDict, prefix: str) -> int:
    prefix += "transformer_blocks."
    numbers = [int(name[len(prefix) :].split(".")[0]) for name in state if name.startswith(prefix)]
    return 1 + max(numbers, default=-1)


def heads_of_family(unet_config: UNetConfig) -> dict[str, int]:
    """Heads as Stable Diffusion chose them: 8 for SD1 (convolutions around attention), else 64 wide."""
    if unet_config["use_linear_in_transformer"]:
        return {"num_heads": -1, "num_head_channels": 64}
    return {"num_heads": 8, "num_head_channels": -1}


def diffusers_config(unet_config: UNetConfig) -> dict[str, Any]:
    """The ``config.json`` that diffusers needs for a UNet described as LDM does."""
    widths = [unet_config["model_channels"] * mult for mult in unet_config["channel_mult"]]
    res, depth = unet_config["num_res_blocks"], iter(unet_config["transformer_depth"])
    per_level = [[next(depth) for _ in range(count)][0] for count in res]
    middle = unet_config["transformer_depth_middle"]
    heads = unet_config["num_heads"]
    adm = unet_config["adm_in_channels"]
    added = {
        "addition_embed_type": "text_time",
        "addition_time_embed_dim": unet_config.get("addition_time_embed_dim", 256),
        "projection_class_embeddings_input_dim": adm,
    }
    return {
        "in_channels": unet_config["in_channels"],
        "out_channels": unet_config["out_channels"],
        "block_out_channels": widths,
        "layers_per_block": list(res) if len(set(res)) > 1 else res[0],
        "transformer_layers_per_block": [*(d or 1 for d in per_level[:-1]), max(middle, per_level[-1], 1)],
        "down_block_types": ["CrossAttnDownBlock2D" if d else "DownBlock2D" for d in per_level],
        "up_block_types": ["CrossAttnUpBlock2D" if d else "UpBlock2D" for d in reversed(per_level)],
        "mid_block_type": {-1: "UNetMidBlock2D", -2: None}.get(middle, "UNetMidBlock2DCrossAttn"),
        "attention_head_dim": heads if heads > 0 else [w // unet_config["num_head_channels"] for w in widths],
        "cross_attention_dim": unet_config["context_dim"],
        "use_linear_projection": unet_config["use_linear_in_transformer"],
        **(added if adm else {}),
    }
