"""StyleGAN2's synthesis network with skip connections (Karras et al. 2020, figures 2c and 7).

Heights are powers of two; widths are half of that, or equal for square models (the FFHQ faces).
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..configs import V2Config
from .gradients import scaled_noisy_bias_act, styled_convolution
from .ops import (
    SQRT2,
    FullyConnected,
    bias_act,
    demodulation,
    filter2d,
    modulated_conv2d,
    recording,
    upsample2d,
)
from .synthesis import Context, State, StyleSlot, Synthesis


def binomial_filter() -> Tensor:
    """The 4x4 low-pass filter of all resampling: [1, 3, 3, 1] x [1, 3, 3, 1], sum 1."""
    taps = torch.tensor([1.0, 3.0, 3.0, 1.0])
    return torch.outer(taps, taps) / taps.sum() ** 2


class Layer(nn.Module):
    """Modulated 3x3 convolution (upsampling or not), noise, bias, leaky ReLU."""

    noise_const: Tensor
    resample_filter: Tensor

    def __init__(
        self, in_channels: int, channels: int, size: tuple[int, int], config: V2Config, up: int
    ) -> None:
        super().__init__()
        self.up, self.clamp = up, config.conv_clamp
        self.affine = FullyConnected(config.w_dim, in_channels, bias_init=1.0)
        self.weight = nn.Parameter(_laid_out(torch.randn(channels, in_channels, 3, 3), up))
        self.bias = nn.Parameter(torch.zeros(channels))
        self.noise_strength = nn.Parameter(torch.zeros([]))
        self.register_buffer("noise_const", torch.randn(*size))
        self.register_buffer("resample_filter", binomial_filter())

    def forward(self, x: Tensor, style: Tensor, noise: Tensor | None) -> Tensor:
        """[N, in, H, W], style [N, in] -> [N, C, H * up, W * up], in x's dtype."""
        weight = self.weight
        if x.dtype == torch.float16:
            weight, style = _tame(weight, style)
        scale = demodulation(weight, style)
        noise = None if noise is None else noise * self.noise_strength
        if recording(x, weight, style, noise, self.bias):
            x = self._resample(styled_convolution(x, weight, style, self.up))
            return scaled_noisy_bias_act(x, scale, noise, self.bias, self.clamp)
        x = self._resample(modulated_conv2d(x, weight, style, scale, self.up))
        return _noisy_bias_act(x, noise, self.bias, self.clamp)

    def _resample(self, x: Tensor) -> Tensor:
        """What follows a stride-2 transposed convolution: [N, C, 2H+1, 2W+1] -> [N, C, 2H, 2W]."""
        return filter2d(x, self.resample_filter, padding=1, gain=4) if self.up == 2 else x


def _noisy_bias_act(x: Tensor, noise: Tensor | None, bias: Tensor, clamp: float | None) -> Tensor:
    """clamp(sqrt(2) * leaky_relu(x + noise + bias)) on [N, C, H, W], written over ``x``; ``gradients.py``
    has its twin that autograd can look back at.
    """
    x = x.add_(bias.to(x.dtype).reshape(1, -1, 1, 1))
    if noise is not None:
        x = x.add_(noise.to(x.dtype))
    x = F.leaky_relu_(x, 0.2).mul_(SQRT2)
    return x if clamp is None else x.clamp_(-clamp, clamp)


def _laid_out(weight: Tensor, up: int) -> Tensor:
    """The same weights, in memory as the convolution (transposed when upsampling) reads them: channels
    last.
    """
    if up == 1:
        return weight.contiguous(memory_format=torch.channels_last)
    return weight.transpose(0, 1).contiguous(memory_format=torch.channels_last).transpose(0, 1)


def _tame(weight: Tensor, style: Tensor) -> tuple[Tensor, Tensor]:
    """Scale weights and styles to at most 1 in size, which demodulation undoes, so that float16 cannot
    overflow.
    """
    fan_in = weight[0].numel()
    weight = weight * (
        weight.new_tensor(1 / math.sqrt(fan_in)) / weight.abs().amax(dim=(1, 2, 3), keepdim=True)
    )
    return weight, style / style.abs().amax(dim=1, keepdim=True)


