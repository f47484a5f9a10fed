"""Backgrounds: plain walls with a floor, and a few simple landscapes, each with the words that describe
it."""

import random
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from .palette import PAPER, WALLS, Color, shade, vary

SCENES = (
    "a park with trees",
    "a beach",
    "a city street",
    "mountains",
    "a room with a window",
    "a sunset sky",
)


@dataclass(frozen=True)
class Backdrop:
    """What is behind the people. ``horizon``: where the ground begins, as a share of the height."""

    words: str
    color: Color
    horizon: float
    seed: int
    warmth: float


def draw_backdrop(rng: random.Random, scenery: float, walls: tuple[str, ...] = ()) -> Backdrop:
    """Choose a wall (of the colours ``walls``; empty: all) or, with probability ``scenery``, a scene."""
    if rng.random() < scenery:
        words = SCENES[int(rng.random() * len(SCENES))]
        return Backdrop(words, (0, 0, 0), rng.uniform(0.56, 0.70), rng.getrandbits(32), rng.random())
    names = walls or tuple(WALLS)
    name = names[int(rng.random() * len(names))]
    return Backdrop(
        f"a {name} wall", vary(WALLS[name], rng, 0.012), rng.uniform(0.80, 0.88), rng.getrandbits(32), 0.5
    )


def paint_backdrop(backdrop: Backdrop, height: int, width: int, floor: bool, style: str) -> np.ndarray:
    """The empty scene, uint8 [height, width, 3]. ``floor``: the frame reaches down to the ground."""
    if backdrop.words.endswith("wall"):
        picture = _wall(backdrop, height, width, floor)
    else:
        picture = _PAINTERS[backdrop.words](backdrop, height, width, random.Random(backdrop.seed))
    if style == "sketch":
        picture = np.asarray(PAPER) + (picture - np.asarray(PAPER)) * 0.42
    return np.clip(picture, 0, 255).astype(np.uint8)


def _gradient(height: int, width: int, top: Color, bottom: Color) -> np.ndarray:
    t = np.linspace(0, 1, height, dtype=np.float32)[:, None, None]
    column = np.asarray(top, np.float32) * (1 - t) + np.asarray(bottom, np.float32) * t
    return np.repeat(column, width, 1)


def _wall(backdrop: Backdrop, height: int, width: int, floor: bool) -> np.ndarray:
    """A wall lit from the upper left and, where it is in view, a floor one tone darker that fades into it."""
    light = _lamp(height, width)
    if floor:
        edge = (np.linspace(0, 1, height, dtype=np.float32) - backdrop.horizon) * 26
        light = light * (1 - 0.085 / (1 + np.exp(-edge)))[:, None, None]
    return np.asarray(backdrop.color, np.float32) * light


@lru_cache(maxsize=8)
def _lamp(height: int, width: int) -> np.ndarray:
    """Brightness of a wall [height, width, 1] under a lamp at the upper left."""
    x = np.linspace(-1, 1, width, dtype=np.float32)[None, :, None]
    y = np.linspace(-1, 1, height, dtype=np.float32)[:, None, None]
    return 1.015 - 0.0225 * ((x + 0.5) ** 2 + (y + 0.5) ** 2)


def _fill(picture: np.ndarray, points: np.ndarray, color: Color) -> None:
    import cv2

    cv2.fillPoly(picture, [np.round(points * 16).astype(np.int32)], color, cv2.LINE_AA, 4)


def _disc(picture: np.ndarray, x: float, y: float, radius: float, color: Color) -> None:
    angle = np.linspace(0, 2 * np.pi, 25)
    _fill(picture, np.stack([x + radius * np.cos(angle), y + radius * np.sin(angle)], 1), color)


def _canvas(height: int, width: int, top: Color, bottom: Color) -> np.ndarray:
    return np.ascontiguousarray(_gradient(height, width, top, bottom).astype(np.uint8))


def _ridge(
    picture: np.ndarray, rng: random.Random, base: float, rise: float, color: Color, steps: int = 7
) -> None:
    """A band of hills from ``base`` down to the lower edge."""
    height, width = picture.shape[:2]
    x = np.linspace(-0.05, 1.05, steps) * width
    y = np.array([base - rise * rng.random() for _ in x]) * height
    fine = np.linspace(x[0], x[-1], 40)
    line = np.stack([fine, np.interp(fine, x, y)], 1)
    kernel = np.ones(5) / 5
    line[2:-2, 1] = np.convolve(line[:, 1], kernel, "valid")
    _fill(picture, np.concatenate([line, [[x[-1], height], [x[0], height]]]), color)


def _park(b: Backdrop, height: int, width: int, rng: random.Random) -> np.ndarray:
    picture = _canvas(height, width, (176, 214, 240), (232, 242, 236))
    _ridge(picture, rng, b.horizon - 0.04, 0.10, (150, 192, 150))
    _ridge(picture, rng, b.horizon + 0.02, 0.03, (142, 186, 112))
    size = min(height, width)
    for _ in range(rng.randint(2, 4)):
        x, y = rng.random() * width, (b.horizon + rng.uniform(0.0, 0.06)) * height
        r = size * rng.uniform(0.10, 0.17)
        trunk = np.array([(-0.10, 0), (-0.07, -1.4), (0.07, -1.4), (0.10, 0)]) * r + (x, y)
        _fill(picture, trunk, (132, 98, 72))
        for dx, dy, k, tone in ((-0.5, -1.6, 0.8, 0.86), (0.5, -1.7, 0.8, 0.92), (0, -2.2, 1.0, 1.0)):
            _disc(picture, x + dx * r, y + dy * r, k * r, shade((112, 166, 96), tone))
    return picture


