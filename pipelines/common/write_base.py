"""Stable Diffusion bases as they are released: diffusers folders, and LDM single files."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import nn

from . import ldm, ldm_text, ldm_vae
from .compact_text import compact
from .diffusion import STABLE_DIFFUSION
from .files import atomic_path
from .text import PAD, tokenizer
from .weights import StateDict, save_state_dict

FOLDERS = {"clip_l": "text_encoder", "clip_h": "text_encoder", "clip_g": "text_encoder_2"}
WEIGHTS, TEXT_WEIGHTS = "diffusion_pytorch_model.safetensors", "model.safetensors"


def write_base(
    folder: Path,
    unet: Any,
    encoders: Mapping[str, nn.Module],
    vae: Any,
    scheduler: dict[str, Any] | None = None,
) -> None:
    """Write a diffusers folder: ``model_index.json``, UNet, text encoders with their tokenizers, VAE and
    scheduler, fp32. Any diffusers pipeline of the family opens it."""
    write_module(folder / "unet", unet, WEIGHTS)
    write_module(folder / "vae", vae, WEIGHTS)
    for name, encoder in encoders.items():
        place = FOLDERS[name]
        write_module(folder / place, encoder, TEXT_WEIGHTS)
        tokenizer(PAD[name][0]).save_pretrained(folder / place.replace("text_encoder", "tokenizer"))
    _write_index(folder, encoders, scheduler)


def write_small(folder: Path, unet: Any, encoders: Mapping[str, nn.Module], half: bool = True) -> None:
    """The same folder for this pack's loaders alone: few words, no tokenizer, and the autoencoder is the one
    in ``vae/`` beside the folder, which several bases share."""
    write_module(folder / "unet", unet, WEIGHTS, half)
    for name, encoder in encoders.items():
        place = folder / FOLDERS[name]
        state = compact(ldm_text.text_names(dict(encoder.state_dict())))
        save_state_dict(place / TEXT_WEIGHTS, halved(state) if half else state)
        _write_config(place, encoder)
    _write_index(folder, encoders, None)


def _write_index(folder: Path, encoders: Mapping[str, nn.Module], scheduler: dict[str, Any] | None) -> None:
    settings = {"_class_name": "DDIMScheduler"} | (scheduler or STABLE_DIFFUSION)
    write_json(folder / "scheduler" / "scheduler_config.json", settings)
    write_json(folder / "model_index.json", _index(encoders, settings["_class_name"]))


def _index(encoders: Mapping[str, nn.Module], scheduler: str) -> dict[str, Any]:
    sdxl = "clip_g" in encoders
    index: dict[str, Any] = {
        "_class_name": "StableDiffusionXLPipeline" if sdxl else "StableDiffusionPipeline",
        "unet": ["diffusers", "UNet2DConditionModel"],
        "vae": ["diffusers", "AutoencoderKL"],
        "scheduler": ["diffusers", scheduler],
        "feature_extractor": [None, None],
    }
    for name, encoder in encoders.items():
        index[FOLDERS[name]] = ["transformers", type(encoder).__name__]
        index[FOLDERS[name].replace("text_encoder", "tokenizer")] = ["transformers", "CLIPTokenizer"]
    return index if sdxl else index | {"safety_checker": [None, None], "requires_safety_checker": False}


def write_module(folder: Path, module: Any, name: str, half: bool = False) -> None:
    """``config.json`` and the weights of one diffusers or transformers module."""
    save_state_dict(folder / name, halved(dict(module.state_dict())) if half else dict(module.state_dict()))
    _write_config(folder, module)


def _write_config(folder: Path, module: Any) -> None:
    config = module.config
    text = config.to_json_string() if hasattr(config, "to_json_string") else module.to_json_string()
    write_json(folder / "config.json", json.loads(text))


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """A JSON file, whole or not at all."""
    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def halved(state: StateDict) -> StateDict:
    """Floating point tensors in fp16."""
    return {name: tensor.half() if tensor.is_floating_point() else tensor for name, tensor in state.items()}


def single_file(
    unet: Any, encoders: Mapping[str, nn.Module], vae: nn.Module, few_words: bool = False
) -> StateDict:
    """SD1.5's or SD2.1's single-file names: UNet, VAE and text encoder under their prefixes.

    Args:
        few_words: keep only the token rows that are not zero (compact_text.py). Our loaders put them back;
            others cannot open such a file.
    """
    ((name, encoder),) = encoders.items()
    words = ldm_text.text_names(dict(encoder.state_dict()))
    if name == "clip_h":
        words = ldm_text.openclip_from_transformers(ldm_text.repeat_last_layer(words))
        prefix = "cond_stage_model.model."
    else:
        prefix = "cond_stage_model.transformer."
    if few_words:
        words = _few(words)
    network = ldm.unet_to_ldm(dict(unet.state_dict()), ldm.unet_config_from_diffusers(dict(unet.config)))
    autoencoder = ldm_vae.vae_to_ldm(dict(vae.state_dict()))
    parts = {ldm.UNET_PREFIX: network, ldm_vae.VAE_PREFIX: autoencoder, prefix: words}
    return {before + key: tensor for before, part in parts.items() for key, tensor in part.items()}


def _few(words: StateDict) -> StateDict:
    """The same for OpenCLIP's names."""
    if ldm_text.TOKENS in words:
        return compact(words)
    few = compact({ldm_text.TOKENS: words["token_embedding.weight"]})
    return words | {
        "token_embedding.weight": few[ldm_text.TOKENS],
        "token_embedding.rows": few[ldm_text.ROWS],
    }
