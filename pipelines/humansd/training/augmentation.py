"""Pictures varied with their joints, as the released loader does: flips, turns, crops, tints.

What is drawn and what is done with it are two functions, so that a sample is a function of its draws. Flips
do not exchange left and right joints, as released: a mirrored person keeps the colours of its limbs.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

import numpy as np

from ..dataset import cut_to
from .configs import Chances

TURN = 90.0  # degrees, at most
HUE, SATURATION, VALUE = 20.0, 30.0, 20.0  # OpenCV's units, at most
TINT = 20.0  # of 255
LIGHT = 0.2  # share of contrast and of brightness, at most
Image = np.ndarray


@dataclass(frozen=True)
class Draws:
    """What is done to one picture. ``top`` and ``left`` are shares of what the crop leaves over, 0 to 1."""

    top: float = 0.5
    left: float = 0.5
    mirror: bool = False
    upside_down: bool = False
    turn: float | None = None
    """Degrees, counter-clockwise."""
    shift: tuple[float, float, float] | None = None
    """Of hue, saturation and value."""
    tint: tuple[float, float, float] | None = None
    """Added to red, green and blue."""
    light: tuple[float, float] | None = None
    """Factor, and what is added as a share of 255."""


def draw(rng: random.Random, chances: Chances) -> Draws:
    """Draw the changes of one picture; every draw is made, so that one chance does not move the others."""
    mirror, upside_down, turn, colour, light = (
        rng.random() < chance
        for chance in (
            chances.mirror, chances.upside_down, chances.turn, chances.colour, chances.light,
        )
    )  # fmt: skip
    top, left, which = rng.random(), rng.random(), rng.random()
    angle = rng.uniform(-TURN, TURN)
    shift = rng.uniform(-HUE, HUE), rng.uniform(-SATURATION, SATURATION), rng.uniform(-VALUE, VALUE)
    tint = rng.uniform(-TINT, TINT), rng.uniform(-TINT, TINT), rng.uniform(-TINT, TINT)
    factor, added = 1 + rng.uniform(-LIGHT, LIGHT), rng.uniform(-LIGHT, LIGHT)
    return Draws(
        top, left, mirror, upside_down, angle if turn else None, shift if colour and which < 0.5 else None,
        tint if colour and which >= 0.5 else None, (factor, added) if light else None,
    )  # fmt: skip


def varied(image: Image, people: np.ndarray, size: tuple[int, int], draws: Draws) -> tuple[Image, np.ndarray]:
    """A picture and its joints, changed and cut to ``size`` (height, width).

    Args:
        image: uint8 [H, W, 3].
        people: float32 [N, 17, 3] in its pixels; a joint that does not count is (-1, -1, 0).
    """
    present = people[..., 2:] > 0
    image, points = _flipped(image, people[..., :2].astype(np.float64), draws)
    if draws.turn is not None:
        image, points = _turned(image, points, draws.turn)
    moved = np.where(present, np.concatenate([points, people[..., 2:]], -1), (-1, -1, 0)).astype(np.float32)
    image, moved = cut_to(image, moved, size, draws.top, draws.left)
    return _coloured(image, draws), moved


def _flipped(image: Image, points: np.ndarray, draws: Draws) -> tuple[Image, np.ndarray]:
    height, width = image.shape[:2]
    points = points.copy()
    if draws.mirror:
        image, points[..., 0] = image[:, ::-1], width - 1 - points[..., 0]
    if draws.upside_down:
        image, points[..., 1] = image[::-1], height - 1 - points[..., 1]
    return np.ascontiguousarray(image), points


def _turned(image: Image, points: np.ndarray, degrees: float) -> tuple[Image, np.ndarray]:
    """About the picture's middle; what comes in from outside is its mirror image."""
    import cv2

    height, width = image.shape[:2]
    matrix = cv2.getRotationMatrix2D((width / 2 - 0.5, height / 2 - 0.5), degrees, 1.0)
    turned = cv2.warpAffine(
        image, matrix, (width, height), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101
    )
    return turned, points @ matrix[:, :2].T + matrix[:, 2]


def _coloured(image: Image, draws: Draws) -> Image:
    if draws.shift is not None:
        image = _shifted(image, *draws.shift)
    if draws.tint is not None:
        image = _cut(image.astype(np.float32) + np.array(draws.tint, np.float32))
    if draws.light is not None:
        factor, added = draws.light
        table = np.arange(256, dtype=np.float32) * np.float32(factor) + np.float32(added * 255)
        image = _cut(table)[image]
    return image


def _shifted(image: Image, hue: float, saturation: float, value: float) -> Image:
    import cv2

    levels = np.arange(256, dtype=np.float64)
    tables = (np.mod(levels + hue, 180).astype(np.uint8), _cut(levels + saturation), _cut(levels + value))
    channels = np.moveaxis(np.asarray(cv2.cvtColor(image, cv2.COLOR_RGB2HSV)), -1, 0)
    changed = [table[channel] for table, channel in zip(tables, channels, strict=True)]
    return cv2.cvtColor(np.stack(changed, -1), cv2.COLOR_HSV2RGB)


def _cut(values: np.ndarray) -> Image:
    """To 8 bits, fractions dropped."""
    return np.clip(values, 0, 255).astype(np.uint8)
