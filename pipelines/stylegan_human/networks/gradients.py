"""StyleGAN2's layer where gradients are recorded: the same numbers, derivatives worked out by hand.

Autograd would keep five copies of every feature map and compute gradients nobody asked for. Here a layer
keeps two maps, works in place, and turns what a style does to the weights into sums over maps wherever the
weights themselves stand still. On a CPU most of the time of an element-wise operation is spent in faults of
fresh memory pages: hence the small tiles. Every derivative can be differentiated again (path lengths need
it); then the same formulas run on whole tensors.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd import Function

from .ops import SQRT2

TILE = 1 << 18  # elements that are worked on together: 1 MiB of float32
GEMM_FROM = 512  # pixels of the input from which nine matrix products beat the library's weight gradient


def styled_convolution(x: Tensor, weight: Tensor, styles: Tensor, up: int, padding: int = 1) -> Tensor:
    """Convolve [N, in, H, W] with ``weight`` [out, in, k, k] scaled by ``styles`` [N, in], without
    demodulation; ``up=2`` is a transposed convolution with stride 2.
    """
    if x.shape[0] == 1:
        return _StyledConvolution.apply(x, weight, styles.to(weight), up, padding)  # type: ignore[return-value]
    x = x * styles.to(x.dtype)[:, :, None, None]
    weight = weight.to(x.dtype)
    if up == 1:
        return F.conv2d(x, weight, padding=padding)
    return F.conv_transpose2d(x, weight.transpose(0, 1), stride=up)


def scaled_noisy_bias_act(
    x: Tensor, scale: Tensor, noise: Tensor | None, bias: Tensor, clamp: float | None
) -> Tensor:
    """clamp(sqrt(2) * leaky_relu(x * scale + noise + bias)) on [N, C, H, W], written over ``x``.

    scale: [N, C], nowhere zero; noise: [H, W] or [N, 1, H, W]; bias: [C].
    """
    scale, bias = scale.to(x.dtype), bias.to(x.dtype)
    noise = None if noise is None else noise.to(x.dtype)
    return _ScaledNoisyBiasAct.apply(x, scale, noise, bias, clamp)  # type: ignore[return-value]


class _StyledConvolution(Function):
    """One sample's convolution with weights scaled along the input channels."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, styles: Tensor, up: int, padding: int) -> Tensor:
        kernel = _kernel(weight, styles).to(x.dtype)
        ctx.save_for_backward(x, weight, styles, kernel)
        ctx.up, ctx.padding = up, padding
        if up == 1:
            return F.conv2d(x, kernel, padding=padding)
        return F.conv_transpose2d(x, kernel.transpose(0, 1), stride=up)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:  # type: ignore[override]
        x, weight, styles, kernel = ctx.saved_tensors
        again = torch.is_grad_enabled()
        if again:  # the derivative of this derivative must know where the kernel came from
            kernel = _kernel(weight, styles).to(x.dtype)
        trained = ctx.needs_input_grad[1]
        for_x = for_weight = for_styles = None
        if ctx.needs_input_grad[0] or (ctx.needs_input_grad[2] and not trained):
            for_x = _input_gradient(grad, x, kernel, ctx.up, ctx.padding)
        if trained:
            for_kernel = _weight_gradient(grad, x, kernel, ctx.up, ctx.padding, again).to(weight.dtype)
            for_weight = for_kernel * styles.reshape(1, -1, 1, 1)
            if ctx.needs_input_grad[2]:
                for_styles = (for_kernel * weight).sum(dim=(0, 2, 3))[None]
        elif ctx.needs_input_grad[2]:
            # x meets its style as a product, so what a style gains is what its channel of x gains.
            assert for_x is not None
            for_styles = _inner(x, for_x, again).to(styles.dtype) / _nowhere_zero(styles)
        return for_x, for_weight, for_styles, None, None


def _kernel(weight: Tensor, styles: Tensor) -> Tensor:
    return weight * _nowhere_zero(styles).reshape(1, -1, 1, 1)


def _nowhere_zero(styles: Tensor) -> Tensor:
    return torch.where(styles == 0, torch.full_like(styles, 1e-12), styles)


def _input_gradient(grad: Tensor, x: Tensor, kernel: Tensor, up: int, padding: int) -> Tensor:
    return _convolution_backward(grad, x, kernel, up, padding, [True, False, False])[0]


def _weight_gradient(grad: Tensor, x: Tensor, kernel: Tensor, up: int, padding: int, again: bool) -> Tensor:
    large = x.shape[2] * x.shape[3] >= GEMM_FROM
    if up == 2 and large and x.device.type == "cpu" and x.dtype == torch.float32 and not again:
        return _upsampling_weight_gradient(grad, x)
    return _convolution_backward(grad, x, kernel, up, padding, [False, True, False])[1]


def _convolution_backward(
    grad: Tensor, x: Tensor, kernel: Tensor, up: int, padding: int, mask: list[bool]
) -> tuple[Tensor, Tensor, Tensor]:
    transposed = up == 2
    weight = kernel.transpose(0, 1) if transposed else kernel
    pads = [0, 0] if transposed else [padding, padding]
    x_grad, w_grad, _ = torch.ops.aten.convolution_backward(
        grad, x, weight, None, [up, up], pads, [1, 1], transposed, [0, 0], 1, mask
    )
    return x_grad, w_grad.transpose(0, 1) if transposed and mask[1] else w_grad, _


