"""StyleGAN3's low-pass filters and the plan of its layers (Karras et al. 2021, sections 3.2 and appendix
C).
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from ..configs import V3Config


@dataclass(frozen=True)
class LayerPlan:
    """Sizes and filters of one synthesis layer. Sizes are (height, width); frequencies are in cycles per
    picture.
    """

    name: str
    in_channels: int
    out_channels: int
    in_size: tuple[int, int]
    out_size: tuple[int, int]
    in_rate: int
    out_rate: int
    in_cutoff: float
    out_cutoff: float
    in_half_width: float
    out_half_width: float
    kernel: int
    up: int
    down: int
    up_taps: int
    down_taps: int
    radial: bool
    to_rgb: bool
    use_fp16: bool

    @property
    def tmp_rate(self) -> int:
        """Sampling rate at which the activation is applied."""
        return self.in_rate * self.up

    def padding(self, axis: int) -> tuple[int, int]:
        """Zeros before and after the zero-inserted signal along ``axis`` (0 height, 1 width); may be
        negative.
        """
        up_taps, down_taps = max(self.up_taps, 1), max(self.down_taps, 1)
        wanted = (self.out_size[axis] - 1) * self.down + 1
        total = wanted - (self.in_size[axis] + self.kernel - 1) * self.up + up_taps + down_taps - 2
        low = (total + self.up) // 2
        return low, total - low


def plan_layers(config: V3Config) -> list[LayerPlan]:
    """The plan of every layer, torgb last."""
    bands = [_band(config, i) for i in range(config.num_layers + 1)]
    plans = []
    for i, band in enumerate(bands):
        before = bands[max(i - 1, 0)]
        to_rgb = i == config.num_layers
        channels = config.img_channels if to_rgb else band.channels
        up, down, taps = 1, 1, config.filter_size
        if not to_rgb:
            tmp_rate = max(before.rate, band.rate) * config.lrelu_upsampling
            up, down = tmp_rate // before.rate, tmp_rate // band.rate
        plans.append(
            LayerPlan(
                name=f"L{i}_{band.size[1]}_{channels}",
                in_channels=before.channels,
                out_channels=channels,
                in_size=before.size,
                out_size=band.size,
                in_rate=before.rate,
                out_rate=band.rate,
                in_cutoff=before.cutoff,
                out_cutoff=band.cutoff,
                in_half_width=before.half_width,
                out_half_width=band.half_width,
                kernel=1 if to_rgb else config.conv_kernel,
                up=up,
                down=down,
                up_taps=taps * up if up > 1 else 1,
                down_taps=taps * down if down > 1 else 1,
                radial=config.use_radial_filters and i < config.num_layers - config.num_critical,
                to_rgb=to_rgb,
                use_fp16=band.rate * 2**config.num_fp16_res > config.resolution,
            )
        )
    return plans


@dataclass(frozen=True)
class Band:
    """What a layer's output holds: rate, size, cutoff, half the transition band's width, channels."""

    rate: int
    size: tuple[int, int]
    cutoff: float
    half_width: float
    channels: int


def input_band(config: V3Config) -> Band:
    """The band of the Fourier input."""
    return _band(config, 0)


def _band(config: V3Config, index: int) -> Band:
    last_cutoff = config.resolution / 2
    progress = min(index / (config.num_layers - config.num_critical), 1)
    cutoff = config.first_cutoff * (last_cutoff / config.first_cutoff) ** progress
    last_stopband = last_cutoff * config.last_stopband_rel
    stopband = config.first_stopband * (last_stopband / config.first_stopband) ** progress
    rate = int(2 ** math.ceil(math.log2(min(stopband * 2, config.resolution))))
    margin = config.margin_size * 2 if index < config.num_layers - 1 else 0
    height = rate + margin if index < config.num_layers - 1 else config.resolution
    channels = round(min(config.channel_base / 2 / cutoff, config.channel_max))
    size = (height, height if config.square else height // 2)
    return Band(rate, size, cutoff, max(stopband, rate / 2) - cutoff, channels)


def design(taps: int, cutoff: float, half_width: float, rate: float, radial: bool = False) -> Tensor | None:
    """A low-pass filter: [taps], or [taps, taps] where ``radial``; None for a single tap, which changes
    nothing.
    """
    if taps == 1:
        return None
    offset = (torch.arange(taps, dtype=torch.float64) - (taps - 1) / 2) / rate
    window = torch.kaiser_window(
        taps, periodic=False, beta=_beta(taps, half_width / rate), dtype=torch.float64
    )
    if radial:
        kernel = _jinc(offset, cutoff) * torch.outer(window, window)
    else:
        kernel = torch.sinc(2 * cutoff * offset) * window
    return (kernel / kernel.sum()).to(torch.float32)


def _jinc(offset: Tensor, cutoff: float) -> Tensor:
    """The radially symmetric ideal low-pass: first-order Bessel function over radius."""
    radius = torch.hypot(offset[:, None], offset)
    return torch.special.bessel_j1(2 * cutoff * math.pi * radius) / (math.pi * radius)


def _beta(taps: int, half_width: float) -> float:
    """Kaiser's rule for his window's shape; ``half_width`` of the transition band in cycles per sample."""
    attenuation = 2.285 * (taps - 1) * math.pi * 4 * half_width + 7.95
    if attenuation > 50:
        return 0.1102 * (attenuation - 8.7)
    return 0.5842 * max(attenuation - 21, 0) ** 0.4 + 0.07886 * max(attenuation - 21, 0)
