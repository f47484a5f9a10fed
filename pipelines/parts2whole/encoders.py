"""The networks around the UNets, outside ComfyUI: text encoder, image encoder and VAE, of any size."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ..common.errors import FiguraWeightsError
from ..common.weights import StateDict
from .checkpoint import read_component, read_json

CLIP_MEAN, CLIP_STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)


@dataclass
class TextEncoder:
    """CLIP text: the last hidden state after the final layer norm, 77 tokens."""

    tokenizer: Any
    model: nn.Module

    def __call__(self, texts: Sequence[str]) -> Tensor:
        """Texts -> [len(texts), 77, D]."""
        ids = self.tokenizer(
            list(texts), padding="max_length", max_length=77, truncation=True, return_tensors="pt"
        ).input_ids
        return self.model(ids.to(next(self.model.parameters()).device)).last_hidden_state


@dataclass
class ImageEncoder:
    """CLIP vision with projection: one embedding per picture."""

    model: nn.Module
    size: int

    def __call__(self, image: Tensor) -> Tensor:
        """IMAGE [1, H, W, 3] in [0, 1] -> [1, D]."""
        parameter = next(self.model.parameters())
        return self.model(clip_pixels(image, self.size).to(parameter.device, parameter.dtype)).image_embeds


@dataclass
class Vae:
    """Pictures to scaled latents and back."""

    model: Any

    def encode(self, pixels: Tensor) -> Tensor:
        """Pixels [B, 3, H, W] in [-1, 1] -> the posterior's mean times the scaling factor (deterministic)."""
        parameter = next(self.model.parameters())
        latents = self.model.encode(pixels.to(parameter.device, parameter.dtype)).latent_dist.mode()
        return latents * self.model.config.scaling_factor

    def decode(self, latents: Tensor) -> Tensor:
        """Scaled latents -> pixels [B, 3, H, W] in [-1, 1], picture by picture to save memory."""
        latents = latents.to(next(self.model.parameters()).dtype) / self.model.config.scaling_factor
        return torch.cat([self.model.decode(row[None], return_dict=False)[0].float() for row in latents])


def new(cls: Any, config: dict[str, Any]) -> Any:
    """Build a diffusers class from its config.json, dropping the entries about the class itself."""
    return cls.from_config({key: value for key, value in config.items() if not key.startswith("_")})


def _side(size: Any) -> int:
    """CLIP's picture size, which newer configurations may give as (height, width)."""
    return size if isinstance(size, int) else min(size)


def place(module: Any, device: torch.device | str, dtype: torch.dtype) -> Any:
    """Move a network and cast it; diffusers' own ``to`` warns when it casts."""
    return nn.Module.to(module, torch.device(device), dtype)


def clip_pixels(image: Tensor, size: int) -> Tensor:
    """IMAGE [1, H, W, 3] in [0, 1] -> [1, 3, size, size] as CLIP's processor makes it (8-bit, bicubic)."""
    from PIL import Image

    from .parts import from_pil, to_pil

    picture = to_pil(image[0])
    scale = size / min(picture.size)
    width, height = (max(size, int(length * scale)) for length in picture.size)
    picture = picture.resize((width, height), Image.Resampling.BICUBIC)
    left, top = (width - size) // 2, (height - size) // 2
    pixels = from_pil(picture.crop((left, top, left + size, top + size)))
    return (pixels - torch.tensor(CLIP_MEAN).view(1, 3, 1, 1)) / torch.tensor(CLIP_STD).view(1, 3, 1, 1)


def load_text_encoder(folder: Path, device: torch.device, dtype: torch.dtype) -> TextEncoder:
    """Read ``text_encoder/`` and ``tokenizer/``."""
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

    if not (folder / "tokenizer" / "vocab.json").is_file():
        raise FiguraWeightsError(f"{folder.name}/tokenizer", "no vocab.json", "the released tokenizer folder")
    tokenizer = CLIPTokenizer.from_pretrained(str(folder / "tokenizer"))
    config = CLIPTextConfig.from_dict(read_json(folder / "text_encoder" / "config.json"))
    model = _fill(CLIPTextModel(config), read_component(folder, "text_encoder"), "text_encoder")
    return TextEncoder(tokenizer, place(model, device, dtype))


def load_image_encoder(folder: Path, device: torch.device, dtype: torch.dtype) -> ImageEncoder:
    """Read ``image_encoder/``."""
    from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

    config = CLIPVisionConfig.from_dict(read_json(folder / "image_encoder" / "config.json"))
    state = read_component(folder, "image_encoder")
    model = _fill(CLIPVisionModelWithProjection(config), state, "image_encoder")
    return ImageEncoder(place(model, device, dtype), _side(config.image_size))


def load_vae(folder: Path, device: torch.device, dtype: torch.dtype) -> Vae:
    """Read ``vae/``, under today's or diffusers' older names of its attention."""
    from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL

    config = read_json(folder / "vae" / "config.json")
    model = new(AutoencoderKL, config)
    return Vae(place(_fill(model, _today(read_component(folder, "vae")), "vae"), device, dtype))


def _today(state: StateDict) -> StateDict:
    """Rename the VAE attention of diffusers before 0.18."""
    older = {".query.": ".to_q.", ".key.": ".to_k.", ".value.": ".to_v.", ".proj_attn.": ".to_out.0."}

    def rename(name: str) -> str:
        for before, after in older.items():
            name = name.replace(before, after)
        return name

    return {rename(name): tensor for name, tensor in state.items()}


def _fill(model: Any, state: StateDict, what: str) -> Any:
    """Fill a network strictly; buffers that old files carry (position_ids) are left out."""
    wanted = model.state_dict()
    state = {name: tensor.float() for name, tensor in state.items() if not name.endswith("position_ids")}
    prefix = "text_model."
    if not set(state) & set(wanted):  # transformers 5 dropped the prefix of lone text encoders
        state = {
            name.removeprefix(prefix) if name.startswith(prefix) else prefix + name: t
            for name, t in state.items()
        }
    missing, unexpected = sorted(set(wanted) - set(state)), sorted(set(state) - set(wanted))
    other = [name for name in wanted if name in state and wanted[name].shape != state[name].shape]
    missing = [name for name in missing if not name.endswith("position_ids")]
    if missing or unexpected or other:
        came = f"{len(missing)} missing, {len(unexpected)} unexpected, {len(other)} tensors of another shape"
        raise FiguraWeightsError(
            what, f"{came}: {(missing + unexpected + other)[:5]}", "what its config.json says"
        )
    model.load_state_dict(state, strict=False)
    return model.eval().requires_grad_(False)
