"""Masks [B, H, W] in [0, 1], 1 = selected."""

import torch
from torch import Tensor

from .errors import FiguraInputError


def check_mask(mask: Tensor, what: str = "mask", batch: int | None = None) -> Tensor:
    """Return ``mask`` as float32 [B, H, W] in [0, 1], or raise FiguraInputError.

    [H, W] gains a batch axis; a single mask is repeated to ``batch``; other batch sizes are refused.
    """
    if not isinstance(mask, Tensor) or mask.ndim not in (2, 3):
        came = f"shape {list(mask.shape)}" if isinstance(mask, Tensor) else type(mask).__name__
        raise FiguraInputError(what, came, "a mask of shape [batch, height, width]")
    if 0 in mask.shape:
        raise FiguraInputError(what, f"an empty mask {list(mask.shape)}", "at least one mask of one pixel")
    mask = mask.float() if mask.ndim == 3 else mask.float()[None]
    if not torch.isfinite(mask).all():
        raise FiguraInputError(what, "values that are NaN or infinite", "values from 0 to 1")
    mask = mask.clamp(0, 1)
    if batch is not None and mask.shape[0] not in (1, batch):
        raise FiguraInputError(what, f"{mask.shape[0]} masks for {batch} pictures", f"1 or {batch} masks")
    return mask.expand(batch, -1, -1) if batch is not None and mask.shape[0] == 1 else mask
