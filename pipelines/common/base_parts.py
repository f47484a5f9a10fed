"""Stable Diffusion bases as plain tensors, part by part, from single files and from diffusers folders.

Who builds networks of its own from them (ComfyUI, a trainer that widens a UNet) reads here; ``base_model``
builds diffusers' and transformers' modules.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from . import ldm, ldm_text, ldm_vae
from .errors import FiguraWeightsError
from .ldm import UNetConfig
from .weights import StateDict, load_state_dict, read_header


@dataclass
class BaseParts:
    """What a base holds, named as in single files."""

    encoders: dict[str, StateDict]
    """Text encoders under transformers' names, by ComfyUI's names; ``clip_h`` with OpenCLIP's last layer."""
    vae: StateDict
    """LDM names without prefix."""
    unet: StateDict
    """LDM names without prefix; empty unless asked for."""
    unet_config: UNetConfig | None = None
    """Only a folder's: in a single file shapes tell it, and the family the heads."""
    v_prediction: bool | None = None
    """Only a folder's, where it has a scheduler: whether the UNet predicts velocities."""


def open_parts(path: Path, *, unet: bool = False) -> BaseParts:
    """Read a full single-file checkpoint or a diffusers folder; the UNet only if asked for."""
    return open_folder(path, unet=unet) if path.is_dir() else open_file(path, unet=unet)


def open_file(path: Path, *, unet: bool = False) -> BaseParts:
    """Read the parts of a full single-file checkpoint (LDM or sgm names); the UNet only if asked for."""
    names = read_header(path)
    has_vae = any(name.startswith(ldm_vae.VAE_PREFIX) for name in names)
    if not encoders_in(names) or not has_vae:
        raise FiguraWeightsError(
            path.name, "no text encoder or no VAE in it", "a full checkpoint of the base model",
            "This looks like a part of one, perhaps a UNet alone; the base is another file.",
        )  # fmt: skip
    text_state = load_state_dict(path, prefix="cond_stage_model.") | load_state_dict(
        path, prefix="conditioner."
    )
    is_refiner = f"{ldm.UNET_PREFIX}label_emb.0.0.weight"
    if is_refiner in names:
        text_state[is_refiner] = torch.empty(0)
    return BaseParts(
        ldm_text.text_encoders(text_state),
        ldm.strip_prefix(load_state_dict(path, prefix=ldm_vae.VAE_PREFIX), ldm_vae.VAE_PREFIX),
        ldm.strip_prefix(load_state_dict(path, prefix=ldm.UNET_PREFIX), ldm.UNET_PREFIX) if unet else {},
    )


def open_folder(path: Path, *, unet: bool = False) -> BaseParts:
    """Read the parts of a diffusers folder; the UNet only if asked for."""
    encoders = {name: ldm_text.text_names(state) for name, (_, state) in read_encoders(path).items()}
    if "clip_h" in encoders:
        encoders["clip_h"] = ldm_text.repeat_last_layer(encoders["clip_h"])
    vae = read_module(vae_folder(path))[1]
    vae = ldm_vae.vae_to_ldm(vae) if ldm_vae.is_diffusers_vae(vae) else vae
    schedule = read_schedule(path)
    velocity = None if schedule is None else schedule.get("prediction_type") == "v_prediction"
    if not unet:
        return BaseParts(encoders, vae, {}, None, velocity)
    config, state = read_module(path / "unet")
    sizes = ldm.unet_config_from_diffusers(config)
    state = ldm.unet_to_ldm(state, sizes) if ldm.is_diffusers_unet(state) else state
    return BaseParts(encoders, vae, state, sizes, velocity)


def encoders_in(names: Iterable[str]) -> set[str]:
    """Which text encoders a single file has, told from its names alone."""
    tables = [name for name in names if name.endswith("token_embedding.weight")]
    return set(ldm_text.text_encoders({name: torch.empty(0) for name in tables}))


def encoders_of(path: Path) -> set[str]:
    """Which text encoders a single file or a diffusers folder has; reads no weights."""
    if not path.is_dir():
        return encoders_in(read_header(path))
    return {encoder_name(folder.name, read_config(folder / "config.json")) for folder in _text_folders(path)}


def read_encoders(path: Path) -> dict[str, tuple[dict[str, Any], StateDict]]:
    """Configuration and weights of a diffusers folder's text encoders, by ComfyUI's names.

    Raises:
        FiguraWeightsError: no text encoder or no VAE there.
    """
    found = {}
    for folder in _text_folders(path):
        config, state = read_module(folder)
        found[encoder_name(folder.name, config)] = config, state
    if not found or not vae_folder(path).is_dir():
        raise FiguraWeightsError(
            path.name, "a folder without text_encoder/ and vae/", "a diffusers folder of the base model",
            "Give the folder that holds model_index.json, or a single .safetensors checkpoint.",
        )  # fmt: skip
    return found


def _text_folders(path: Path) -> list[Path]:
    return [path / name for name in ("text_encoder", "text_encoder_2") if (path / name).is_dir()]


def encoder_name(folder: str, config: Mapping[str, Any]) -> str:
    """ComfyUI's name of the text encoder in a sub-folder."""
    if folder == "text_encoder_2" or "WithProjection" in "".join(config.get("architectures") or []):
        return "clip_g"
    return "clip_h" if config.get("hidden_act") == "gelu" else "clip_l"


def vae_folder(path: Path) -> Path:
    """``vae/`` of a diffusers folder; bases that share one lie beside it, as the demo models do."""
    own = path / "vae"
    return own if own.is_dir() else path.parent / "vae"


def read_module(folder: Path) -> tuple[dict[str, Any], StateDict]:
    """``config.json`` and the weights that lie in one folder of a diffusers model."""
    return read_config(folder / "config.json"), load_state_dict(folder)


def read_schedule(path: Path) -> dict[str, Any] | None:
    """diffusers' scheduler configuration of a folder, where it brings one."""
    file = path / "scheduler" / "scheduler_config.json"
    return read_config(file) if file.is_file() else None


def read_config(path: Path) -> dict[str, Any]:
    """A model's config.json, or {} where there is none; a damaged one raises FiguraWeightsError."""
    if not path.is_file():
        return {}
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise FiguraWeightsError(
            path.name, f"a file that is not JSON ({error})", "a model's config.json"
        ) from error
    if not isinstance(config, dict):
        raise FiguraWeightsError(path.name, type(config).__name__, "a JSON object")
    return config
