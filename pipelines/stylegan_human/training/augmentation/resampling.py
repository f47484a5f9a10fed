"""Bilinear sampling that can be differentiated twice, as R1 through an augmentation needs.

Sampling is linear in the picture, so its gradient is its own adjoint, whose gradient is sampling again; torch
has no second derivative of its ``grid_sample``.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

ZEROS, BILINEAR = 0, 0  # torch's numbers for the padding and interpolation modes


class Sample(torch.autograd.Function):
    """pixels [N, C, H, W], grid [N, h, w, 2] -> [N, C, h, w]; outside is 0. No gradient for the grid."""

    @staticmethod
    def forward(ctx: Any, pixels: Tensor, grid: Tensor) -> Tensor:
        ctx.save_for_backward(grid)
        ctx.size = pixels.shape
        return F.grid_sample(pixels, grid, mode="bilinear", padding_mode="zeros", align_corners=False)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        (grid,) = ctx.saved_tensors
        return Scatter.apply(gradients[0], grid, ctx.size), None  # type: ignore[return-value]


class Scatter(torch.autograd.Function):
    """The adjoint of ``Sample``: values [N, C, h, w] spread to where they would have been read."""

    @staticmethod
    def forward(ctx: Any, values: Tensor, grid: Tensor, size: torch.Size) -> Tensor:
        ctx.save_for_backward(grid)
        pixels = values.new_empty(size)  # only its shape is used
        return torch.ops.aten.grid_sampler_2d_backward(
            values.contiguous(), pixels, grid, BILINEAR, ZEROS, False, (True, False)
        )[0]

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        (grid,) = ctx.saved_tensors
        return Sample.apply(gradients[0], grid), None, None  # type: ignore[return-value]


def sample(pixels: Tensor, grid: Tensor) -> Tensor:
    """Read ``pixels`` at ``grid`` (x, y from -1 to 1), bilinear, 0 outside."""
    return Sample.apply(pixels, grid.to(pixels.dtype))  # type: ignore[return-value]
