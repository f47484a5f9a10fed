"""Names in the released network files <-> names in our modules, and the constructor's arguments <-> our
configs.

v2 and v3 files (PyTorch pickles) use our names already. v1 files hold TensorFlow variables in TensorFlow
layouts. Our own .safetensors carry the config as JSON in their metadata.
"""

import json
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..common.errors import FiguraWeightsError
from . import configs
from .configs import Config, V1Config, V2Config, V3Config
from .networks.filters import plan_layers

METADATA_KEY = "figura.stylegan"
StateDict = dict[str, Tensor]
Shapes = Mapping[str, tuple[int, ...]]


def config_from_kwargs(kwargs: Mapping[str, Any], shapes: Shapes) -> V2Config | V3Config:
    """The config of a PyTorch-era generator, from its constructor's arguments and its tensors' shapes."""
    mapping = dict(kwargs.get("mapping_kwargs") or {})
    values = {name: kwargs[name] for name in ("z_dim", "c_dim", "w_dim", "img_channels") if name in kwargs}
    values["resolution"] = int(kwargs["img_resolution"])
    third = "synthesis.input.freqs" in shapes
    nested = kwargs.get("synthesis_kwargs")  # the v3 code base writes v2 networks too, without this nesting
    synthesis = {**kwargs, **(nested or {})}
    later = third or nested is None
    family = V3Config if third else V2Config
    names = set(family.__dataclass_fields__) - {"square", "resolution"}
    values |= {name: _number(synthesis[name]) for name in names if name in synthesis}
    # The constructors' defaults differ from the released settings that our configs default to.
    values.setdefault("num_fp16_res", 4 if later else 0)
    values.setdefault("conv_clamp", 256 if later else None)
    values["mapping_layers"] = mapping.get("num_layers", 2 if third else 8)
    values["mapping_lr_multiplier"] = mapping.get("lr_multiplier", 0.01)
    values["w_avg_beta"] = mapping.get("w_avg_beta", 0.998 if third else 0.995)
    return _with_shape(family, values, shapes, kwargs.get("square"))


def _with_shape(
    family: type, values: dict[str, Any], shapes: Shapes, square: bool | None
) -> V2Config | V3Config:
    """Settle ``square``: as the file says, else (upstream files do not know the word) as the tensors show."""
    if square is not None:
        return family(square=bool(square), **values)
    if family is V2Config:
        const = shapes.get("synthesis.b4.const", (0, 4, 4))
        return V2Config(square=const[1] == const[2], **values)
    config = V3Config(square=True, **values)
    fits = any(name.startswith(f"synthesis.{plan_layers(config)[0].name}.") for name in shapes)
    return config if fits else V3Config(square=False, **values)


