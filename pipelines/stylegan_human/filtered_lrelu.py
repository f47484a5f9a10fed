"""StyleGAN3's activation: upsample, leaky ReLU, clamp, downsample (Karras et al. 2021, section 3.2).

The filters run in polyphase form: no inserted zero is ever multiplied, no sample computed that is then
dropped.
"""

import torch.nn.functional as F
from torch import Tensor

from .ops import bias_act


def filtered_lrelu(
    x: Tensor,
    bias: Tensor,
    up_filter: Tensor | None,
    down_filter: Tensor | None,
    up: int,
    down: int,
    padding: tuple[tuple[int, int], tuple[int, int]],
    gain: float,
    slope: float,
    clamp: float | None,
) -> Tensor:
    """[N, C, H, W] -> [N, C, H', W'].

    ``up_filter`` [taps], ``down_filter`` [taps] (separable) or [taps, taps]. ``padding`` holds (before,
    after) for height and width, counted on the zero-inserted signal, the filters' own length included; may be
    negative.
    """
    x = x + bias.to(x.dtype).reshape(1, -1, 1, 1)
    for axis in (0, 1):
        x = upsample(x, up_filter, up, padding[axis], axis)
    x = bias_act(x, None, slope, gain, clamp)
    if down_filter is None:
        return x
    if down_filter.ndim == 2:
        return downsample_radial(x, down_filter, down)
    return downsample(downsample(x, down_filter, down, 1), down_filter, down, 0)


def upsample(x: Tensor, taps: Tensor | None, up: int, padding: tuple[int, int], axis: int) -> Tensor:
    """Insert ``up - 1`` zeros after each sample, pad, convolve with ``taps`` * up, along ``axis``; in
    polyphase form.
    """
    if taps is None:
        return x
    count, kernel, stride = len(taps), (taps * up).to(x.dtype), [1, 1]
    stride[axis] = up
    x = F.conv_transpose2d(x, _depthwise(kernel, x.shape[1], axis), stride=stride, groups=x.shape[1])
    # The transposed convolution gives every output that any input reaches; keep those the padding asks for.
    before, after = padding[0] - (count - 1), padding[1] - (count - up)
    return F.pad(x, (before, after, 0, 0) if axis else (0, 0, before, after))


def downsample(x: Tensor, taps: Tensor, down: int, axis: int) -> Tensor:
    """Convolve with ``taps`` along ``axis`` and keep each ``down``-th sample."""
    stride = [1, 1]
    stride[axis] = down
    return F.conv2d(
        x, _depthwise(taps.flip(0).to(x.dtype), x.shape[1], axis), stride=stride, groups=x.shape[1]
    )


def downsample_radial(x: Tensor, taps: Tensor, down: int) -> Tensor:
    """Convolve with the two-dimensional ``taps`` and keep each ``down``-th sample in both directions."""
    kernel = taps.flip(0, 1).to(x.dtype).expand(x.shape[1], 1, *taps.shape)
    return F.conv2d(x, kernel, stride=down, groups=x.shape[1])


def _depthwise(taps: Tensor, channels: int, axis: int) -> Tensor:
    shape = (1, 1, -1, 1) if axis == 0 else (1, 1, 1, -1)
    return taps.reshape(shape).repeat(channels, 1, 1, 1)