def _beach(b: Backdrop, height: int, width: int, rng: random.Random) -> np.ndarray:
    picture = _canvas(height, width, (150, 204, 238), (226, 240, 244))
    _disc(picture, rng.uniform(0.15, 0.85) * width, 0.14 * height, 0.07 * min(height, width), (255, 244, 206))
    line = (b.horizon - 0.08) * height
    _fill(picture, np.array([(0, line), (width, line), (width, height), (0, height)]), (92, 172, 198))
    _ridge(picture, rng, b.horizon + 0.045, 0.030, (226, 240, 238), 5)
    _ridge(picture, rng, b.horizon + 0.06, 0.030, (236, 216, 172), 5)
    return picture


def _street(b: Backdrop, height: int, width: int, rng: random.Random) -> np.ndarray:
    picture = _canvas(height, width, (196, 216, 234), (236, 236, 234))
    ground = b.horizon * height + 0.04 * height
    x = -0.1 * width
    while x < width:
        wide, top = width * rng.uniform(0.18, 0.34), height * rng.uniform(0.06, 0.34)
        color = rng.choice(
            ((206, 176, 158), (178, 184, 196), (216, 204, 182), (168, 176, 172), (196, 164, 150))
        )
        _fill(picture, np.array([(x, top), (x + wide, top), (x + wide, ground), (x, ground)]), color)
        for row in np.arange(top + 0.05 * height, ground - 0.10 * height, 0.10 * height):
            for column in (0.18, 0.58):
                left = x + wide * column
                box = np.array(
                    [(0, 0), (wide * 0.24, 0), (wide * 0.24, height * 0.05), (0, height * 0.05)]
                ) + (left, row)
                _fill(picture, box, shade(color, 0.80))
        x += wide
    _fill(picture, np.array([(0, ground), (width, ground), (width, height), (0, height)]), (186, 186, 190))
    curb = ground + 0.012 * height
    _fill(picture, np.array([(0, ground), (width, ground), (width, curb), (0, curb)]), (214, 212, 208))
    return picture


def _mountains(b: Backdrop, height: int, width: int, rng: random.Random) -> np.ndarray:
    picture = _canvas(height, width, (168, 202, 234), (240, 240, 238))
    for base, rise, color in (
        (b.horizon - 0.14, 0.26, (176, 192, 214)),
        (b.horizon - 0.05, 0.20, (142, 164, 188)),
        (b.horizon + 0.03, 0.06, (132, 166, 128)),
    ):
        _ridge(picture, rng, base, rise, color, 6)
    return picture


def _room(b: Backdrop, height: int, width: int, rng: random.Random) -> np.ndarray:
    wall = rng.choice(((226, 214, 198), (206, 216, 210), (220, 208, 214)))
    picture = _canvas(height, width, shade(wall, 1.04), shade(wall, 0.94))
    ground, left = (b.horizon + 0.12) * height, rng.choice((0.06, 0.56)) * width
    w, h, top = 0.36 * width, min(0.34 * height, 0.5 * width), 0.10 * height
    frame = np.array([(0, 0), (w, 0), (w, h), (0, h)])
    _fill(picture, frame + (left, top), (250, 248, 244))
    inset = np.array([(0.07, 0.07), (0.47, 0.07), (0.47, 0.93), (0.07, 0.93)]) * (w, h)
    for shift in (0.0, 0.46):
        _fill(picture, inset + (left + shift * w, top), (182, 214, 236))
    _fill(picture, np.array([(0, ground), (width, ground), (width, height), (0, height)]), (188, 152, 118))
    board = ground - 0.018 * height
    _fill(picture, np.array([(0, board), (width, board), (width, ground), (0, ground)]), (246, 242, 236))
    return picture


def _sunset(b: Backdrop, height: int, width: int, rng: random.Random) -> np.ndarray:
    picture = _canvas(height, width, (122, 112, 168), (255, 206, 150))
    _disc(
        picture,
        rng.uniform(0.2, 0.8) * width,
        (b.horizon - 0.08) * height,
        0.10 * min(height, width),
        (255, 236, 190),
    )
    _ridge(picture, rng, b.horizon, 0.07, (124, 100, 134))
    _ridge(picture, rng, b.horizon + 0.06, 0.03, (104, 92, 108))
    return picture


_PAINTERS: dict[str, Callable[[Backdrop, int, int, random.Random], np.ndarray]] = dict(
    zip(SCENES, (_park, _beach, _street, _mountains, _room, _sunset), strict=True)
)


def cast_shadow(picture: np.ndarray, x: float, y: float, half: float, strength: float = 0.20) -> None:
    """Darken a soft ellipse on the ground, in place (float or uint8 picture, pixels)."""
    height, width = picture.shape[:2]
    top, bottom = max(0, int(y - half * 0.5)), min(height, int(y + half * 0.5) + 1)
    left, right = max(0, int(x - half * 1.4)), min(width, int(x + half * 1.4) + 1)
    if top >= bottom or left >= right:
        return
    down = np.exp(-1.6 * ((np.arange(top, bottom, dtype=np.float32) - y) / (half * 0.26)) ** 2)
    across = np.exp(-1.6 * ((np.arange(left, right, dtype=np.float32) - x) / half) ** 2)
    factor = 1 - strength * np.outer(down, across)
    picture[top:bottom, left:right] = (picture[top:bottom, left:right] * factor[..., None]).astype(
        picture.dtype
    )