def _number(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else value


def config_from_variables(static: Mapping[str, Any], variables: Mapping[str, np.ndarray]) -> V1Config:
    """The config of a TensorFlow-era generator, from its static arguments and its variables' shapes."""
    const = variables["G_synthesis/4x4/Const/const"].shape
    names = {
        "z_dim": "latent_size", "w_dim": "dlatent_size", "c_dim": "label_size",
        "img_channels": "num_channels",
        "mapping_layers": "mapping_layers", "mapping_lr_multiplier": "mapping_lrmul",
        "fmap_base": "fmap_base",
        "fmap_max": "fmap_max", "truncation_cutoff": "truncation_cutoff",
    }  # fmt: skip
    values = {ours: _number(static[theirs]) for ours, theirs in names.items() if theirs in static}
    resolution = static.get("resolution") or max(
        array.shape[2] for name, array in variables.items() if name.startswith("G_synthesis/noise")
    )
    fused = static.get("fused_scale", "auto")
    return V1Config(
        resolution=int(resolution),
        square=const[2] == const[3],
        fused_scale=None if fused == "auto" else bool(fused),
        **values,
    )


def state_from_variables(variables: Mapping[str, np.ndarray], config: V1Config) -> StateDict:
    """TensorFlow variables -> our v1 state dict: HWIO -> OIHW, [in, out] -> [out, in]."""
    source = _Variables(variables)
    state = {"mapping.w_avg": source.plain("dlatent_avg")}
    for i in range(config.mapping_layers):
        state[f"mapping.fc{i}.weight"] = source.dense(f"G_mapping/Dense{i}/weight")
        state[f"mapping.fc{i}.bias"] = source.plain(f"G_mapping/Dense{i}/bias")
    state["synthesis.const"] = source.plain("G_synthesis/4x4/Const/const")
    for i in range(config.num_ws):
        state |= _layer_v1(source, i)
    state["synthesis.torgb_weight"] = source.conv("G_synthesis/ToRGB_lod0/weight")
    state["synthesis.torgb_bias"] = source.plain("G_synthesis/ToRGB_lod0/bias")
    return state


def _layer_v1(source: "_Variables", index: int) -> StateDict:
    height = 4 << (index // 2)
    names = ("Const", "Conv") if height == 4 else ("Conv0_up", "Conv1")
    theirs, ours = f"G_synthesis/{height}x{height}/{names[index % 2]}", f"synthesis.l{index}"
    state = {
        f"{ours}.bias": source.plain(f"{theirs}/bias"),
        f"{ours}.noise_strength": source.plain(f"{theirs}/Noise/weight"),
        f"{ours}.noise_const": source.plain(f"G_synthesis/noise{index}")[0, 0],
        f"{ours}.style.weight": source.dense(f"{theirs}/StyleMod/weight"),
        f"{ours}.style.bias": source.plain(f"{theirs}/StyleMod/bias"),
    }
    return state | ({f"{ours}.weight": source.conv(f"{theirs}/weight")} if index else {})


class _Variables:
    """Reads TensorFlow variables in torch's layouts."""

    def __init__(self, arrays: Mapping[str, np.ndarray]) -> None:
        self.arrays = arrays

    def plain(self, name: str) -> Tensor:
        if name not in self.arrays:
            raise FiguraWeightsError("network", f"no variable '{name}'", "a StyleGAN1 generator, whole")
        return torch.from_numpy(np.array(self.arrays[name], dtype=np.float32))

    def dense(self, name: str) -> Tensor:
        return self.plain(name).t().contiguous()

    def conv(self, name: str) -> Tensor:
        return self.plain(name).permute(3, 2, 0, 1).contiguous()


def discriminator_v1_state(variables: Mapping[str, np.ndarray], resolution: int) -> StateDict:
    """TensorFlow variables of a v1 discriminator -> the state dict of our DiscriminatorV1."""
    source = _Variables(variables)
    pairs = {"FromRGB_lod0": "fromrgb", "4x4/Conv": "conv"}
    for i in range(int(math.log2(resolution)) - 2):
        height = resolution >> i
        pairs |= {
            f"{height}x{height}/Conv0": f"b{height}_conv0",
            f"{height}x{height}/Conv1_down": f"b{height}_conv1",
        }
    state = {f"{ours}.weight": source.conv(f"{theirs}/weight") for theirs, ours in pairs.items()}
    dense = {"4x4/Dense0": "fc", "4x4/Dense1": "out"}
    state |= {f"{ours}.weight": source.dense(f"{theirs}/weight") for theirs, ours in dense.items()}
    return state | {
        f"{ours}.bias": source.plain(f"{theirs}/bias") for theirs, ours in (pairs | dense).items()
    }


def to_metadata(config: Config) -> dict[str, str]:
    """What our own .safetensors carry beside the tensors."""
    return {METADATA_KEY: json.dumps(configs.to_dict(config)), "format": "pt"}


def from_metadata(metadata: Mapping[str, str]) -> Config | None:
    """The config of one of our own files, or None for any other file."""
    text = metadata.get(METADATA_KEY)
    try:
        return configs.from_dict(json.loads(text)) if text else None
    except (ValueError, KeyError, TypeError) as error:
        raise FiguraWeightsError(
            "network", f"broken metadata ({error})", "a file written by figura"
        ) from error


def check_state(state: StateDict, expected: Shapes, name: str) -> None:
    """Raise FiguraWeightsError unless ``state`` has exactly the expected names and shapes."""
    missing = sorted(set(expected) - set(state))
    extra = sorted(set(state) - set(expected))
    wrong = [key for key in expected if key in state and tuple(state[key].shape) != tuple(expected[key])]
    if missing or extra:
        raise FiguraWeightsError(
            name, f"{len(missing)} tensors missing {missing[:5]}, {len(extra)} unknown {extra[:5]}",
            f"a generator of {len(expected)} tensors", "The file is damaged, or of another architecture.",
        )  # fmt: skip
    if wrong:
        key = wrong[0]
        raise FiguraWeightsError(
            name, f"{key} of shape {list(state[key].shape)}", f"shape {list(expected[key])}",
            "The file's tensors disagree with its own description.",
        )  # fmt: skip
