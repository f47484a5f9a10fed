"""A user's picture as the generator's size and range, or a word on why not."""

import torch
import torch.nn.functional as F
from torch import Tensor

from ...common.errors import FiguraInputError
from ...common.images import check_image, to_pixels
from ..choices import FITS
from ..networks.generator import Generator

SMALLEST = 16  # pixels of height, of width half of that: below there is no person to find
TOLERANCE = 0.02  # of the shape, width by height


def target_pixels(image: Tensor, generator: Generator, fit: str = "exact", what: str = "image") -> Tensor:
    """IMAGE [B, H, W, C] -> pixels [B, 3, h, w] in [-1, 1] of the generator's size.

    ``fit``, for pictures of another shape: ``exact`` refuses them, ``pad`` adds white at the sides or above
    and below, ``stretch`` pulls them, as the released script does.
    """
    if fit not in FITS:
        raise FiguraInputError("fit", repr(fit), ", ".join(FITS))
    pixels = to_pixels(check_image(image, what))
    height, width = pixels.shape[2:]
    if height < SMALLEST or width < SMALLEST // 2:
        raise FiguraInputError(
            what, f"{width} x {height} pixels", f"at least {SMALLEST // 2} x {SMALLEST}",
            "Nothing can be found in a picture that small.",
        )  # fmt: skip
    wanted = generator.image_size[1] / generator.image_size[0]
    if fit != "stretch" and abs(width / height / wanted - 1) > TOLERANCE:
        if fit == "exact":
            _refuse(what, (height, width), generator)
        pixels = _padded(pixels, wanted)
    return resized(pixels, generator.image_size)


def _refuse(what: str, size: tuple[int, int], generator: Generator) -> None:
    height, width = generator.image_size
    raise FiguraInputError(
        what, f"{size[1]} x {size[0]} pixels",
        f"the shape of this network's pictures, {width} x {height} (width x height)",
        "Align the photo first, so that the person stands as the network knows people, or choose fit pad or "
        "stretch. A square network draws faces.",
    )  # fmt: skip


def _padded(pixels: Tensor, wanted: float) -> Tensor:
    height, width = pixels.shape[2:]
    if width / height < wanted:
        more = round(height * wanted) - width
        sides = (more // 2, more - more // 2, 0, 0)
    else:
        more = round(width / wanted) - height
        sides = (0, 0, more // 2, more - more // 2)
    return F.pad(pixels, sides, value=1.0)


def resized(pixels: Tensor, size: tuple[int, int]) -> Tensor:
    """Pixels of another size, every old pixel counted when shrinking."""
    if tuple(pixels.shape[2:]) == tuple(size):
        return pixels.clone()
    pixels = F.interpolate(pixels, size, mode="bilinear", align_corners=False, antialias=True)
    return pixels.clamp(-1, 1)


def psnr(a: Tensor, b: Tensor) -> list[float]:
    """Peak signal to noise ratio in dB of each picture of two batches [N, 3, H, W], range [-1, 1]; 99 where
    they agree.
    """
    squares = (a.clamp(-1, 1) - b.clamp(-1, 1)).double().square().mean(dim=(1, 2, 3)) / 4
    return (-10 * torch.log10(squares)).clamp(max=99.0).tolist()
