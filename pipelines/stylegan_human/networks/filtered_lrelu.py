"""StyleGAN3's activation: upsample, leaky ReLU, clamp, downsample (Karras et al. 2021, section 3.2).

The filters run in polyphase form: no inserted zero is ever multiplied, and no sample computed that is then
dropped. Without gradients on a CPU the work is done in tiles of a few channels and rows, so that the
upsampled signal, four to sixteen times the input, never leaves the cache.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from .ops import bias_act, recording

TILE_CHANNELS = 16  # one AVX-512 register of float32; depthwise kernels are fastest on whole ones
TILE_BYTES = 2 << 20  # of upsampled signal per tile: about one core's share of second-level cache


@dataclass(frozen=True)
class Resampling:
    """Filters and sizes of one activation.

    ``up_filter`` [taps], ``down_filter`` [taps] (separable) or [taps, taps]; both None: no resampling.
    ``padding`` holds (before, after) for height and width, counted on the zero-inserted signal and including
    what the filters use up; it may be negative.
    """

    up_filter: Tensor | None
    down_filter: Tensor | None
    up: int
    down: int
    padding: tuple[tuple[int, int], tuple[int, int]]

    def tmp_size(self, size: int, axis: int) -> int:
        """Length of the upsampled signal."""
        taps = 1 if self.up_filter is None else len(self.up_filter)
        return size * self.up + sum(self.padding[axis]) - taps + 1

    def out_size(self, size: int, axis: int) -> int:
        """Length of the result."""
        taps = 1 if self.down_filter is None else len(self.down_filter)
        return (self.tmp_size(size, axis) - taps) // self.down + 1


def filtered_lrelu(
    x: Tensor, bias: Tensor, resampling: Resampling, gain: float, slope: float, clamp: float | None
) -> Tensor:
    """[N, C, H, W] -> [N, C, H', W']: add bias, upsample, leaky ReLU times gain, clamp, downsample."""
    if resampling.up_filter is None or resampling.down_filter is None:
        return bias_act(x, bias, slope, gain, clamp)
    if x.device.type == "cpu" and not recording(x, bias):
        samples = [_tiled(sample, bias, resampling, gain, slope, clamp) for sample in x.split(1)]
        return samples[0] if len(samples) == 1 else torch.cat(samples)
    x = x + bias.to(x.dtype).reshape(1, -1, 1, 1)
    for axis in (1, 0):
        x = upsample(x, resampling.up_filter, resampling.up, resampling.padding[axis], axis)
    return downsample(bias_act(x, None, slope, gain, clamp), resampling.down_filter, resampling.down)


def upsample(
    x: Tensor, taps: Tensor, up: int, padding: tuple[int, int], axis: int, gain: float = 1.0
) -> Tensor:
    """Insert ``up - 1`` zeros after each sample, pad, convolve with ``taps`` * up * gain, along ``axis``."""
    # The transposed convolution gives every output that any input reaches; keep those the padding asks for.
    before, after = padding[0] - (len(taps) - 1), padding[1] - (len(taps) - up)
    crop, stride = [0, 0], [1, 1]
    crop[axis], stride[axis] = max(min(-before, -after), 0), up
    kernel = _depthwise((taps * (up * gain)).to(x.dtype), x.shape[1], axis)
    x = F.conv_transpose2d(x, kernel, stride=stride, padding=crop, groups=x.shape[1])
    before, after = before + crop[axis], after + crop[axis]
    if before == 0 and after == 0:
        return x
    return F.pad(x, (before, after, 0, 0) if axis else (0, 0, before, after))


def downsample(x: Tensor, taps: Tensor, down: int) -> Tensor:
    """Convolve with ``taps`` ([taps] in both directions, or [taps, taps]) and keep each ``down``-th
    sample.
    """
    channels, taps = x.shape[1], taps.to(x.dtype)
    if taps.ndim == 2:
        kernel = taps.flip(0, 1).repeat(channels, 1, 1, 1)
        return F.conv2d(x, kernel, stride=down, groups=channels)
    taps = taps.flip(0)
    x = F.conv2d(x, _depthwise(taps, channels, 1), stride=(1, down), groups=channels)
    return F.conv2d(x, _depthwise(taps, channels, 0), stride=(down, 1), groups=channels)


def _depthwise(taps: Tensor, channels: int, axis: int) -> Tensor:
    shape = (1, 1, -1, 1) if axis == 0 else (1, 1, 1, -1)
    return taps.reshape(shape).repeat(channels, 1, 1, 1)


def _tiled(
    x: Tensor, bias: Tensor, resampling: Resampling, gain: float, slope: float, clamp: float | None
) -> Tensor:
    """``filtered_lrelu`` of one sample [1, C, H, W], tile by tile."""
    _, channels, height, width = x.shape
    out_height, out_width = resampling.out_size(height, 0), resampling.out_size(width, 1)
    out = torch.empty((1, channels, out_height, out_width), dtype=x.dtype, memory_format=_layout(x))
    step, rows = _tile_size(resampling, out_height, width)
    for first in range(0, channels, step):
        part = slice(first, min(first + step, channels))
        plane = x[:, part] + bias[part].to(x.dtype).reshape(1, -1, 1, 1)
        plane = plane.contiguous(memory_format=torch.channels_last)
        for top in range(0, out_height, rows):
            bottom = min(top + rows, out_height)
            tile = _upsampled_rows(plane, resampling, top, bottom, gain)
            tile = F.leaky_relu_(tile, slope)
            tile = tile if clamp is None else tile.clamp_(-clamp, clamp)
            out[:, part, top:bottom] = downsample(tile, resampling.down_filter, resampling.down)  # type: ignore[arg-type]
    return out


def _layout(x: Tensor) -> torch.memory_format:
    last = x.is_contiguous(memory_format=torch.channels_last) and not x.is_contiguous()
    return torch.channels_last if last else torch.contiguous_format


def _tile_size(resampling: Resampling, out_height: int, width: int) -> tuple[int, int]:
    """Channels and output rows of a tile."""
    row_bytes = (
        resampling.tmp_size(width, 1) * resampling.down * 4
    )  # of upsampled signal per channel, output row
    rows = min(max(TILE_BYTES // (row_bytes * TILE_CHANNELS), 16), out_height)
    return TILE_CHANNELS * max(TILE_BYTES // (row_bytes * rows * TILE_CHANNELS), 1), rows


def _upsampled_rows(plane: Tensor, resampling: Resampling, top: int, bottom: int, gain: float) -> Tensor:
    """The upsampled signal [1, C, rows, W * up] that output rows ``top`` to ``bottom`` are made of."""
    taps, up = resampling.up_filter, resampling.up
    assert taps is not None and resampling.down_filter is not None
    start = top * resampling.down
    count = (bottom - 1 - top) * resampling.down + len(resampling.down_filter)
    before = resampling.padding[0][0]
    # Upsampled row m is made of input rows i with 0 <= m + taps - 1 - before - up * i < taps.
    first = max(-((before - start) // up), 0)
    last = min((start + count - 1 + len(taps) - 1 - before) // up, plane.shape[2] - 1)
    inside = plane[:, :, first : last + 1]
    before += up * first - start
    after = count + len(taps) - 1 - inside.shape[2] * up - before
    inside = upsample(inside, taps, up, resampling.padding[1], 1)
    return upsample(inside, taps, up, (before, after), 0, gain)
