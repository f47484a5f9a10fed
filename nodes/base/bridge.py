"""Bases as ComfyUI's own MODEL, CLIP and VAE."""

from pathlib import Path

from comfy import supported_models

from ...pipelines.common import base_parts, ldm
from ...pipelines.common.errors import FiguraWeightsError
from .. import host, native

DEMO = "base/mannequins-*"
FAMILIES = {
    frozenset({"clip_l"}): supported_models.SD15,
    frozenset({"clip_h"}): supported_models.SD20,
    frozenset({"clip_l", "clip_g"}): supported_models.SDXL,
    frozenset({"clip_g"}): supported_models.SDXLRefiner,
}


def find(name: str) -> Path:
    """The file or folder that the combo names."""
    return host.base_path(name, DEMO)


def load(name: str, weight_dtype: str):
    """Build (MODEL, CLIP, VAE); the family is told from the text encoders."""
    dtype = native.weight_dtype(weight_dtype)
    parts = base_parts.open_parts(find(name), unet=True)
    family = FAMILIES.get(frozenset(parts.encoders))
    if family is None or not parts.unet:
        raise FiguraWeightsError(
            name, f"text encoders {sorted(parts.encoders)} and {len(parts.unet)} UNet tensors",
            "a whole Stable Diffusion 1.5, 2.x or XL",
        )  # fmt: skip
    sizes = parts.unet_config or native.unet_config_from_ldm(parts.unet, family)
    _require_plain(name, sizes)
    model = native.load_unet(
        parts.unet, sizes, family, v_prediction=parts.v_prediction, dtype=dtype, what=name
    )
    return model, native.load_clip(parts.encoders, family, what=name), native.load_vae(parts.vae, what=name)


def _require_plain(name: str, sizes: ldm.UNetConfig) -> None:
    channels = sizes["in_channels"]
    if channels != 4:
        raise FiguraWeightsError(
            name, f"a UNet with {channels} input channels", "one with 4, as plain Stable Diffusion",
            "HumanSD Loader opens HumanSD; Load Checkpoint opens inpainting models.",
        )  # fmt: skip
