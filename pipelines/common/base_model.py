"""Stable Diffusion bases opened from disk for the command line: text encoders, VAE, UNet, schedule.

A base is a diffusers folder (``model_index.json`` and its sub-folders), a single checkpoint file, or the id
of a repository that is already in Hugging Face's local cache. Nothing is downloaded.
"""

import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import nn

from . import ldm, ldm_text, ldm_vae, text
from .base_parts import open_file, read_encoders, read_module, read_schedule, vae_folder
from .errors import FiguraInputError, FiguraWeightsError
from .least_size import check_least, levels_of
from .weights import StateDict

log = logging.getLogger(__name__)
SD_VAE = {"scaling_factor": 0.18215}
SDXL_VAE = {"scaling_factor": 0.13025}


@dataclass
class Base:
    """An opened base, on the CPU. ``encoders`` by ComfyUI's names: ``clip_l``, ``clip_h``, ``clip_g``."""

    encoders: Mapping[str, nn.Module]
    vae: nn.Module
    scheduler: dict[str, Any] | None = None
    """diffusers' scheduler configuration, where the base brings one."""
    unet: nn.Module | None = field(default=None)
    """Only when it was asked for."""

    def to(self, device: torch.device | str, dtype: torch.dtype, vae_dtype: torch.dtype) -> "Base":
        """Move everything; the VAE in a type of its own, as SDXL's overflows in fp16."""
        for encoder in self.encoders.values():
            move(encoder, device, dtype)
        move(self.vae, device, vae_dtype)
        if self.unet is not None:
            move(self.unet, device, dtype)
        return self

    def check_least(self, height: int, width: int) -> None:
        """Refuse pictures that are too small for a tiny base. Raises: FiguraInputError."""
        unets = [] if self.unet is None else [levels_of(self.unet, 8)]
        check_least(width, height, [*unets, levels_of(self.vae)])


def move(module: nn.Module, device: torch.device | str, dtype: torch.dtype) -> nn.Module:
    """Move a module with all its weights; diffusers' own ``to`` warns where there is nothing to warn of."""
    return nn.Module.to(module, device, dtype)


def find(path: str | Path, what: str, hint: str) -> Path:
    """A local file or folder; an id ``owner/name`` is looked up in Hugging Face's local cache only."""
    local = Path(path).expanduser()
    if local.exists():
        return local
    if re.fullmatch(r"[\w.-]+/[\w.-]+", str(path)):
        from huggingface_hub import snapshot_download
        from huggingface_hub.errors import LocalEntryNotFoundError

        try:
            return Path(snapshot_download(str(path), local_files_only=True))
        except LocalEntryNotFoundError:
            hint = f"Run: hf download {path} — or give a folder or file that you have. {hint}"
    raise FiguraInputError(what, f"'{path}', which is not on this computer", "a file or folder", hint)


def open_base(path: Path, *, unet: bool = False) -> Base:
    """Open text encoders and VAE (and the UNet, if asked for) of a diffusers folder or a single file."""
    return _open_folder(path, unet) if path.is_dir() else _open_file(path, unet)


def _open_folder(path: Path, with_unet: bool) -> Base:
    encoders = {
        name: text.text_encoder(state, name, config, f"{name} of {path.name}")
        for name, (config, state) in read_encoders(path).items()
    }
    config, state = read_module(vae_folder(path))
    network = open_unet(path / "unet") if with_unet else None
    return Base(encoders, build_vae(state, config, f"vae of {path.name}"), read_schedule(path), network)


def _open_file(path: Path, with_unet: bool) -> Base:
    parts = open_file(path, unet=with_unet)
    if "clip_h" in parts.encoders:
        parts.encoders["clip_h"] = ldm_text.drop_last_layer(parts.encoders["clip_h"])
    encoders = {name: text.text_encoder(part, name, what=path.name) for name, part in parts.encoders.items()}
    network = build_unet(parts.unet, ldm_unet_config(parts.unet), path.name) if with_unet else None
    settings = SDXL_VAE if "clip_g" in encoders else SD_VAE
    return Base(encoders, build_vae(parts.vae, settings, path.name), None, network)


def build_vae(state: StateDict, config: Mapping[str, Any], what: str) -> nn.Module:
    """A diffusers AutoencoderKL of any size from LDM or diffusers names, on the CPU."""
    from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL

    state = ldm_vae.vae_to_ldm(state) if ldm_vae.is_diffusers_vae(state) else ldm_vae.own_tensors(state)
    sizes = ldm_vae.vae_config_from_shapes(state)
    widths = [sizes["ch"] * mult for mult in sizes["ch_mult"]]
    with torch.device("meta"):
        settings = {
            "in_channels": sizes["in_channels"],
            "out_channels": 3,
            "down_block_types": ["DownEncoderBlock2D"] * len(widths),
            "up_block_types": ["UpDecoderBlock2D"] * len(widths),
            "block_out_channels": widths,
            "layers_per_block": sizes["num_res_blocks"],
            "latent_channels": sizes["z_channels"],
            "scaling_factor": config.get("scaling_factor", SD_VAE["scaling_factor"]),
        }
        vae = AutoencoderKL.from_config(settings)
    return _fill(vae, ldm_vae.vae_to_diffusers(state, len(widths)), what)


def build_unet(state: StateDict, config: Mapping[str, Any], what: str) -> nn.Module:
    """A diffusers UNet2DConditionModel from its configuration and LDM or diffusers names, on the CPU."""
    from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel

    if not ldm.is_diffusers_unet(state):
        state = ldm.unet_to_diffusers(state, ldm.unet_config_from_diffusers(dict(config)))
    known = {key: value for key, value in config.items() if not key.startswith("_")}
    with ldm.told_config(), torch.device("meta"):
        unet = UNet2DConditionModel.from_config(known)
    return _fill(unet, state, what)


def ldm_unet_config(state: StateDict) -> dict[str, Any]:
    """diffusers' configuration of a UNet under LDM names, read from its shapes."""
    config = ldm.unet_config_from_shapes(state)
    return ldm.diffusers_config(config | ldm.heads_of_family(config))


def open_unet(folder: Path) -> nn.Module:
    """The UNet of a diffusers folder (``config.json`` beside its weights)."""
    config, state = read_module(folder)
    return build_unet(state, config, f"{folder.parent.name}/{folder.name}")


def _fill(model: Any, state: StateDict, what: str) -> nn.Module:
    """Put exactly the expected tensors into a module made on the meta device, or raise FiguraWeightsError."""
    expected = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    found = {name: tuple(tensor.shape) for name, tensor in state.items()}
    wrong = [name for name in {**expected, **found} if expected.get(name) != found.get(name)]
    if wrong:
        raise FiguraWeightsError(
            what, f"{len(wrong)} tensors missing, unknown or of another shape ({', '.join(wrong[:5])})",
            f"the {len(expected)} tensors of its configuration", "It is of another model or incomplete.",
        )  # fmt: skip
    model.load_state_dict(state, assign=True)
    return model.eval().requires_grad_(False)
