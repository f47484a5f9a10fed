"""CosmicMan opened for the command line: UNet, base, and the model of a second pass."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..common import base_model
from ..common.errors import FiguraInputError, FiguraWeightsError
from ..common.processes import find_device
from . import configs, recipe
from .checkpoint import BASES, open_unet
from .configs import GenerateConfig

DTYPES = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}


@dataclass
class Pass:
    """One denoising pass: a UNet, the text encoders it reads, and how it is run."""

    unet: Any  # a diffusers UNet2DConditionModel
    base: base_model.Base
    sampler: str
    steps: int
    scale: float

    def sizes(self, height: int, width: int, aesthetic: float = recipe.AESTHETIC) -> Tensor | None:
        """SDXL's size conditioning [1, 6]: original, crop (0, 0), target; for the refiner [1, 5], a score."""
        config = self.unet.config
        if getattr(config, "addition_embed_type", None) != "text_time":
            return None
        encoder: Any = self.base.encoders["clip_g"]
        pooled = encoder.config.projection_dim
        count = (config.projection_class_embeddings_input_dim - pooled) // config.addition_time_embed_dim
        rest = [aesthetic] if count == 5 else [height, width]
        return torch.tensor([[height, width, 0, 0, *rest]], dtype=torch.float32)


@dataclass
class CosmicMan:
    """Everything ready to draw: the first pass, perhaps a second, and the VAE."""

    first: Pass
    second: Pass | None
    vae: Any  # a diffusers AutoencoderKL
    device: torch.device
    dtype: torch.dtype

    def latent_shape(self, height: int, width: int) -> tuple[int, int, int]:
        """One sample's latents for a picture of this size."""
        factor = 2 ** (len(self.vae.config.block_out_channels) - 1)
        return self.first.unet.config.in_channels, height // factor, width // factor


def load(config: GenerateConfig) -> CosmicMan:
    """Open the files that ``config`` names. Raises FiguraInputError where one is missing or does not fit."""
    config = configs.with_defaults(config)
    hint = "CosmicMan's weights are on the hub as cosmicman/CosmicMan-SDXL and cosmicman/CosmicMan-SD."
    opened = open_unet(base_model.find(config.unet_path, "unet-path", hint), config.variant)
    what = f"The base of CosmicMan-{opened.variant.upper()} is {BASES[opened.variant]}."
    base_path = base_model.find(config.base_path, "base-path", what)
    from_base = config.use_refiner and config.refiner_path == "base"
    base = base_model.open_base(base_path, unet=from_base)
    if ("clip_g" in base.encoders) != (opened.variant == "sdxl"):
        raise FiguraWeightsError(
            base_path.name, f"the text encoders {sorted(base.encoders)}", BASES[opened.variant]
        )
    unet = base_model.build_unet(opened.state, opened.config, Path(config.unet_path).name)
    device, dtype = _place(config)
    base.to(device, dtype, torch.float32)
    first = Pass(base_model.move(unet, device, dtype), base, config.sampler, config.steps, config.scale)
    return CosmicMan(first, _second(config, base, device, dtype), base.vae, device, dtype)


def _second(
    config: GenerateConfig, base: base_model.Base, device: torch.device, dtype: torch.dtype
) -> Pass | None:
    if not config.use_refiner:
        return None
    if config.variant != "sdxl":
        raise FiguraInputError("use-refiner", "variant sd", "variant sdxl; SD1.5 has no refiner")
    sampler = config.sampler
    if config.refiner_path != "base":
        path = base_model.find(
            config.refiner_path, "refiner-path", "Or use --refiner-path base, for the base in its place."
        )
        base = base_model.open_base(path, unet=True).to(device, dtype, torch.float32)
        sampler = "euler"  # the refiner repository's own
    assert base.unet is not None
    return Pass(base.unet, base, sampler, recipe.REFINE_STEPS, recipe.REFINE_SCALE)


def _place(config: GenerateConfig) -> tuple[torch.device, torch.dtype]:
    device = find_device(config.device)
    fallback = torch.float32 if device.type == "cpu" else torch.float16
    return device, DTYPES.get(config.dtype, fallback)
