"""Parts2Whole's references: one person in a second pose, cut into parts by the part map."""

import numpy as np

from . import classes
from .configs import WorldConfig
from .scene import Picture, render

LABELS = (
    "upper body clothes", "lower body clothes", "whole body clothes", "hair or headwear", "face", "shoes",
)  # fmt: skip
FOLDERS = {
    "upper body clothes": "upper_body_clothes",
    "lower body clothes": "lower_body_clothes",
    "whole body clothes": "whole_body_clothes",
    "hair or headwear": "hair_headwear",
    "face": "face",
    "shoes": "shoes",
}
CLASSES = {
    "upper body clothes": (classes.UPPER, classes.SCARF),
    "lower body clothes": (classes.SKIRT, classes.PANTS, classes.BELT),
    "whole body clothes": (
        classes.UPPER,
        classes.SKIRT,
        classes.PANTS,
        classes.DRESS,
        classes.BELT,
        classes.SCARF,
    ),
    "hair or headwear": (classes.HAT, classes.HAIR),
    "face": (classes.FACE, classes.SUNGLASSES),
    "shoes": (classes.LEFT_SHOE, classes.RIGHT_SHOE),
}
REFERENCE_TAKE = 1
MARGIN = {"face": 1.5, "hair or headwear": 1.6, "shoes": 1.5}


def part_mask(labels: np.ndarray, part: str) -> np.ndarray:
    """Pixels of one part, bool [H, W]; under the dress rule upper and lower clothes of a dress are empty."""
    clothes = np.isin(labels, CLASSES["whole body clothes"])
    halves = part in ("upper body clothes", "lower body clothes")
    if halves and (labels == classes.DRESS).sum() * 2 > clothes.sum():
        return np.zeros(labels.shape, bool)
    return np.isin(labels, CLASSES[part])


def reference_parts(config: WorldConfig, seed: int, index: int) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Every part of the reference figure: its picture uint8 [H, W, 3], drawn close up, and its mask bool
    [H, W].

    The picture around a part is not painted over. Each has the frame's own shape, and the part lies in the
    band that the loader keeps (configs.studio), so that the loader's fixed crop takes nothing of it.
    """
    whole = render(config, seed, index, take=REFERENCE_TAKE)
    found = {}
    for part in LABELS:
        if part_mask(whole.parts, part).sum() < max(3, whole.parts.size // 4000):
            continue
        window = part_window(whole, part, config.band)
        near = render(config, seed, index, take=REFERENCE_TAKE, window=window)
        mask = part_mask(near.parts, part)
        if mask.any():
            found[part] = (near.image, mask)
    return found


def part_window(picture: Picture, part: str, band: float) -> tuple[float, float, float, float]:
    """A box x0, y0, x1, y1 of the picture's shape around a part, with room, the part inside the central
    band."""
    height, width = picture.parts.shape
    mask = part_mask(picture.parts, part)
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    x0, x1, y0, y1 = columns[0], columns[-1] + 1, rows[0], rows[-1] + 1
    room = MARGIN.get(part, 1.2)
    tall = max((y1 - y0) * room / band, (x1 - x0) * room * height / width)
    tall = min(tall, height * 1.25)
    wide = tall * width / height
    x, y = (x0 + x1) / 2, (y0 + y1) / 2
    return (x - wide / 2, y - tall / 2, x + wide / 2, y + tall / 2)