def _upsampling_weight_gradient(grad: Tensor, x: Tensor) -> Tensor:
    """Gradient [out, in, 3, 3] of a 3x3 kernel that upsampled x [1, in, H, W] to [1, out, 2H+1, 2W+1].

    A tap pairs every x with one of the four phases of the gradient, shifted by at most a row and a column:
    a matrix product for each tap, on rows that padding makes contiguous.
    """
    _, channels, height, width = x.shape
    out = grad.shape[1]
    inputs = F.pad(x[0].movedim(0, -1), (0, 0, 0, 1)).reshape(-1, channels).t()
    phases = F.pad(grad[0].movedim(0, -1), (0, 0, 0, 1, 0, 3))  # [2H + 4, 2W + 2, out]
    phases = phases.reshape(height + 2, 2, width + 1, 2, out).permute(1, 3, 0, 2, 4).reshape(2, 2, -1, out)
    taps = torch.empty(3, 3, channels, out)
    for i in range(3):
        for j in range(3):
            shift = (i // 2) * (width + 1) + j // 2
            torch.mm(inputs, phases[i % 2, j % 2, shift : shift + inputs.shape[1]], out=taps[i, j])
    return taps.permute(3, 2, 0, 1)


class _ScaledNoisyBiasAct(Function):
    """The end of a layer, keeping nothing but its result."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, scale: Tensor, noise: Tensor | None, bias: Tensor, clamp: float | None
    ) -> Tensor:
        x.mul_(scale[:, :, None, None]).add_(bias.reshape(1, -1, 1, 1))
        if noise is not None:
            x.add_(noise)
        F.leaky_relu_(x, 0.2).mul_(SQRT2)
        # Looking whether anything reaches the clamp is cheap, and spares the backward pass a mask.
        clamp = clamp if clamp is not None and _reaches(x, clamp) else None
        if clamp is not None:
            x.clamp_(-clamp, clamp)
        ctx.mark_dirty(x)
        ctx.save_for_backward(x, scale, noise, bias)
        ctx.clamp = clamp
        return x

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:  # type: ignore[override]
        y, scale, noise, bias = ctx.saved_tensors
        if torch.is_grad_enabled():
            before, product = _before_activation(grad, y, ctx.clamp)
            sums = product.sum(dim=(2, 3)), before.sum(dim=(2, 3)), before.sum(dim=1, keepdim=True)
            for_x = before * scale[:, :, None, None]
        else:
            for_x, *sums = _tiled_backward(grad, y, scale, ctx.clamp, noise is not None)
        by_channel = sums[1]
        for_scale = for_noise = None
        if ctx.needs_input_grad[1]:
            # x * scale = what entered the activation, less noise and bias; the former times its gradient is
            # the result times the result's.
            total = sums[0] - bias * by_channel
            if noise is not None:
                total = total - _with_noise(for_x, noise, scale)
            for_scale = total / scale
        if noise is not None and ctx.needs_input_grad[2]:
            for_noise = sums[2].sum_to_size(noise.shape)
        return for_x, for_scale, for_noise, by_channel.sum(dim=0), None


def _reaches(x: Tensor, clamp: float) -> bool:
    """True where a value lies at the clamp or beyond, or is no number. On a GPU nobody waits to see."""
    return x.device.type != "cpu" or not (x.amax() < clamp and x.amin() > -clamp)


def _before_activation(grad: Tensor, y: Tensor, clamp: float | None) -> tuple[Tensor, Tensor]:
    """Gradient of what entered the activation, and its product with what entered."""
    if clamp is not None:
        grad = torch.ops.aten.hardtanh_backward(grad, y, -clamp, clamp)
    return torch.ops.aten.leaky_relu_backward(grad, y, 0.2, True) * SQRT2, grad * y


def _tiled_backward(
    grad: Tensor, y: Tensor, scale: Tensor, clamp: float | None, noisy: bool
) -> tuple[Tensor, ...]:
    """(Gradient of x; sums over pixels of result times gradient, and of the gradient before the activation
    [N, C]; its sums over channels [N, 1, H, W]), tile by tile of rows.
    """
    for_x = torch.empty_like(y)
    products, by_channel = torch.zeros_like(scale), torch.zeros_like(scale)
    by_pixel = y.new_empty(y.shape[0], 1, *y.shape[2:]) if noisy else y.new_empty(0)
    rows = max(TILE * y.shape[2] // max(y[0].numel(), 1), 1) if y.device.type == "cpu" else y.shape[2]
    for top in range(0, y.shape[2], rows):
        part = slice(top, top + rows)
        before, product = _before_activation(grad[:, :, part], y[:, :, part], clamp)
        products += product.sum(dim=(2, 3))
        by_channel += before.sum(dim=(2, 3))
        if noisy:
            torch.sum(before, dim=1, keepdim=True, out=by_pixel[:, :, part])
        torch.mul(before, scale[:, :, None, None], out=for_x[:, :, part])
    return for_x, products, by_channel, by_pixel


def _with_noise(for_x: Tensor, noise: Tensor, scale: Tensor) -> Tensor:
    """Sums over pixels [N, C] of noise times the gradient before the activation."""
    noise = noise.expand(for_x.shape[0], 1, *for_x.shape[2:])
    return (for_x.flatten(2) @ noise.flatten(2).transpose(1, 2))[:, :, 0] / scale


def _inner(a: Tensor, b: Tensor, again: bool) -> Tensor:
    """Sums over pixels [N, C] of the products of two maps."""
    if again or a.device.type != "cpu":
        return (a * b).sum(dim=(2, 3))
    rows = max(TILE * a.shape[2] // max(a[0].numel(), 1), 1)
    total = a.new_zeros(a.shape[:2])
    for top in range(0, a.shape[2], rows):
        total += (a[:, :, top : top + rows] * b[:, :, top : top + rows]).sum(dim=(2, 3))
    return total
