"""Strips to pixels: one supersampled painting for colours and labels alike.

Every style paints the same shapes in the same order, so labels never depend on the style.
"""

from dataclasses import dataclass

import numpy as np

from .palette import GRAPHITE, PAPER, Color, shade_all
from .shapes import SAMPLES, Shape

SHIFT = 4  # cv2 takes fixed-point coordinates: 1/16 of a supersampled pixel
LIGHT = np.array((-0.80, -0.60))
# (share of the width, brightness, shift towards the light), darkest and widest first
Tones = tuple[tuple[float, float, float], ...]
TONES: dict[str, Tones] = {
    "flat": ((1.0, 1.0, 0.0),),
    "cartoon": ((1.0, 0.82, 0.0), (0.80, 1.0, 0.20)),
    "shaded": ((1.0, 0.79, 0.0), (0.80, 0.98, 0.14), (0.40, 1.05, 0.30)),
    "round": (
        (1.0, 0.75, 0.0), (0.90, 0.86, 0.07), (0.74, 0.95, 0.15), (0.52, 1.02, 0.24), (0.24, 1.08, 0.34),
    ),
    "fine": (
        (1.0, 0.73, 0.0), (0.95, 0.80, 0.03), (0.88, 0.86, 0.07), (0.80, 0.915, 0.11), (0.70, 0.96, 0.15),
        (0.58, 1.0, 0.20), (0.44, 1.035, 0.26), (0.28, 1.065, 0.32), (0.13, 1.09, 0.36),
    ),
    "sketch": ((1.0, 0.94, 0.0), (0.74, 1.06, 0.24)),
}  # fmt: skip
CONTOUR = (34.0, 26.0, 38.0)
_BORDER = {"shaded": 0.58, "flat": 0.84}
_LINE = {"shaded": 0.8, "flat": 0.7, "cartoon": 2.0, "sketch": 1.2}


@dataclass
class Placement:
    """Where a figure stands: pixel = statures * scale + offset."""

    scale: float
    offset: np.ndarray

    def pixels(self, points: np.ndarray) -> np.ndarray:
        """Points [n, 2] in statures -> continuous pixels (pixel i spans i .. i + 1)."""
        return points * self.scale + self.offset


