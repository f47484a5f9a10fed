"""The named colours of the world (RGB, 0..255). A caption names exactly what is painted."""

import random
from functools import lru_cache

import numpy as np

Color = tuple[float, float, float]

CLOTHES: dict[str, Color] = {
    "red": (200, 50, 56),
    "orange": (236, 132, 46),
    "yellow": (244, 204, 72),
    "green": (62, 148, 90),
    "blue": (54, 104, 188),
    "purple": (128, 76, 162),
    "white": (242, 240, 235),
    "black": (46, 46, 54),
}
HAIR: dict[str, Color] = {
    "black": (40, 34, 38),
    "brown": (98, 62, 42),
    "blond": (228, 190, 116),
    "red": (172, 78, 40),
    "gray": (172, 172, 178),
}
SKIN: dict[str, Color] = {
    "pale": (252, 224, 206),
    "light": (241, 202, 172),
    "tan": (216, 164, 122),
    "brown": (160, 108, 76),
    "dark": (104, 70, 54),
}
WALLS: dict[str, Color] = {
    "white": (243, 242, 239),
    "gray": (194, 198, 204),
    "beige": (233, 220, 197),
    "pink": (240, 207, 208),
    "light blue": (199, 219, 237),
    "light green": (205, 224, 202),
}
MATERIALS: dict[str, Color] = {
    "straw": (226, 196, 128),
    "leather": (124, 76, 48),
    "canvas": (206, 190, 158),
    "felt": (112, 104, 110),
    "wool": (158, 62, 84),
    "cotton": (86, 122, 158),
}
PAPER: Color = (247, 244, 236)
GRAPHITE: Color = (70, 68, 72)


COOL, WARM = (34.0, 26.0, 70.0), (255.0, 250.0, 236.0)


@lru_cache(maxsize=8192)
def shade(color: Color, factor: float) -> Color:
    """Darken (factor < 1, towards a cool tone) or lighten (factor > 1, towards a warm one) a colour."""
    if factor <= 1:
        dark = (1 - factor) * 0.30
        return tuple(c * factor + dark * cool for c, cool in zip(color, COOL, strict=True))  # type: ignore[return-value]
    light = min(1.0, factor - 1)
    return tuple(c + (warm - c) * light for c, warm in zip(color, WARM, strict=True))  # type: ignore[return-value]


def shade_all(colors: np.ndarray, factors: np.ndarray) -> np.ndarray:
    """``shade`` for colours [n, 3] by factors [n, m] (at most 2): [n, m, 3]."""
    dark, light = np.minimum(factors, 1)[..., None], np.maximum(factors - 1, 0)[..., None]
    base = colors[:, None]
    return base * dark + (1 - dark) * 0.30 * np.array(COOL) + (np.array(WARM) - base) * light


@lru_cache(maxsize=8192)
def mix(first: Color, second: Color, amount: float) -> Color:
    """``first`` at amount 0, ``second`` at amount 1."""
    return tuple(a + (b - a) * amount for a, b in zip(first, second, strict=True))  # type: ignore[return-value]


def vary(color: Color, rng: random.Random, spread: float = 0.05) -> Color:
    """Change brightness a little and hue not at all, so that the colour keeps its name."""
    factor = 1 + rng.uniform(-spread, spread)
    return tuple(min(255.0, max(0.0, c * factor)) for c in color)  # type: ignore[return-value]
