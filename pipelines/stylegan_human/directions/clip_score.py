"""How much more a picture looks like one text than like another, by CLIP (Radford et al. 2021)."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ...common.errors import FiguraInputError, FiguraWeightsError
from ...common.text import fill, padded_ids
from ...common.weights import StateDict, load_state_dict
from .attribute import on_square

WANTED = "a whole CLIP, text and picture half, as transformers saves it (model.safetensors)"
MEAN, DEVIATION = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
TEXT, VISION = (
    "text_model.embeddings.token_embedding.weight",
    "vision_model.embeddings.patch_embedding.weight",
)
VOCABULARY = 49408


class Clip(nn.Module):
    """A transformers CLIPModel, down to unit vectors of texts and of pictures."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model
        self.image_size: int = model.config.vision_config.image_size

    @torch.no_grad()
    def texts(self, texts: Sequence[str]) -> Tensor:
        """[N, projection]."""
        ids = padded_ids(texts).to(self._place())
        pooled = self.model.text_model(input_ids=ids).pooler_output
        return nn.functional.normalize(self.model.text_projection(pooled).float(), dim=-1)

    @torch.no_grad()
    def pictures(self, images: Tensor) -> Tensor:
        """IMAGE [N, H, W, 3] in [0, 1] -> [N, projection]; the whole picture is seen, on a white square."""
        pixels = on_square(images.to(self._place()), self.image_size)
        mean, deviation = (pixels.new_tensor(value)[:, None, None] for value in (MEAN, DEVIATION))
        pooled = self.model.vision_model(pixel_values=(pixels - mean) / deviation).pooler_output
        return nn.functional.normalize(self.model.visual_projection(pooled).float(), dim=-1)

    def _place(self) -> torch.device:
        return next(self.model.parameters()).device


def load_clip(path: str | Path) -> Clip:
    """A CLIP as transformers saves it, from a folder (config.json, model.safetensors) or its weights alone.

    On the CPU. Without config.json beside them the sizes are read from the weights.
    """
    path = Path(path)
    folder = path if path.is_dir() else path.parent
    state = load_state_dict(path)
    if TEXT not in state or VISION not in state:
        halves = [word for word, key in (("text", TEXT), ("picture", VISION)) if key in state]
        raise FiguraWeightsError(
            path.name, f"only the {halves[0]} half of a CLIP" if halves else "no CLIP", WANTED
        )
    if len(state[TEXT]) != VOCABULARY:
        raise FiguraWeightsError(
            path.name, f"a vocabulary of {len(state[TEXT])}", f"OpenAI's, of {VOCABULARY}"
        )
    from transformers import CLIPConfig, CLIPModel

    config = _config(folder / "config.json") or _config_of_shapes(state)
    with torch.device("meta"):
        model = CLIPModel(CLIPConfig(**config))
    return Clip(fill(model, state, path.name))


def _config(path: Path) -> dict[str, Any] | None:
    """The sizes that a config.json of a CLIP tells; None where there is none."""
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise FiguraWeightsError(path.name, f"a damaged file ({error})", "that of a CLIP") from error
    if not isinstance(config, dict) or config.get("model_type") != "clip":
        return None
    return {key: config[key] for key in ("text_config", "vision_config", "projection_dim") if key in config}


def _config_of_shapes(state: StateDict) -> dict[str, Any]:
    """Sizes from the weights; heads of 64, and OpenAI's activation below 1024, as all released ones have."""
    width, wide = state[TEXT].shape[1], state[VISION].shape[0]
    patch = state[VISION].shape[-1]
    places = len(state["vision_model.embeddings.position_embedding.weight"]) - 1
    act = "quick_gelu" if width < 1024 else "gelu"
    return {
        "projection_dim": state["text_projection.weight"].shape[0],
        "text_config": _half(state, "text_model", width, act),
        "vision_config": _half(state, "vision_model", wide, act)
        | {"patch_size": patch, "image_size": patch * round(places**0.5)},
    }


def _half(state: Mapping[str, Tensor], half: str, width: int, act: str) -> dict[str, Any]:
    layers = {name.split(".")[3] for name in state if name.startswith(f"{half}.encoder.layers.")}
    feed = state[f"{half}.encoder.layers.0.mlp.fc1.weight"].shape[0]
    return {
        "hidden_size": width, "intermediate_size": feed, "num_hidden_layers": len(layers),
        "num_attention_heads": max(1, width // 64), "hidden_act": act,
        "projection_dim": state["text_projection.weight"].shape[0],
    }  # fmt: skip


class TextContrast:
    """An attribute: 100 * (likeness to ``text`` - likeness to ``versus``), by cosines of CLIP's vectors."""

    def __init__(self, clip: Clip, text: str, versus: str) -> None:
        if not text.strip() or not versus.strip():
            raise FiguraInputError(
                "texts", "an empty text", "two that differ in the attribute alone",
                "Such as 'a person in a long dress' and 'a person in a short dress'.",
            )  # fmt: skip
        if text.strip() == versus.strip():
            raise FiguraInputError("texts", "the same text twice", "two that differ in the attribute")
        self.clip = clip
        one, other = clip.texts([text, versus])
        self.contrast = one - other

    def __call__(self, images: Tensor) -> list[float]:
        """IMAGE [N, H, W, 3] in [0, 1] -> N numbers."""
        return (100 * self.clip.pictures(images) @ self.contrast).tolist()
