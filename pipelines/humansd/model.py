"""HumanSD for the command line: the networks on one device, prompts encoded, the guided prediction."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ..common import base_model, ldm, ldm_text, text
from ..common.ldm import StateDict
from ..common.processes import find_device
from . import checkpoint, ddim

DTYPES = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}


@dataclass(frozen=True)
class HumanSD:
    """The networks: diffusers' UNet and autoencoder, transformers' text encoder (OpenCLIP ViT-H)."""

    unet: Any
    vae: Any
    encoders: Mapping[str, nn.Module]

    @property
    def device(self) -> torch.device:
        """Where the networks are."""
        return next(self.unet.parameters()).device


def load(path: str | Path, device: str = "auto", dtype: str = "auto", head_width: int = 64) -> HumanSD:
    """Open a HumanSD checkpoint or diffusers folder; see ``checkpoint.read``."""
    place = find_device(device)
    half = torch.float16 if place.type == "cuda" else torch.float32
    return build(checkpoint.read(path, head_width), place, DTYPES.get(dtype, half))


def build(parts: checkpoint.Checkpoint, device: torch.device | str, dtype: torch.dtype) -> HumanSD:
    """Build the networks from a checkpoint's parts; the autoencoder always computes in fp32."""
    config = ldm.diffusers_config(parts.unet_config)
    unet = base_model.build_unet(_cast(parts.unet, dtype), config, parts.name)
    vae = base_model.build_vae(_cast(parts.vae, torch.float32), base_model.SD_VAE, parts.name)
    words = _cast(ldm_text.drop_last_layer(parts.text), dtype)
    encoder = text.text_encoder(words, "clip_h", what=parts.name)
    return HumanSD(unet.to(device), vae.to(device), {"clip_h": encoder.to(device)})


def _cast(state: StateDict, dtype: torch.dtype) -> StateDict:
    return {name: tensor.to(dtype) for name, tensor in state.items()}


def encode_prompts(model: HumanSD, prompts: Sequence[str]) -> Tensor:
    """Text embeddings [B, 77, C]."""
    return text.encode(model.encoders, prompts).embeds


def predictor(model: HumanSD, pose: Tensor, positive: Tensor, negative: Tensor, scale: float) -> ddim.Predict:
    """What ``ddim.denoise`` asks for: the noise with guidance, both branches seeing the same skeleton.

    Args:
        pose: skeleton latents [B, 4, h, w]. positive, negative: text embeddings [1 or B, T, C].
        scale: guidance; 1 runs the positive branch alone.
    """
    weight = next(model.unet.parameters())

    def branch(latents: Tensor, timestep: int, contexts: list[Tensor]) -> Tensor:
        joined = torch.cat([latents, pose.to(latents)], 1).to(weight)
        context = torch.cat([one.expand(len(latents), -1, -1) for one in contexts]).to(weight)
        eps = model.unet(joined.repeat(len(contexts), 1, 1, 1), timestep, context).sample
        return eps.to(latents)

    def predict(latents: Tensor, timestep: int) -> Tensor:
        if scale == 1:
            return branch(latents, timestep, [positive])
        without, with_prompt = branch(latents, timestep, [negative, positive]).chunk(2)
        return ddim.guided(with_prompt, without, scale)

    return predict
