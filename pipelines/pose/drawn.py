"""Tell a picture that already is a skeleton from one that people have to be found in."""

import numpy as np

BLACK = 24  # of 255; what JPEG leaves of a black ground
NEAR = 40  # of 255, in each channel; what JPEG leaves of a flat colour


def is_skeleton(picture: np.ndarray, palettes: list[np.ndarray]) -> bool:
    """Whether a picture is strokes of a skeleton's colours on black.

    Args:
        picture: uint8 RGB [H, W, 3].
        palettes: colours [n, 3] of each kind of skeleton, 0..255.
    """
    pixels = picture.reshape(-1, 3).astype(np.int16)
    lit = pixels[pixels.max(1) > BLACK]
    if not 0.001 <= len(lit) / len(pixels) <= 0.5:
        return False
    lit = lit[:: max(1, len(lit) // 20000)]
    for palette in palettes:
        distance = np.abs(lit[:, None] - palette[None].astype(np.int16)).max(-1)
        close = distance.min(1) <= NEAR
        used = len(np.unique(distance[close].argmin(1))) if close.any() else 0
        if close.mean() >= 0.8 and used >= 3:
            return True
    return False
