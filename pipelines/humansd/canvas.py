"""The canvas of a picture: sides in multiples of 64; pictures are resized as the released demo does."""

import numpy as np
import torch
from torch import Tensor

from ..common.errors import FiguraInputError
from ..common.images import check_image
from .defaults import MULTIPLE

LARGEST = 4096  # per side; far above anything SD2.1 was trained for


def nearest_size(height: int, width: int) -> tuple[int, int]:
    """The sides rounded to multiples of 64, half to even, at least 64: the scale is kept."""
    return _rounded(height), _rounded(width)


def _rounded(side: float) -> int:
    return max(MULTIPLE, int(np.round(side / MULTIPLE)) * MULTIPLE)


def check_size(height: int, width: int) -> tuple[int, int]:
    """Return (height, width) if they can be a canvas: multiples of 64 up to 4096."""
    for word, side in (("height", height), ("width", width)):
        if not MULTIPLE <= side <= LARGEST or side % MULTIPLE:
            raise FiguraInputError(word, str(side), f"a multiple of {MULTIPLE} from {MULTIPLE} to {LARGEST}")
    return height, width


def resize(image: Tensor, height: int, width: int) -> Tensor:
    """IMAGE [B, H, W, 3] in another size: Lanczos when enlarging, area averages when shrinking."""
    if tuple(image.shape[1:3]) == (height, width):
        return image
    import cv2

    grows = height * width > image.shape[1] * image.shape[2]
    method = cv2.INTER_LANCZOS4 if grows else cv2.INTER_AREA
    rows = [cv2.resize(one, (width, height), interpolation=method) for one in image.cpu().numpy()]
    return torch.from_numpy(np.stack(rows)).clamp(0, 1)


def on_canvas(image: Tensor, what: str = "skeleton", size: tuple[int, int] | None = None) -> Tensor:
    """Check a picture and bring it to ``size`` (height, width), or to the nearest multiples of 64.

    Transparency becomes black, as a skeleton's ground is. Each colour's plane lies in one piece in memory:
    torch's group norm on the CPU loses up to 1 % on even ground when the colours are interleaved.
    """
    image = check_image(image, what, background=0.0)
    height, width = size or nearest_size(*image.shape[1:3])
    if max(height, width) > LARGEST:
        raise FiguraInputError(
            what, f"{image.shape[2]}x{image.shape[1]} pixels", f"at most {LARGEST} a side", "Make it smaller."
        )
    return resize(image, height, width).movedim(-1, 1).contiguous().movedim(1, -1)
