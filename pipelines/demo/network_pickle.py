"""Writes generators as network .pkl files in the layouts that StyleGAN's own code wrote, without that code.

Module source is left empty. Of use for tests, the demo, and trials with full-size networks; the files load in
the original code as well as in ours only where that code finds its own classes, as the source text is
missing.
"""

from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..common.files import atomic_path
from ..common.opcodes import Call, Opcodes
from ..stylegan_human.configs import V1Config, V2Config, V3Config
from ..stylegan_human.networks.generator import Generator


def write_network(path: str | Path, generator: Generator, only_ema: bool = False) -> None:
    """Write ``generator`` as the G_ema of a network .pkl, in the layout of its generation (v1, v2 or v3).

    ``only_ema`` leaves the other entries out, as pivotal tuning does (v2 and v3).
    """
    if isinstance(generator.config, V1Config):
        root: Any = tensorflow_networks(generator)
    else:
        network = persistent(generator, "Generator", _constructor(generator.config))
        rest = {"training_set_kwargs": None, "G": None, "D": None, "augment_pipe": None}
        root = {"G_ema": network} if only_ema else {**rest, "G_ema": network}
    with atomic_path(path) as temporary, open(temporary, "wb") as file:
        Opcodes(file).dump(root)


def _constructor(config: V2Config | V3Config) -> dict[str, Any]:
    """The keyword arguments that the original's ``Generator`` was constructed with. NVIDIA's own, whose
    pictures are square, does not know the word ``square``.
    """
    kwargs: dict[str, Any] = {
        "z_dim": config.z_dim, "c_dim": config.c_dim, "w_dim": config.w_dim,
        "img_channels": config.img_channels,
        "img_resolution": config.resolution,
        "mapping_kwargs": {"num_layers": config.mapping_layers},
        **({} if config.square else {"square": False}),
    }  # fmt: skip
    names = ["channel_base", "channel_max", "num_fp16_res", "conv_clamp"]
    if isinstance(config, V2Config):
        return kwargs | {"synthesis_kwargs": {name: getattr(config, name) for name in names}}
    names += ["conv_kernel", "use_radial_filters", "magnitude_ema_beta"]
    return kwargs | {name: getattr(config, name) for name in names}


CLASSES = {
    "Mapping": "MappingNetwork", "SynthesisV2": "SynthesisNetwork", "SynthesisV3": "SynthesisNetwork",
    "Block": "SynthesisBlock", "Layer": "SynthesisLayer", "ToRGB": "ToRGBLayer",
    "FourierInput": "SynthesisInput", "FullyConnected": "FullyConnectedLayer",
}  # fmt: skip


def persistent(module: torch.nn.Module, class_name: str, kwargs: dict[str, Any]) -> Call:
    """A module as ``torch_utils.persistence`` pickles it: class name, empty source, and its ``__dict__``."""
    children = {
        name: persistent(child, CLASSES[type(child).__name__], {})
        for name, child in module.named_children()
        if child is not None
    }
    state = {
        "training": False,
        "_parameters": OrderedDict((name, _parameter(value)) for name, value in module._parameters.items()),
        "_buffers": OrderedDict(module._buffers),
        "_modules": OrderedDict(children),
        "_init_args": (),
        "_init_kwargs": kwargs,
    }
    meta = {"type": "class", "version": 6, "module_src": "", "class_name": class_name, "state": state}
    return Call("torch_utils.persistence", "_reconstruct_persistent_obj", meta)


def _parameter(value: Tensor | None) -> Call | None:
    return None if value is None else Call("torch._utils", "_rebuild_parameter", value, False, OrderedDict())


def tensorflow_networks(generator: Generator) -> tuple[Call, Call, Call]:
    """G, D and Gs of a v1 file, each with the variables of ``generator`` in TensorFlow's layouts; Gs
    counts.
    """
    config = generator.config
    assert isinstance(config, V1Config)
    static = {
        "num_channels": config.img_channels, "label_size": config.c_dim, "resolution": config.resolution,
        "latent_size": config.z_dim, "dlatent_size": config.w_dim, "mapping_layers": config.mapping_layers,
        "mapping_fmaps": config.w_dim, "fmap_base": config.fmap_base, "fmap_max": config.fmap_max,
    }  # fmt: skip
    mapping, synthesis = _tensorflow_variables(generator)
    parts = {
        "synthesis": _tensorflow_network("G_synthesis", static, synthesis, {}),
        "mapping": _tensorflow_network("G_mapping", static, mapping, {}),
    }
    own = [("lod", np.float32(0)), ("dlatent_avg", generator.mapping.w_avg.numpy())]
    networks = [_tensorflow_network(name, static, own, parts) for name in ("G", "D", "Gs")]
    return networks[0], networks[1], networks[2]


def _tensorflow_network(name: str, static: dict, variables: list, components: dict) -> Call:
    state = {
        "version": 3, "name": name, "static_kwargs": static, "components": components, "build_module_src": "",
        "build_func_name": name, "variables": [(key, np.asarray(value)) for key, value in variables],
    }  # fmt: skip
    return Call("dnnlib.tflib.network", "Network", state=state, new=True)


def _tensorflow_variables(generator: Generator) -> tuple[list, list]:
    state = {name: tensor.detach() for name, tensor in generator.state_dict().items()}
    mapping, synthesis = [], [("lod", np.float32(0))]
    for i in range(generator.mapping.num_layers):
        mapping.append((f"Dense{i}/weight", state[f"mapping.fc{i}.weight"].t().numpy()))
        mapping.append((f"Dense{i}/bias", state[f"mapping.fc{i}.bias"].numpy()))
    for i in range(generator.synthesis.num_ws):
        height, ours = 4 << (i // 2), f"synthesis.l{i}"
        word = (("Const", "Conv") if height == 4 else ("Conv0_up", "Conv1"))[i % 2]
        theirs = f"{height}x{height}/{word}"
        if i == 0:
            synthesis.append((f"{theirs}/const", state["synthesis.const"].numpy()))
        else:
            synthesis.append((f"{theirs}/weight", state[f"{ours}.weight"].permute(2, 3, 1, 0).numpy()))
        synthesis.append((f"noise{i}", state[f"{ours}.noise_const"][None, None].numpy()))
        synthesis.append((f"{theirs}/Noise/weight", state[f"{ours}.noise_strength"].numpy()))
        synthesis.append((f"{theirs}/bias", state[f"{ours}.bias"].numpy()))
        synthesis.append((f"{theirs}/StyleMod/weight", state[f"{ours}.style.weight"].t().numpy()))
        synthesis.append((f"{theirs}/StyleMod/bias", state[f"{ours}.style.bias"].numpy()))
    synthesis.append(("ToRGB_lod0/weight", state["synthesis.torgb_weight"].permute(2, 3, 1, 0).numpy()))
    synthesis.append(("ToRGB_lod0/bias", state["synthesis.torgb_bias"].numpy()))
    return mapping, synthesis
