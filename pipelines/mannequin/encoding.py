"""Pictures and label maps as the bytes of PNG and JPEG files."""

import io
from typing import Any

import numpy as np
from PIL import Image

from .classes import PALETTE


def png(array: np.ndarray) -> bytes:
    """RGB [H, W, 3], RGBA [H, W, 4] or grey [H, W], uint8, as PNG."""
    return _encode(Image.fromarray(array), "PNG", compress_level=3)


def palette_png(labels: np.ndarray) -> bytes:
    """Class numbers uint8 [H, W] as a palette ("P") PNG, which every reader resizes without mixing
    classes."""
    picture = Image.fromarray(labels)
    picture.putpalette(PALETTE)
    return _encode(picture, "PNG", optimize=False)


def jpeg(array: np.ndarray, quality: int = 95) -> bytes:
    """RGB or grey uint8 as JPEG, colours not subsampled."""
    return _encode(Image.fromarray(array), "JPEG", quality=quality, subsampling=0)


def _encode(picture: Image.Image, kind: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, format=kind, **options)
    return buffer.getvalue()
