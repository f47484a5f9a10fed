"""Many pictures on one sheet, each with its label: a seed grid, a strip of edits, a mixing matrix."""

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from ..common.errors import FiguraInputError

MAX_SIDE = 16384


def sheet(images: Tensor, labels: Sequence[str] = (), columns: int = 0, gap: int = 4) -> Tensor:
    """IMAGE batch [N, H, W, 3] in [0, 1] -> one IMAGE [1, H', W', 3] on white, row by row.

    ``columns`` 0 chooses a sheet as nearly square as the pictures allow. Labels stand below their pictures.
    """
    count, height, width, _ = images.shape
    columns = min(columns, count) if columns > 0 else _columns(count, height, width)
    strip = max(14, height // 16) if any(labels) else 0
    rows = math.ceil(count / columns)
    size = (rows * (height + strip + gap) + gap, columns * (width + gap) + gap)
    if max(size) > MAX_SIDE:
        raise FiguraInputError(
            "grid",
            f"a sheet of {size[1]} x {size[0]} pixels",
            f"at most {MAX_SIDE} a side",
            "Use fewer seeds.",
        )
    canvas = torch.ones(1, *size, 3)
    for i, image in enumerate(images):
        top = gap + i // columns * (height + strip + gap)
        left = gap + i % columns * (width + gap)
        canvas[0, top : top + height, left : left + width] = image
        if strip and i < len(labels):
            canvas[0, top + height : top + height + strip, left : left + width] = _label(
                labels[i], width, strip
            )
    return canvas


def _columns(count: int, height: int, width: int) -> int:
    return max(1, min(count, round(math.sqrt(count * height / width))))


def _label(text: str, width: int, height: int) -> Tensor:
    """Black text, centred on white, [height, width, 3]; shrunk until it fits."""
    from PIL import Image, ImageDraw, ImageFont

    picture = Image.new("RGB", (width, height), "white")
    draw = ImageDraw.Draw(picture)
    for size in range(max(8, height - 3), 5, -1):
        font = ImageFont.load_default(size)
        if draw.textlength(text, font=font) <= width:
            break
    draw.text((width / 2, height / 2), text, "black", font=font, anchor="mm")
    return torch.from_numpy(np.asarray(picture, dtype=np.float32) / 255)