class Canvas:
    """A picture being painted, ``factor`` times larger than it will be, with its map of shape numbers."""

    def __init__(self, height: int, width: int, style: str, background: np.ndarray) -> None:
        import cv2

        self.height, self.width, self.style = height, width, style
        self.factor = 3 if height <= 320 else 2
        size = (width * self.factor, height * self.factor)
        self.pixels = np.ascontiguousarray(cv2.resize(background, size, interpolation=cv2.INTER_LINEAR))
        self.numbers = np.zeros((size[1], size[0]), np.uint16)
        self.owners: list[tuple[int, int, str]] = [(0, 0, "")]
        """Per shape number: person (1..; 0 = nobody), class of the part map, body part."""

    def paint(self, shapes: list[Shape], placement: Placement, person: int) -> None:
        """Paint one figure over what is there. ``person`` counts from 1."""
        detail = "fine" if placement.scale > 320 else "round" if placement.scale > 150 else "shaded"
        tones = TONES[detail if self.style == "shaded" else self.style]
        line = max(1.0, self.factor * max(0.55, placement.scale * 0.0034)) * _LINE[self.style]
        polygons = _polygons(shapes, placement, self.factor, tones, line)
        inks = self._inks(shapes, tones)
        start = 0
        while start < len(shapes):
            end = start + 1
            while end < len(shapes) and shapes[start].group and shapes[end].group == shapes[start].group:
                end += 1
            self._paint_group(shapes[start:end], polygons[start:end], inks[start:end], person)
            start = end

    def _paint_group(
        self, shapes: list[Shape], polygons: list[np.ndarray], inks: list[list[Color]], person: int
    ) -> None:
        """Outlines first, then tone by tone, so that the shapes of a group melt into one."""
        import cv2

        fill, pixels = cv2.fillPoly, self.pixels
        for shape, rings, colors in zip(shapes, polygons, inks, strict=True):
            if shape.label is not None:
                self.owners.append((person if shape.part else 0, shape.label, shape.part))
                fill(self.numbers, [rings[1]], len(self.owners) - 1, 8, SHIFT)
            if shape.outline:
                fill(pixels, [rings[0]], colors[0], 8, SHIFT)
        for tone in range(1, len(inks[0])):
            for shape, rings, colors in zip(shapes, polygons, inks, strict=True):
                if shape.tones or tone == 1:
                    fill(pixels, [rings[tone]], colors[tone], 8, SHIFT)

    def _inks(self, shapes: list[Shape], tones: Tones) -> list[list[Color]]:
        """Colours of every shape: the outline's, then one per tone (the shape's own where it has none)."""
        colors = np.array([shape.color for shape in shapes])
        rounded = np.array([shape.tones for shape in shapes])[:, None]
        factors = np.where(rounded, [brightness for _, brightness, _ in tones], 1.0)
        inks = shade_all(colors, factors)
        if self.style == "sketch":
            inks = PAPER + (inks - PAPER) * 0.62
            border = np.broadcast_to(GRAPHITE, colors.shape)
        elif self.style == "cartoon":
            border = shade_all(colors, np.full((len(colors), 1), 0.30))[:, 0] * 0.4 + np.array(CONTOUR) * 0.6
        else:
            border = shade_all(colors, np.full((len(colors), 1), _BORDER[self.style]))[:, 0]
        return np.concatenate([border[:, None], inks], 1).tolist()

    def finish(self) -> tuple[np.ndarray, np.ndarray]:
        """The picture uint8 [H, W, 3] and the shape numbers [H, W] at pixel centres."""
        import cv2

        image = cv2.resize(self.pixels, (self.width, self.height), interpolation=cv2.INTER_AREA)
        middle = self.factor // 2
        return image, self.numbers[middle :: self.factor, middle :: self.factor].copy()


_RAMP = np.clip(np.linspace(0, 1, SAMPLES) / 0.32, 0, 1)[:, None]  # 0 at an open start, 1 from a third on


def _polygons(
    shapes: list[Shape], placement: Placement, factor: int, tones: Tones, stroke: float
) -> list[np.ndarray]:
    """Fixed-point rings [1 + tones, 2 * SAMPLES, 2] of every shape: the outline's, then one per tone."""
    left = np.stack([shape.left for shape in shapes])
    right = np.stack([shape.right for shape in shapes])
    middle, half = (left + right) / 2, (right - left) / 2
    size = np.sqrt((half**2).sum(-1, keepdims=True)) + 1e-9
    pull = half * (half @ LIGHT)[..., None] / size  # towards the light, as far as the strip is wide
    ramp = np.where(np.array([shape.open_start for shape in shapes])[:, None, None], _RAMP, 1.0)
    mean = middle.mean(1, keepdims=True)
    along = middle - mean
    reach = np.sqrt((along**2).sum(-1, keepdims=True)).max(1, keepdims=True) + 1e-9
    border = stroke / (placement.scale * factor)
    grown_half, grown = half * (1 + border * ramp / size), mean + along * (1 + border * ramp / reach)
    rings = [np.concatenate([grown - grown_half, (grown + grown_half)[:, ::-1]], 1)]
    for share, brightness, shift in tones:
        if brightness <= 1:
            kept = 1 - (1 - share) * ramp
            center = mean + along * (0.86 + 0.14 * kept) + pull * (shift * ramp)
        else:
            kept, center = share, mean + along * (0.86 + 0.14 * share) + pull * shift
        rings.append(np.concatenate([center - half * kept, (center + half * kept)[:, ::-1]], 1))
    step = factor * (1 << SHIFT)
    points = np.stack(rings, 1) * (placement.scale * step) + (placement.offset * step - 0.5 * (1 << SHIFT))
    return list(np.rint(points).clip(-2e6, 2e6).astype(np.int32))
