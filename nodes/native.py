"""Ordinary ComfyUI MODEL, CLIP and VAE of any size, from weights and a configuration.

ComfyUI's own loaders accept only the released sizes; these build the same objects for any. Nothing is
registered in ComfyUI's tables. Layers of ComfyUI start uninitialised, so every tensor is checked by name
and shape before a network is built.
"""

import inspect
from collections.abc import Mapping

import comfy.model_management as management
import comfy.model_patcher
import comfy.ops
import comfy.sd
import comfy.utils
import folder_paths
import torch
from comfy import model_base, supported_models
from comfy.ldm.models.autoencoder import AutoencoderKL
from comfy.ldm.modules.diffusionmodules.openaimodel import UNetModel

from ..pipelines.common import ldm, ldm_text, ldm_vae
from ..pipelines.common.errors import FiguraWeightsError
from ..pipelines.common.ldm import UNetConfig, unet_config_from_diffusers
from ..pipelines.common.least_size import Levels
from ..pipelines.common.weights import StateDict
from .compat import advanced, io, one_of

__all__ = [
    "DTYPES",
    "load_clip",
    "load_unet",
    "load_vae",
    "unet_config_from_diffusers",
    "unet_config_from_ldm",
    "unet_levels",
    "weight_dtype",
    "weight_dtype_input",
]

Patcher = comfy.model_patcher.ModelPatcher
NewPatcher = getattr(comfy.model_patcher, "CoreModelPatcher", Patcher)  # pages weights in 2026's ComfyUI
DTYPES = {
    "auto": None,
    "fp32": torch.float32,
    "bf16": torch.bfloat16,
    "fp16": torch.float16,
    "fp8_e4m3fn": torch.float8_e4m3fn,
}
HEADS = {  # what shapes do not tell, by family: one head count for all levels, or one head width
    supported_models.SD15: {"num_heads": 8, "num_head_channels": -1},
    supported_models.SD20: {"num_heads": -1, "num_head_channels": 64},
    supported_models.SDXL: {"num_heads": -1, "num_head_channels": 64},
    supported_models.SDXLRefiner: {"num_heads": -1, "num_head_channels": 64},
}


def weight_dtype_input():
    """The input ``weight_dtype`` of a loader."""
    return advanced(
        io.Combo, "weight_dtype", options=list(DTYPES), default="auto",
        tooltip="Type of the UNet's weights in memory. auto: what ComfyUI takes on this device.",
    )  # fmt: skip


def weight_dtype(name: str) -> torch.dtype | None:
    """The type that the input names, None for auto. Raises: FiguraInputError."""
    return DTYPES[one_of("weight_dtype", name, DTYPES)]


def unet_config_from_ldm(state: StateDict, family: type) -> UNetConfig:
    """Read a UNet's configuration from LDM-named shapes; heads are those of the family."""
    return ldm.unet_config_from_shapes(state) | HEADS[family]


def load_unet(
    state: StateDict,
    unet_config: UNetConfig,
    family: type,
    *,
    base_model: type | None = None,
    v_prediction: bool | None = None,
    dtype: torch.dtype | None = None,
    what: str = "UNet",
) -> Patcher:
    """Build a MODEL from UNet weights under diffusers or LDM names (without prefix).

    Args:
        family: SD15, SD20, SDXL or SDXLRefiner of ``comfy.supported_models``: latents, memory, conditioning.
        base_model: a ``comfy.model_base.BaseModel`` subclass with its own conditioning; the family's if None.
        v_prediction: what the UNet predicts; None lets the family decide from the weights.
        dtype: weights' type, None for ComfyUI's own choice; compute is cast where the device wants another.
        what: the file's name, for messages.
    """
    if ldm.is_diffusers_unet(state):
        state = ldm.unet_to_ldm(state, unet_config)
    _check(what, state, _unet_shapes(unet_config))
    settings = _settings(family, unet_config, state, dtype)
    model = _model(settings, family, state, base_model, v_prediction)
    dim = unet_config.get("addition_time_embed_dim")
    if dim and hasattr(model, "embedder"):
        model.embedder = type(model.embedder)(dim)
    return _filled(model, state)


