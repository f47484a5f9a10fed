"""The discriminators: StyleGAN2's residual one (which v2 and v3 train against) and StyleGAN's plain one.

Sources: Karras et al. 2020, figure 7 (residual); Karras et al. 2018, table 2, and 2019, appendix C (plain).
"""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .ops import SQRT2, FullyConnected, bias_act, filter2d, normalize_2nd_moment
from .synthesis_v1 import blur
from .synthesis_v2 import binomial_filter


@dataclass(frozen=True)
class DiscriminatorConfig:
    """Sizes of a discriminator; ``resolution`` is the height of its pictures. v1 has no clamp and no fp16."""

    resolution: int = 1024
    square: bool = False
    c_dim: int = 0
    img_channels: int = 3
    channel_base: int = 32768
    channel_max: int = 512
    num_fp16_res: int = 4
    conv_clamp: float | None = 256
    mbstd_group_size: int | None = 4
    mapping_layers: int = 8
    residual: bool = True
    """False leaves the blocks' skips out, as the published cifar preset does."""

    @property
    def resolutions(self) -> list[int]:
        """Heights of its blocks, the picture's first, 4 last."""
        return [self.resolution >> i for i in range(self.resolution.bit_length() - 2)]

    def channels(self, resolution: int) -> int:
        """Feature maps at this height."""
        return min(self.channel_base // resolution, self.channel_max)

    @property
    def last_cells(self) -> int:
        """Pixels of the last, 4 high map."""
        return 16 if self.square else 8


class Conv(nn.Module):
    """Equalised convolution with optional bias and activation; ``down=2`` halves the maps with the FIR
    filter.
    """

    resample_filter: Tensor

    def __init__(
        self, in_channels: int, channels: int, kernel: int, down: int = 1, bias: bool = True,
        act: bool = True, clamp: float | None = None,
    ) -> None:  # fmt: skip
        super().__init__()
        self.weight = nn.Parameter(torch.randn(channels, in_channels, kernel, kernel))
        self.bias = nn.Parameter(torch.zeros(channels)) if bias else None
        self.register_buffer("resample_filter", binomial_filter())
        self.gain = 1 / math.sqrt(in_channels * kernel**2)
        self.kernel, self.down, self.act, self.clamp = kernel, down, act, clamp

    def forward(self, x: Tensor, gain: float = 1.0) -> Tensor:
        """[N, in, H, W] -> [N, C, H / down, W / down], times ``gain``."""
        weight = (self.weight * self.gain).to(x.dtype)
        padding = self.kernel // 2
        if self.down == 2:
            # A 1x1 convolution may be filtered and thinned out first; a 3x3 one must see the full rate.
            x = filter2d(x, self.resample_filter, padding=padding + 1, stride=2 if self.kernel == 1 else 1)
        strided = self.down == 2 and self.kernel > 1
        x = F.conv2d(x, weight, stride=2 if strided else 1, padding=0 if self.down == 2 else padding)
        slope, act_gain = (0.2, SQRT2) if self.act else (1.0, 1.0)
        clamp = None if self.clamp is None else self.clamp * gain
        return bias_act(x, self.bias, slope, act_gain * gain, clamp)


class Block(nn.Module):
    """Two 3x3 convolutions and a 1x1 skip, both halving the maps; their sum keeps unit variance."""

    def __init__(self, resolution: int, config: DiscriminatorConfig) -> None:
        super().__init__()
        first = resolution == config.resolution
        inner, outer = config.channels(resolution), config.channels(resolution // 2)
        clamp = config.conv_clamp
        self.use_fp16 = resolution >= max(2 * config.resolution >> config.num_fp16_res, 8)
        self.register_buffer("resample_filter", binomial_filter())
        self.fromrgb = Conv(config.img_channels, inner, 1, clamp=clamp) if first else None
        self.conv0 = Conv(inner, inner, 3, clamp=clamp)
        self.conv1 = Conv(inner, outer, 3, down=2, clamp=clamp)
        self.skip = Conv(inner, outer, 1, down=2, bias=False, act=False) if config.residual else None

    def forward(self, x: Tensor, force_fp32: bool = False) -> Tensor:
        """[N, C, H, W] -> [N, C', H / 2, W / 2]."""
        half = self.use_fp16 and not force_fp32 and x.device.type == "cuda"
        x = x.to(torch.float16 if half else torch.float32)
        if self.fromrgb is not None:
            x = self.fromrgb(x)
        if self.skip is None:
            return self.conv1(self.conv0(x))
        return self.skip(x, math.sqrt(0.5)) + self.conv1(self.conv0(x), math.sqrt(0.5))


class Epilogue(nn.Module):
    """Minibatch deviation, 3x3 convolution, two fully connected layers."""

    def __init__(self, config: DiscriminatorConfig, cmap_dim: int) -> None:
        super().__init__()
        channels = config.channels(4)
        self.group_size = config.mbstd_group_size
        self.conv = Conv(channels + 1, channels, 3, clamp=config.conv_clamp)
        self.fc = FullyConnected(channels * config.last_cells, channels, activation=True)
        self.out = FullyConnected(channels, cmap_dim or 1)

    def forward(self, x: Tensor, cmap: Tensor | None) -> Tensor:
        """[N, C, 4, W] -> logits [N, 1]; with labels, the product with their embedding ``cmap``."""
        x = minibatch_deviation(x.to(torch.float32), self.group_size)
        x = self.out(self.fc(self.conv(x).flatten(1)))
        if cmap is None:
            return x
        return (x * cmap).sum(dim=1, keepdim=True) / math.sqrt(cmap.shape[1])


def minibatch_deviation(x: Tensor, group_size: int | None) -> Tensor:
    """Append one map: the mean standard deviation within groups of the batch (Karras et al. 2018, section
    3).
    """
    count, _, height, width = x.shape
    group = count if group_size is None else min(group_size, count)
    y = x.reshape(group, -1, *x.shape[1:])  # [G, n, C, H, W]; sample k of the batch is in group k % n
    y = ((y - y.mean(dim=0)).square().mean(dim=0) + 1e-8).sqrt().mean(dim=(1, 2, 3))  # [n]
    return torch.cat([x, y.repeat(group).reshape(-1, 1, 1, 1).expand(-1, 1, height, width)], dim=1)


class Discriminator(nn.Module):
    """Pixels [N, 3, H, W] -> logits [N, 1]. Blocks ``b{resolution}`` down to ``b4``."""

    def __init__(self, config: DiscriminatorConfig) -> None:
        super().__init__()
        self.config = config
        for resolution in config.resolutions[:-1]:
            self.add_module(f"b{resolution}", Block(resolution, config))
        cmap_dim = config.channels(4) if config.c_dim else 0
        self.mapping = LabelMapping(config.c_dim, cmap_dim, config.mapping_layers) if config.c_dim else None
        self.b4 = Epilogue(config, cmap_dim)

    def forward(self, pixels: Tensor, c: Tensor | None = None, force_fp32: bool = False) -> Tensor:
        """Higher logits mean more real."""
        x = pixels
        for resolution in self.config.resolutions[:-1]:
            x = self.get_submodule(f"b{resolution}")(x, force_fp32)
        return self.b4(x, None if self.mapping is None else self.mapping(c))


class LabelMapping(nn.Module):
    """Labels [N, c_dim] -> the vector that the logits are projected on; layers ``embed``, ``fc0``, …"""

    def __init__(self, c_dim: int, features: int, layers: int) -> None:
        super().__init__()
        self.layers = layers
        self.embed = FullyConnected(c_dim, features)
        for i in range(layers):
            self.add_module(f"fc{i}", FullyConnected(features, features, activation=True, lr_multiplier=0.01))

    def forward(self, c: Tensor) -> Tensor:
        """[N, c_dim] -> [N, features]."""
        x = normalize_2nd_moment(self.embed(c.to(torch.float32)))
        for i in range(self.layers):
            x = self.get_submodule(f"fc{i}")(x)
        return x


class DiscriminatorV1(nn.Module):
    """StyleGAN's discriminator: per resolution a convolution, then blur, convolution and 2x2 mean."""

    def __init__(self, config: DiscriminatorConfig) -> None:
        super().__init__()
        self.config = config
        channels = {height: _channels_v1(config, height) for height in config.resolutions}
        top = channels[config.resolution]
        self.fromrgb = PlainConv(config.img_channels, top, 1)
        for height in config.resolutions[:-1]:
            self.add_module(f"b{height}_conv0", PlainConv(channels[height], channels[height], 3))
            self.add_module(
                f"b{height}_conv1", PlainConv(channels[height], channels[height // 2], 3, down=True)
            )
        last = channels[4]
        self.conv = PlainConv(last + 1, last, 3)
        self.fc = FullyConnected(
            last * config.last_cells, last, activation=True, gain=SQRT2, activation_gain=1.0
        )
        self.out = FullyConnected(last, 1)

    def forward(self, pixels: Tensor) -> Tensor:
        """Higher logits mean more real."""
        x = self.fromrgb(pixels)
        for height in self.config.resolutions[:-1]:
            x = self.get_submodule(f"b{height}_conv1")(self.get_submodule(f"b{height}_conv0")(x))
        x = self.conv(minibatch_deviation(x, self.config.mbstd_group_size))
        return self.out(self.fc(x.flatten(1)))


class PlainConv(nn.Module):
    """Equalised convolution, bias, leaky ReLU; ``down`` blurs before and takes 2x2 means after it."""

    def __init__(self, in_channels: int, channels: int, kernel: int, down: bool = False) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(channels, in_channels, kernel, kernel))
        self.bias = nn.Parameter(torch.zeros(channels))
        self.gain, self.down = SQRT2 / math.sqrt(in_channels * kernel**2), down

    def forward(self, x: Tensor) -> Tensor:
        """[N, in, H, W] -> [N, C, H, W], or half of that height and width."""
        if self.down:
            x = blur(x)
        x = F.conv2d(x, self.weight * self.gain, padding=self.weight.shape[2] // 2)
        if self.down:
            x = F.avg_pool2d(x, 2)
        return bias_act(x, self.bias, gain=1)


def _channels_v1(config: DiscriminatorConfig, height: int) -> int:
    return min(int(config.channel_base / 2 ** (height.bit_length() - 2)), config.channel_max)
