"""A workflow's thumbnail: the pictures one of its runs made, side by side, over the workflow's title."""

import io
import math
import textwrap

import numpy as np
from PIL import Image, ImageDraw, ImageFont

SIDE, STRIP, GAP, MOST_BYTES, MOST_PICTURES = 480, 84, 6, 40_000, 9
GROUND = (24, 24, 28)


def thumbnail(pictures: list[np.ndarray], title: str) -> bytes:
    """JPEG of at most 40 kB from up to nine uint8 [H, W, 3] pictures, each fitted into its cell."""
    shown = pictures[:MOST_PICTURES]
    columns = max(range(1, len(shown) + 1), key=lambda n: _scale(shown, n))
    rows = math.ceil(len(shown) / columns)
    height = SIDE - STRIP
    cell = ((SIDE - GAP * (columns - 1)) // columns, (height - GAP * (rows - 1)) // rows)
    sheet = Image.new("RGB", (SIDE, SIDE), GROUND)
    for place, pixels in enumerate(shown):
        picture = _fitted(Image.fromarray(pixels), cell)
        left = (place % columns) * (cell[0] + GAP) + (cell[0] - picture.width) // 2
        top = (place // columns) * (cell[1] + GAP) + (cell[1] - picture.height) // 2
        sheet.paste(picture, (left, top))
    _write(sheet, title)
    return _small_jpeg(sheet)


def _write(sheet: Image.Image, title: str) -> None:
    """The title on the strip below, as large as fits on two lines."""
    pen = ImageDraw.Draw(sheet)
    for size in range(30, 12, -1):
        font = ImageFont.load_default(size)
        lines = textwrap.wrap(title, int(SIDE * 1.8 / size))
        if len(lines) <= 2 and all(pen.textlength(line, font) <= SIDE - 20 for line in lines):
            break
    pen.multiline_text((SIDE / 2, SIDE - STRIP / 2), "\n".join(lines), "white", font, "mm", align="center")


def _scale(pictures: list[np.ndarray], columns: int) -> float:
    """How large the largest picture can be drawn with so many columns."""
    height, width = np.max([picture.shape[:2] for picture in pictures], axis=0)
    rows = math.ceil(len(pictures) / columns)
    return min(SIDE / columns / width, (SIDE - STRIP) / rows / height)


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
