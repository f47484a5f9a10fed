"""Picture layouts: ComfyUI's IMAGE [B, H, W, C] in [0, 1], networks' pixels [B, C, H, W] in [-1, 1]."""

import logging
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from .errors import FiguraInputError

log = logging.getLogger(__name__)


def check_image(image: Tensor, what: str = "image", background: float = 1.0) -> Tensor:
    """Return ``image`` as float32 [B, H, W, 3] in [0, 1], or raise FiguraInputError.

    Grey pictures are repeated to three channels, alpha is composited on ``background`` (0 black .. 1 white),
    integer pictures are scaled, values outside [0, 1] are clamped with one warning. Never writes in place.
    """
    if not isinstance(image, Tensor) or image.ndim != 4:
        came = f"shape {list(image.shape)}" if isinstance(image, Tensor) else type(image).__name__
        raise FiguraInputError(what, came, "a picture batch of shape [batch, height, width, channels]")
    if 0 in image.shape:
        raise FiguraInputError(what, f"an empty batch {list(image.shape)}", "at least one picture")
    image = _to_float(image)
    _check_finite(image, what)
    image = _clamp(image, what)
    channels = image.shape[-1]
    if channels == 1:
        return image.expand(-1, -1, -1, 3)
    if channels == 4:
        alpha = image[..., 3:]
        return image[..., :3] * alpha + background * (1 - alpha)
    if channels != 3:
        raise FiguraInputError(what, f"{channels} channels", "1 (grey), 3 (RGB) or 4 (RGBA) channels")
    return image


def _to_float(image: Tensor) -> Tensor:
    if image.dtype == torch.bool:
        return image.float()
    if not image.is_floating_point():
        return image.float() / torch.iinfo(image.dtype).max
    return image.float()


def _check_finite(image: Tensor, what: str) -> None:
    bad = ~torch.isfinite(image)
    if bad.any():
        first = bad.nonzero()[0].tolist()
        raise FiguraInputError(
            what, f"{int(bad.sum())} values that are NaN or infinite, the first at {first}", "finite values",
            "The node before this one produced a broken picture (often a VAE in fp16).",
        )  # fmt: skip


def _clamp(image: Tensor, what: str, tolerance: float = 1e-3) -> Tensor:
    low, high = image.min().item(), image.max().item()
    if low < -tolerance or high > 1 + tolerance:
        log.warning("%s: values from %.3g to %.3g clamped to 0..1", what, low, high)
    return image.clamp(0, 1) if low < 0 or high > 1 else image


def to_pixels(image: Tensor) -> Tensor:
    """IMAGE [B, H, W, C] in [0, 1] -> pixels [B, C, H, W] in [-1, 1]."""
    return image.movedim(-1, 1) * 2 - 1


def to_image(pixels: Tensor) -> Tensor:
    """Pixels [B, C, H, W] in [-1, 1] -> contiguous float32 IMAGE [B, H, W, C] in [0, 1], clamped."""
    return ((pixels.float() + 1) / 2).clamp(0, 1).movedim(1, -1).contiguous()


def to_uint8(pixels: Tensor) -> np.ndarray:
    """Pixels [B, C, H, W] in [-1, 1] -> uint8 [B, H, W, C], truncated as StyleGAN's scripts do."""
    return (pixels * 127.5 + 128).clamp(0, 255).to(torch.uint8).movedim(1, -1).cpu().numpy()


def read_image(path: str | Path, least: int = 8) -> Tensor:
    """Read a picture as IMAGE [1, H, W, 3] in [0, 1], turned as its EXIF says, alpha put on white.

    Raises:
        FiguraInputError: no such file, damaged, or a side under ``least`` pixels.
    """
    from PIL import Image, ImageOps

    try:
        with Image.open(path) as picture:
            picture = ImageOps.exif_transpose(picture)
            array = np.asarray(picture.convert("RGBA" if "A" in picture.getbands() else "RGB"))
    except (OSError, SyntaxError, ValueError) as error:
        raise FiguraInputError(
            Path(path).name, f"a file that does not open as a picture ({error})", "PNG, JPEG or WebP"
        ) from error
    height, width = array.shape[:2]
    if min(height, width) < least:
        raise FiguraInputError(
            Path(path).name, f"a picture of {width} x {height} pixels", f"at least {least} pixels a side"
        )
    return check_image(torch.from_numpy(array.copy())[None], Path(path).name)


def write_png(path: str | Path, image: np.ndarray | Tensor) -> None:
    """Write one picture (uint8 [H, W, C], or IMAGE [H, W, C] in [0, 1]) as PNG, whole or not at all."""
    from PIL import Image

    from .files import atomic_path

    if isinstance(image, Tensor):
        image = (image.clamp(0, 1) * 255).round().to(torch.uint8).cpu().numpy()
    with atomic_path(path) as temporary:
        Image.fromarray(image).save(temporary, format="PNG")
