"""The name of a region's colour: its median pixel, and the nearest named colour in CIE Lab."""

from functools import lru_cache

import numpy as np

from ..palette import CLOTHES, HAIR, SKIN, WALLS, Color

NAMES: dict[str, dict[str, Color]] = {
    "hair": HAIR, "top": CLOTHES, "bottom": CLOTHES, "shoes": CLOTHES, "skin": SKIN, "wall": WALLS,
}  # fmt: skip
LIT = {"skin": 0.96, "wall": 1.0}
"""How bright a region's median pixel is against its named colour: shaded limbs lie a little under it."""


def lab(colors: np.ndarray) -> np.ndarray:
    """RGB [..., 3] in 0..255 to CIE Lab (D65)."""
    import cv2

    flat = np.ascontiguousarray(colors.reshape(1, -1, 3) / 255, np.float32)
    return cv2.cvtColor(flat, cv2.COLOR_RGB2LAB).reshape(colors.shape)


@lru_cache(maxsize=8)
def _references(region: str) -> tuple[tuple[str, ...], np.ndarray]:
    names = NAMES[region]
    return tuple(names), lab(np.array(list(names.values())) * LIT.get(region, 0.97))


def name_color(region: str, color: np.ndarray) -> str:
    """The named colour nearest to ``color`` [3] in 0..255."""
    names, references = _references(region)
    return names[int(np.linalg.norm(references - lab(color), axis=-1).argmin())]


SUREST = {"hair": 0.75}
"""Share of a region's pixels that is left out as not sure enough; short hair is a rim a few pixels wide."""


def region_color(
    image: np.ndarray, certainty: np.ndarray, left_out: float = 0.5, least: int = 6
) -> np.ndarray | None:
    """Median pixel [3] of uint8 or float [H, W, 3] where a region is surest; None when it is not there.

    ``certainty`` [H, W] is the region's probability: pixels over half count, and of them the surest (edges
    blend with their neighbours): all but the share ``left_out``.
    """
    inside = certainty > 0.5
    if inside.sum() < least:
        return None
    floor = np.quantile(certainty[inside], left_out)
    return np.median(image[inside & (certainty >= floor)], axis=0)