def unet_levels(model: Patcher) -> list[Levels]:
    """The levels of a MODEL's UNet, for ``check_least``; none where it is no UNet."""
    network = getattr(getattr(model, "model", None), "diffusion_model", None)
    if not isinstance(network, UNetModel):
        return []
    return [Levels([network.model_channels * mult for mult in network.channel_mult], factor=8)]


def _settings(family: type, unet_config: UNetConfig, state: StateDict, dtype: torch.dtype | None):
    """The family's settings object, with our configuration and the dtypes that ComfyUI would choose."""
    settings = family({k: v for k, v in unet_config.items() if k != "addition_time_embed_dim"})
    settings.unet_config |= {key: unet_config[key] for key in ("num_heads", "num_head_channels")}
    supported = list(settings.supported_inference_dtypes)
    if dtype is None:
        dtype = management.unet_dtype(
            model_params=comfy.utils.calculate_parameters(state),
            supported_dtypes=supported,
            weight_dtype=comfy.utils.weight_dtype(state),
        )
    settings.set_inference_dtype(
        dtype, management.unet_manual_cast(dtype, management.get_torch_device(), supported)
    )
    return settings


def _model(settings, family: type, state: StateDict, base_model: type | None, v_prediction: bool | None):
    if v_prediction is not None:
        kind = model_base.ModelType.V_PREDICTION if v_prediction else model_base.ModelType.EPS
        settings.model_type = lambda *args, **kwargs: kind
    if base_model is not None:
        return base_model(settings, model_type=settings.model_type(state, ""))
    return settings.get_model(state, "")


def _filled(model: torch.nn.Module, state: StateDict) -> Patcher:
    """Put the weights in and wrap the model, as core's loader does in this version."""
    offload = management.unet_offload_device()
    patcher = NewPatcher(model, load_device=management.get_torch_device(), offload_device=offload)
    dynamic = getattr(patcher, "is_dynamic", lambda: False)()
    model.to(offload)
    model.load_model_weights(dict(state), "", **({"assign": True} if dynamic else {}))
    return patcher


def load_clip(
    encoders: Mapping[str, StateDict],
    family: type,
    *,
    configs: Mapping[str, dict] | None = None,
    dtype: torch.dtype | None = None,
    what: str = "text encoder",
) -> comfy.sd.CLIP:
    """Build a CLIP from ``{"clip_l" | "clip_h" | "clip_g": weights under transformers' names}``.

    ``ldm_text.text_encoders`` finds them in a single file. ``configs`` gives transformers' configurations
    where heads are not 64 wide. The last layer of clip_h and clip_g is the one that ComfyUI skips.
    """
    target = family({}).clip_target()
    wanted = {"SD15": {"clip_l"}, "SD20": {"clip_h"}, "SDXL": {"clip_l", "clip_g"}, "SDXLRefiner": {"clip_g"}}
    missing = wanted[family.__name__] - set(encoders)
    if missing:
        raise FiguraWeightsError(
            what, f"the text encoders {sorted(encoders) or 'none'}", f"{sorted(wanted[family.__name__])}",
            "Take a full checkpoint of the base model, with its text encoders in it.",
        )  # fmt: skip
    options: dict = {} if dtype is None else {"dtype": dtype}
    weights: StateDict = {}
    for name in sorted(wanted[family.__name__]):
        state, sizes = _text_encoder(encoders[name], name, (configs or {}).get(name), what)
        options[f"{name}_model_config"] = sizes
        weights |= {f"{name}.transformer.{key}": tensor for key, tensor in state.items()}
    return _new_clip(target, weights, options)