class ToRGB(nn.Module):
    """Modulated 1x1 convolution to the picture's channels, without demodulation or activation."""

    def __init__(self, in_channels: int, config: V2Config) -> None:
        super().__init__()
        self.clamp = config.conv_clamp
        self.affine = FullyConnected(config.w_dim, in_channels, bias_init=1.0)
        self.weight = nn.Parameter(torch.randn(config.img_channels, in_channels, 1, 1))
        self.bias = nn.Parameter(torch.zeros(config.img_channels))
        self.gain = 1 / math.sqrt(in_channels)

    def forward(self, x: Tensor, style: Tensor) -> Tensor:
        """[N, in, H, W], style [N, in] -> [N, 3, H, W]."""
        weight = (
            self.weight[:, :, 0, 0] * (style * self.gain)[:, None]
        )  # [N, 3, in]: three rows, cheap per sample
        if recording(x, weight):  # pixel by pixel, so that the gradient too comes channels last
            x = (x.permute(0, 2, 3, 1).flatten(1, 2) @ weight.to(x.dtype).transpose(1, 2)).unflatten(
                1, x.shape[2:]
            )
            x = x.permute(0, 3, 1, 2)
        else:
            x = (weight.to(x.dtype) @ x.flatten(2)).unflatten(2, x.shape[2:])
        return bias_act(x, self.bias, slope=1, gain=1, clamp=self.clamp)


class Block(nn.Module):
    """All layers of one resolution: conv0 (upsampling; absent at 4), conv1, torgb."""

    resample_filter: Tensor

    def __init__(self, resolution: int, config: V2Config) -> None:
        super().__init__()
        size = _size(config, resolution)
        channels = config.channels(resolution)
        self.resolution = resolution
        # The highest resolutions run in half precision on a GPU, as they did in training.
        self.use_fp16 = resolution >= max(2 * config.resolution >> config.num_fp16_res, 8)
        self.register_buffer("resample_filter", binomial_filter())
        self.conv0 = None
        if resolution == 4:
            self.const = nn.Parameter(torch.randn(channels, *size))
        else:
            self.conv0 = Layer(config.channels(resolution // 2), channels, size, config, up=2)
        self.conv1 = Layer(channels, channels, size, config, up=1)
        self.torgb = ToRGB(channels, config)

    def forward(self, index: int, state: State, styles: list[Tensor], context: Context) -> State:
        """``styles`` are those of conv0 (if any), conv1 and torgb; ``index`` is the first layer's number."""
        x = state.x.to(self._dtype(state.x.device, context.force_fp32))
        layers = [self.conv1] if self.conv0 is None else [self.conv0, self.conv1]
        for offset, layer in enumerate(layers):
            x = layer(x, styles[offset], context.noise(index + offset, layer.noise_const))
        rgb = self.torgb(x, styles[-1]).to(torch.float32)
        return State(x, rgb if state.img is None else upsample2d(state.img, self.resample_filter).add_(rgb))

    def _dtype(self, device: torch.device, force_fp32: bool) -> torch.dtype:
        half = self.use_fp16 and not force_fp32 and device.type == "cuda"
        return torch.float16 if half else torch.float32


class SynthesisV2(Synthesis):
    """Blocks ``b4``, ``b8``, … up to the resolution; torgb shares its row of ws with the next block's
    conv0.
    """

    def __init__(self, config: V2Config) -> None:
        super().__init__()
        self.config, self.num_ws = config, config.num_ws
        self.image_size = _size(config, config.resolution)
        self.resolutions = [4 << i for i in range(config.resolution.bit_length() - 2)]
        self.num_steps = len(self.resolutions)
        self.slots = []
        for step, resolution in enumerate(self.resolutions):
            self.add_module(f"b{resolution}", Block(resolution, config))
            self.slots += _slots(step, resolution)

    def block(self, index: int) -> Block:
        """The block of step ``index``."""
        return self.get_submodule(f"b{self.resolutions[index]}")  # type: ignore[return-value]

    def style(self, slot: StyleSlot, w: Tensor) -> Tensor:
        """One value per input channel [N, in]; torgb's without its fixed gain."""
        return self.get_submodule(slot.name).affine(w)  # type: ignore[operator]

    def start(self, context: Context) -> State:
        """The learned constant."""
        x = self.block(0).const.unsqueeze(0).repeat(len(context.styles[0]), 1, 1, 1)
        # Channels last from here on: every convolution keeps it, and all of them are faster so.
        return State(x.contiguous(memory_format=torch.channels_last))

    def step(self, index: int, state: State, context: Context) -> State:
        """One block."""
        styles = [s for slot, s in zip(self.slots, context.styles, strict=True) if slot.step == index]
        return self.block(index)(max(2 * index - 1, 0), state, styles, context)

    def finish(self, state: State) -> Tensor:
        """The picture summed over all blocks."""
        assert state.img is not None  # every step sets it
        return state.img


def _slots(step: int, resolution: int) -> list[StyleSlot]:
    row = max(2 * step - 1, 0)
    convs = ["conv1"] if step == 0 else ["conv0", "conv1"]
    slots = [StyleSlot(f"b{resolution}.{name}", row + i, step) for i, name in enumerate(convs)]
    return [*slots, StyleSlot(f"b{resolution}.torgb", row + len(convs), step, to_rgb=True)]


def _size(config: V2Config, resolution: int) -> tuple[int, int]:
    return resolution, resolution if config.square else resolution // 2
