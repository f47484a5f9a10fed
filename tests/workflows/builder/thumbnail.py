"""A workflow's thumbnail: the pictures one of its runs made, side by side in a square."""

import io
import math

import numpy as np
from PIL import Image

SIDE, GAP, MOST_BYTES, MOST_PICTURES = 480, 6, 40_000, 9
GROUND = (24, 24, 28)


def thumbnail(pictures: list[np.ndarray]) -> bytes:
    """JPEG of at most 40 kB from up to nine uint8 [H, W, 3] pictures, each fitted into its cell."""
    shown = pictures[:MOST_PICTURES]
    columns = max(range(1, len(shown) + 1), key=lambda n: _scale(shown, n))
    rows = math.ceil(len(shown) / columns)
    cell = ((SIDE - GAP * (columns - 1)) // columns, (SIDE - GAP * (rows - 1)) // rows)
    sheet = Image.new("RGB", (SIDE, SIDE), GROUND)
    for place, pixels in enumerate(shown):
        picture = _fitted(Image.fromarray(pixels), cell)
        left = (place % columns) * (cell[0] + GAP) + (cell[0] - picture.width) // 2
        top = (place // columns) * (cell[1] + GAP) + (cell[1] - picture.height) // 2
        sheet.paste(picture, (left, top))
    return _small_jpeg(sheet)


def _scale(pictures: list[np.ndarray], columns: int) -> float:
    """How large the largest picture can be drawn with so many columns."""
    height, width = np.max([picture.shape[:2] for picture in pictures], axis=0)
    rows = math.ceil(len(pictures) / columns)
    return min(SIDE / columns / width, SIDE / rows / height)


def _fitted(picture: Image.Image, cell: tuple[int, int]) -> Image.Image:
    scale = min(cell[0] / picture.width, cell[1] / picture.height)
    size = max(1, round(picture.width * scale)), max(1, round(picture.height * scale))
    return picture.resize(size, Image.Resampling.NEAREST if scale > 2 else Image.Resampling.LANCZOS)


def _small_jpeg(picture: Image.Image) -> bytes:
    while True:
        for quality in (85, 70, 55, 40):
            buffer = io.BytesIO()
            picture.save(buffer, "JPEG", quality=quality, optimize=True)
            if buffer.tell() <= MOST_BYTES:
                return buffer.getvalue()
        picture = picture.resize((picture.width * 3 // 4, picture.height * 3 // 4), Image.Resampling.LANCZOS)
