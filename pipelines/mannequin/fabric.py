"""Cloth: the shade a person wears, patterns on a strip, and places on the front of the trunk."""

import numpy as np

from .looks import Garment, Look
from .palette import CLOTHES, SKIN, Color
from .shapes import Shape, blob, cut
from .skeleton import Skeleton


def tinted(color: Color, look: Look, slot: int) -> Color:
    """The shade of a named colour this person wears: slots are skin, hair, top, bottom, shoes, coat."""
    factor = 1 + look.tints[slot]
    return tuple(min(255.0, c * factor) for c in color)  # type: ignore[return-value]


def skin_color(look: Look) -> Color:
    """Skin in this person's shade."""
    return tinted(SKIN[look.skin], look, 0)


def patterned(
    shape: Shape, garment: Garment, scale: float = 1.0, first: float = 0.12, last: float = 0.94
) -> list[Shape]:
    """The shape and the stripes, dots or checks on it, between two shares of its length."""
    if garment.pattern == "solid" or not garment.second:
        return [shape]
    color = CLOTHES[garment.second]
    if garment.pattern == "dotted":
        return [shape, *_dots(shape, color, scale)]
    step = (0.135 if garment.pattern == "striped" else 0.20) / scale
    thick = step * (0.46 if garment.pattern == "striped" else 0.22)
    tones = garment.pattern == "striped"
    starts = np.arange(first, last, step)
    ends = shape.evenly(np.minimum(last + 0.04, starts + thick))
    bands = [
        Shape(*cut(shape, start, end), color, None, tones=tones, outline=False)
        for start, end in zip(shape.evenly(starts), ends, strict=True)
    ]
    return [shape, *bands] + (_checks(shape, color, scale) if garment.pattern == "plaid" else [])


def _dots(shape: Shape, color: Color, scale: float) -> list[Shape]:
    rows = max(2, round(6 * scale))
    size = 0.0085 if scale >= 1 else 0.0065
    even, odd = ((-0.33, 0.33), (-0.66, 0.0, 0.66)) if scale >= 1 else ((-0.5,), (0.5,))
    places = shape.evenly((np.arange(rows) + 0.8) / (rows + 0.9))
    return [
        Shape(*blob(shape.at(places[row], across), size, size), color, None, tones=False, outline=False)
        for row in range(rows)
        for across in (odd if row % 2 else even)
    ]


def _checks(shape: Shape, color: Color, scale: float) -> list[Shape]:
    left, right = cut(shape, 0.05, 0.95)
    middle, half = (left + right) / 2, (right - left) / 2
    lines = (-0.55, 0.0, 0.55) if scale >= 1 else (0.0,)
    return [
        Shape(middle + half * (a - 0.06), middle + half * (a + 0.06), color, None, tones=False, outline=False)
        for a in lines
    ]  # fmt: skip


def front(s: Skeleton, t: float, azimuth: float, wide: float, deep: float) -> tuple[np.ndarray, float]:
    """A point [2] on the trunk's surface at ``t`` along the spine, and its depth z (positive: visible)."""
    center = s["neck"] + (s["pelvis"] - s["neck"]) * t
    a = np.radians(azimuth)
    offset = s.torso[:, 0] * wide * np.sin(a) + s.torso[:, 2] * deep * np.cos(a)
    return (center + offset)[:2], float(offset[2])
