"""Masks of people for photos that come without: from the picture's own transparency, a file, or a SegFormer.

Any SegFormer of transformers does: where its classes have names, ``person`` is taken, or, for networks that
tell clothes apart, everything but the background.
"""

from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ...common.errors import FiguraInputError, FiguraWeightsError
from ...common.weights import load_state_dict

PEOPLE = ("person", "human", "people", "individual")
NOBODY = ("background", "unlabeled", "__background__", "other")
LONGER_SIDE = 512


class Segmenter(Protocol):
    """Finds people: IMAGE [1, H, W, 3] in [0, 1] -> mask [1, H, W] in [0, 1]."""

    def __call__(self, image: Tensor) -> Tensor:
        """See the class."""
        ...


def read_mask(path: str | Path) -> Tensor:
    """A mask file as [1, H, W] in [0, 1]: its transparency if it has any, else its brightness."""
    alpha = own_mask(path)
    return _band(Path(path), "L") if alpha is None else alpha


def own_mask(path: str | Path) -> Tensor | None:
    """The transparency of a photo as a mask [1, H, W]; None where it has none, or all is opaque."""
    mask = _band(Path(path), "A")
    return mask if mask.min() < 1 else None


def _band(path: Path, band: str) -> Tensor:
    """Brightness (L) or opacity (A) of a picture, turned as its EXIF says."""
    from PIL import Image, ImageOps

    try:
        with Image.open(path) as picture:
            picture = ImageOps.exif_transpose(picture)
            values = picture.convert("RGBA").getchannel("A") if band == "A" else picture.convert("L")
            array = np.asarray(values, np.float32) / 255
    except (OSError, SyntaxError, ValueError) as error:
        raise FiguraInputError(
            path.name, f"a file that does not open as a picture ({error})", "PNG, JPEG or WebP"
        ) from error
    return torch.from_numpy(array)[None]


def load_segmenter(folder: str | Path, device: str = "cpu") -> Segmenter:
    """Open a SegFormer from a local folder (config.json, model.safetensors); nothing is downloaded."""
    from transformers import SegformerConfig, SegformerForSemanticSegmentation

    folder = Path(folder)
    settings = _settings(folder)
    path = next((folder / name for name in ("model.safetensors", "pytorch_model.bin")
                 if (folder / name).is_file()), None)  # fmt: skip
    if path is None:
        raise FiguraWeightsError(folder.name, "no weights", "model.safetensors in that folder")
    config = SegformerConfig.from_dict(settings)
    wanted = person_classes({int(n): str(word) for n, word in (config.id2label or {}).items()}, folder.name)
    model = SegformerForSemanticSegmentation(config)
    missing, _ = model.load_state_dict(load_state_dict(path), strict=False)
    if missing:
        raise FiguraWeightsError(folder.name, f"{len(missing)} missing tensors: {missing[:3]}", "a SegFormer")
    model = model.to(device).eval().requires_grad_(False)  # pyright: ignore[reportArgumentType]
    return lambda image: _segment(model, image.to(device), wanted)


def person_classes(names: dict[int, str], what: str = "segmenter") -> list[int]:
    """The numbers of the classes that are people, by their names."""
    words = {number: name.lower().strip() for number, name in names.items()}
    people = [number for number, name in words.items() if name in PEOPLE]
    if people:
        return people
    if any(name in NOBODY for name in words.values()):
        return [number for number, name in words.items() if name not in NOBODY]
    raise FiguraWeightsError(
        what, f"classes such as {', '.join(list(names.values())[:4])}", "a class person, or a background",
        "Choose a segmentation model that knows people or clothes.",
    )  # fmt: skip


def _settings(folder: Path) -> dict[str, Any]:
    import json

    try:
        settings = json.loads((folder / "config.json").read_bytes())
    except (OSError, ValueError) as error:
        raise FiguraWeightsError(
            folder.name, f"no readable config.json ({error})", "a folder of transformers"
        ) from None
    if not isinstance(settings, dict) or settings.get("model_type") != "segformer":
        kind = settings.get("model_type") if isinstance(settings, dict) else type(settings).__name__
        raise FiguraWeightsError(folder.name, f"a model of type '{kind}'", "a SegFormer")
    return settings


@torch.no_grad()
def _segment(model: Any, image: Tensor, wanted: list[int]) -> Tensor:
    mean, std = (torch.tensor(x, device=image.device).view(1, 3, 1, 1)
                 for x in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))  # fmt: skip
    pixels, size = image.movedim(-1, 1), (int(image.shape[1]), int(image.shape[2]))
    scale = LONGER_SIDE / max(size)
    small = [max(32, round(side * scale)) for side in size]
    pixels = F.interpolate(pixels, small, mode="bilinear", antialias=True, align_corners=False)
    logits = model(((pixels - mean) / std).to(model.dtype)).logits.float()
    shares = logits.softmax(dim=1)[:, wanted].sum(dim=1, keepdim=True)
    return F.interpolate(shares, size, mode="bilinear", align_corners=False)[:, 0].cpu()
