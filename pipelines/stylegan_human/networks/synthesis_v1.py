"""StyleGAN's synthesis network (Karras et al. 2019, figure 1b), as in the released TensorFlow file.

Every convolution is followed by noise, bias, leaky ReLU, instance normalisation and the style's scale and
shift.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..configs import V1Config
from .ops import SQRT2, FullyConnected, recording
from .synthesis import Context, State, StyleSlot, Synthesis

FUSED_FROM = 128  # narrowest output, in pixels, that the original upsampled with its fused kernel


class Epilogue(nn.Module):
    """Noise, bias, activation, instance normalisation, style: what ends every layer."""

    noise_const: Tensor

    def __init__(self, channels: int, w_dim: int, size: tuple[int, int]) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(channels))
        self.noise_strength = nn.Parameter(torch.zeros(channels))
        self.register_buffer("noise_const", torch.randn(*size))
        self.style = FullyConnected(w_dim, 2 * channels)

    def forward(self, x: Tensor, style: Tensor, noise: Tensor | None) -> Tensor:
        """[N, C, H, W], style [N, 2C] (scales, then shifts)."""
        if noise is not None:
            x = torch.addcmul(x, noise.to(x), self.noise_strength.to(x.dtype).reshape(1, -1, 1, 1))
        x = F.leaky_relu(x + self.bias.to(x.dtype).reshape(1, -1, 1, 1), 0.2)
        scale, shift = style.to(x.dtype).reshape(x.shape[0], 2, -1, 1, 1).unbind(1)
        return self._normalize(x, scale + 1, shift)

    def _normalize(self, x: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
        var, mean = torch.var_mean(x, dim=(2, 3), correction=0, keepdim=True)
        scale = scale * (var + 1e-8).rsqrt()
        shift = shift - mean * scale
        return x * scale + shift if recording(x, scale) else x.mul_(scale).add_(shift)


class Layer(Epilogue):
    """3x3 convolution, or upsampling 3x3 convolution and 1-2-1 blur, then the epilogue."""

    def __init__(
        self, config: V1Config, in_channels: int, channels: int, size: tuple[int, int], up: bool
    ) -> None:
        super().__init__(channels, config.w_dim, size)
        self.weight = nn.Parameter(torch.randn(channels, in_channels, 3, 3))
        self.gain = SQRT2 / math.sqrt(in_channels * 9)
        self.up = up
        self.flip = (min(size) >= FUSED_FROM) if config.fused_scale is None else config.fused_scale

    def forward(self, x: Tensor, style: Tensor, noise: Tensor | None) -> Tensor:
        """[N, in, H, W] -> [N, C, H, W] (twice as high and wide when upsampling)."""
        weight = self.weight * self.gain
        x = blur(self._upsample(x, weight)) if self.up else F.conv2d(x, weight, padding=1)
        return super().forward(x, style, noise)

    def _upsample(self, x: Tensor, weight: Tensor) -> Tensor:
        """Nearest x2 then 3x3, written as one transposed 4x4 convolution: 4 multiplications in place of 9.

        Output 2i+p sees inputs i-1, i, i+1 through sums of neighbouring taps, that is, through the flipped
        kernel convolved with [1, 1]. The original's fused kernel is not flipped: what it was trained with
        from 128 px on.
        """
        kernel = weight if self.flip else weight.flip(2, 3)
        kernel = F.pad(kernel, (1, 1, 1, 1))
        kernel = kernel[:, :, 1:] + kernel[:, :, :-1]
        kernel = kernel[..., 1:] + kernel[..., :-1]  # [out, in, 4, 4]
        return F.conv_transpose2d(x, kernel.transpose(0, 1), stride=2, padding=1)


def blur(x: Tensor) -> Tensor:
    """1-2-1 in both directions, zeros outside."""
    taps = torch.tensor([1.0, 2.0, 1.0], device=x.device, dtype=x.dtype) / 4
    kernel = torch.outer(taps, taps).expand(x.shape[1], 1, 3, 3)
    return F.conv2d(x, kernel, padding=1, groups=x.shape[1])


class SynthesisV1(Synthesis):
    """Layers ``l0`` (the constant), ``l1``, … two for each resolution, then ``torgb``."""

    def __init__(self, config: V1Config) -> None:
        super().__init__()
        self.config, self.num_ws = config, config.num_ws
        self.image_size = _size(config, config.resolution)
        channels = _channels(config, 4)
        self.const = nn.Parameter(torch.ones(1, channels, *_size(config, 4)))
        self.l0 = Epilogue(channels, config.w_dim, _size(config, 4))
        for i in range(1, self.num_ws):
            resolution = 4 << (i // 2)
            wide = _channels(config, resolution)
            up = i % 2 == 0
            self.add_module(f"l{i}", Layer(config, channels, wide, _size(config, resolution), up))
            channels = wide
        self.torgb_weight = nn.Parameter(torch.randn(config.img_channels, channels, 1, 1))
        self.torgb_bias = nn.Parameter(torch.zeros(config.img_channels))
        self.num_steps = self.num_ws
        self.slots = [StyleSlot(f"l{i}", i, i) for i in range(self.num_ws)]

    def layer(self, index: int) -> Epilogue:
        """Layer ``l{index}``."""
        return self.get_submodule(f"l{index}")  # type: ignore[return-value]

    def style(self, slot: StyleSlot, w: Tensor) -> Tensor:
        """Scales and shifts [N, 2C]."""
        return self.layer(slot.row).style(w)

    def start(self, context: Context) -> State:
        """The learned constant."""
        return State(self.const.expand(len(context.styles[0]), -1, -1, -1))

    def step(self, index: int, state: State, context: Context) -> State:
        """One layer."""
        layer = self.layer(index)
        return State(layer(state.x, context.styles[index], context.noise(index, layer.noise_const)))

    def finish(self, state: State) -> Tensor:
        """torgb, without activation."""
        weight = self.torgb_weight / math.sqrt(self.torgb_weight.shape[1])
        return F.conv2d(state.x, weight, self.torgb_bias)


def _channels(config: V1Config, resolution: int) -> int:
    return min(int(config.fmap_base / 2 ** (resolution.bit_length() - 2)), config.fmap_max)


def _size(config: V1Config, resolution: int) -> tuple[int, int]:
    return resolution, resolution if config.square else resolution // 2