def _text_encoder(state: StateDict, name: str, config: dict | None, what: str) -> tuple[StateDict, dict]:
    """Check one encoder; return its weights with a projection, and its sizes as ComfyUI names them."""
    state = ldm_text.text_names(state)
    sizes = ldm_text.text_config_from_shapes(state, name)
    for key in ("num_attention_heads", "hidden_act"):
        sizes[key] = (config or sizes)[key]
    width = sizes["hidden_size"]
    expected = ldm_text.text_shapes(sizes | {"vocab_size": ldm_text.VOCABULARY})
    if (
        "text_projection.weight" not in state and name != "clip_g"
    ):  # unused: SD1.5 and SD2 take no pooled vector
        state = state | {"text_projection.weight": torch.eye(width)}
    _check(what, state, expected | {"text_projection.weight": (width, width)})
    return state, sizes


def _new_clip(target, weights: StateDict, options: dict) -> comfy.sd.CLIP:
    arguments = {
        "embedding_directory": folder_paths.get_folder_paths("embeddings"),
        "parameters": comfy.utils.calculate_parameters(weights),
        "model_options": options,
    }
    if (
        "state_dict" in inspect.signature(comfy.sd.CLIP.__init__).parameters
    ):  # 2026: filled before it is moved
        return comfy.sd.CLIP(target, state_dict=weights, **arguments)
    clip = comfy.sd.CLIP(target, **arguments)
    clip.load_sd(weights, full_model=True)
    return clip


def load_vae(state: StateDict, *, dtype: torch.dtype | None = None, what: str = "VAE") -> comfy.sd.VAE:
    """Build a VAE of any size from weights under diffusers or LDM names (without prefix), or TAESD's."""
    if "taesd_decoder.1.weight" in state:
        return comfy.sd.VAE(sd=dict(state), dtype=dtype)
    state = ldm_vae.vae_to_ldm(state) if ldm_vae.is_diffusers_vae(state) else ldm_vae.own_tensors(state)
    sizes = ldm_vae.vae_config_from_shapes(state)
    embed_dim = sizes.pop("embed_dim")
    sizes |= {"double_z": True, "resolution": 256, "out_ch": 3, "attn_resolutions": [], "dropout": 0.0}
    parameters = {"ddconfig": sizes, "embed_dim": embed_dim}
    with torch.device("meta"):
        shapes = _shapes(AutoencoderKL(**parameters))
    _check(what, state, shapes)
    vae = comfy.sd.VAE(sd=state, config={"params": parameters}, dtype=dtype)
    vae.downscale_ratio = vae.upscale_ratio = 2 ** (len(sizes["ch_mult"]) - 1)
    vae.latent_channels = sizes["z_channels"]
    return vae


def _unet_shapes(unet_config: UNetConfig) -> dict[str, tuple[int, ...]]:
    config = {key: value for key, value in unet_config.items() if key != "addition_time_embed_dim"}
    return _shapes(UNetModel(**config, device="meta", operations=comfy.ops.disable_weight_init))


def _shapes(module: torch.nn.Module) -> dict[str, tuple[int, ...]]:
    return {name: tuple(tensor.shape) for name, tensor in module.state_dict().items()}


def _check(what: str, state: StateDict, expected: Mapping[str, tuple[int, ...]]) -> None:
    """Raise FiguraWeightsError with the counts unless exactly the expected tensors are there."""
    missing = [name for name in expected if name not in state]
    unexpected = [name for name in state if name not in expected]
    wrong = [name for name in expected if name in state and tuple(state[name].shape) != tuple(expected[name])]
    if not (missing or unexpected or wrong):
        return
    parts = []
    for count, names in (("missing", missing), ("unknown", unexpected), ("of another shape", wrong)):
        if names:
            parts.append(f"{len(names)} tensors {count} ({', '.join(names[:5])}{', …' * (len(names) > 5)})")
    raise FiguraWeightsError(
        what, "; ".join(parts), f"the {len(expected)} tensors of this network",
        "The file is of another model or incomplete; check that it lies with its own config.json.",
    )  # fmt: skip
