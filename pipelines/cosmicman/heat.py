"""Attention maps as pictures."""

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

STOPS = (
    (0, 0, 0.1),
    (0.3, 0.05, 0.4),
    (0.8, 0.2, 0.3),
    (1, 0.6, 0.2),
    (1, 1, 0.8),
)  # dark blue to pale yellow


def enlarge(maps: Tensor, size: tuple[int, int]) -> Tensor:
    """Maps [G, h, w] to masks [G, H, W], bilinear, in [0, 1]."""
    return F.interpolate(maps[:, None], size=size, mode="bilinear", align_corners=False)[:, 0].clamp(0, 1)


def pictures(masks: Tensor, words: Sequence[str]) -> Tensor:
    """Masks [G, H, W] as heat pictures [G, H, W, 3] in [0, 1], each with its words at the top."""
    stops = torch.tensor(STOPS)
    place = masks * (len(STOPS) - 1)
    low = place.floor().long().clamp(max=len(STOPS) - 2)
    share = (place - low)[..., None]
    image = stops[low] * (1 - share) + stops[low + 1] * share
    return torch.stack([_labelled(one, text) for one, text in zip(image, words, strict=True)])


def _labelled(image: Tensor, text: str) -> Tensor:
    from PIL import Image, ImageDraw

    picture = Image.fromarray((image.numpy() * 255).astype(np.uint8))
    ImageDraw.Draw(picture).text((4, 2), text, fill="white", stroke_width=1, stroke_fill="black")
    return torch.from_numpy(np.asarray(picture).copy()).float() / 255
