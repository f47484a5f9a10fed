"""Part masks from SegFormer clothes: 18 classes joined into the six parts.

The published script writes one mask per class and leaves the joining to the user; the joining here is ours.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from ..common.errors import FiguraWeightsError
from ..common.weights import load_state_dict

CLASSES = (
    "background", "hat", "hair", "sunglasses", "upper-clothes", "skirt", "pants", "dress", "belt",
    "left shoe", "right shoe", "face", "left leg", "right leg", "left arm", "right arm", "bag", "scarf",
)  # fmt: skip
GROUPS: dict[str, tuple[int, ...]] = {
    "upper body clothes": (4, 17),
    "lower body clothes": (5, 6, 8),
    "whole body clothes": (4, 5, 6, 7, 8, 17),
    "hair or headwear": (1, 2),
    "face": (3, 11),
    "shoes": (9, 10),
}
"""Which classes make which part. Bare arms and legs and bags belong to no part."""
DRESS = 7


def part_masks(classes: Tensor, dress_rule: bool = True) -> dict[str, Tensor]:
    """Join a class map [B, H, W] into the six part masks, each float [B, H, W].

    With ``dress_rule`` a picture whose clothes are mostly dress (more than half of their pixels) has no upper
    and lower body clothes: a dress has no halves, only whole body clothes are given.
    """
    masks = {part: torch.isin(classes, torch.tensor(group, device=classes.device)).float()
             for part, group in GROUPS.items()}  # fmt: skip
    if dress_rule:
        dress = (classes == DRESS).sum(dim=(1, 2))
        clothes = masks["whole body clothes"].sum(dim=(1, 2))
        halves = (dress <= 0.5 * clothes).float()[:, None, None]
        for part in ("upper body clothes", "lower body clothes"):
            masks[part] = masks[part] * halves
    return masks


def class_map(logits: Tensor, size: Sequence[int]) -> Tensor:
    """Logits [B, 18, h, w] -> classes [B, H, W] at ``size`` = (H, W): bilinear, then the largest."""
    return F.interpolate(logits, tuple(size), mode="bilinear", align_corners=False).argmax(dim=1)


def load_segformer(folder: Path) -> Any:
    """Load a SegFormer for clothes from a local folder (config.json, model.safetensors); no network is used.

    Raises: FiguraWeightsError for a folder without these files or a network of other classes.
    """
    from transformers import SegformerConfig, SegformerForSemanticSegmentation

    from .checkpoint import read_json

    config = SegformerConfig.from_dict(read_json(folder / "config.json", "SegFormer's sizes"))
    if config.num_labels != len(CLASSES):
        raise FiguraWeightsError(
            folder.name,
            f"a SegFormer of {config.num_labels} classes",
            f"SegFormer clothes, {len(CLASSES)} classes",
        )
    weights = [folder / name for name in ("model.safetensors", "pytorch_model.bin")]
    path = next((path for path in weights if path.is_file()), None)
    if path is None:
        raise FiguraWeightsError(folder.name, "no weights", "model.safetensors in that folder")
    model = SegformerForSemanticSegmentation(config)
    missing, unexpected = model.load_state_dict(load_state_dict(path), strict=False)
    if missing:
        raise FiguraWeightsError(
            folder.name,
            f"{len(missing)} missing tensors: {missing[:5]}",
            "SegFormer clothes",
            f"{unexpected[:5]}",
        )
    return model.eval().requires_grad_(False)


def segment(model: Any, image: Tensor, side: int = 512) -> Tensor:
    """IMAGE [B, H, W, 3] in [0, 1] -> classes [B, H, W] at the picture's own size.

    Args:
        side: the longer side is brought to this for the network (the published script feeds the picture as it
            is, which fails on large ones); 0 keeps the size.
    """
    mean, std = (torch.tensor(x, device=image.device).view(1, 3, 1, 1)
                 for x in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))  # fmt: skip
    pixels = image.movedim(-1, 1)
    if side:
        scale = side / max(pixels.shape[-2:])
        size = [max(32, round(length * scale)) for length in pixels.shape[-2:]]
        pixels = F.interpolate(pixels, size, mode="bilinear", antialias=True, align_corners=False)
    logits = model(((pixels - mean) / std).to(model.dtype)).logits
    return class_map(logits.float(), image.shape[1:3])


def draw_classes(classes: Tensor) -> Tensor:
    """Paint a class map [B, H, W] as IMAGE [B, H, W, 3], one hue per class, background black."""
    import colorsys

    hues = [colorsys.hsv_to_rgb((i * 0.381966) % 1, 0.75, 0.95) for i in range(1, len(CLASSES))]
    return torch.tensor([(0.0, 0.0, 0.0), *hues])[classes.cpu()]
