"""StyleGAN3's alias-free synthesis network (Karras et al. 2021, sections 3 and appendix F)."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..configs import V3Config
from .filtered_lrelu import Resampling, filtered_lrelu
from .filters import LayerPlan, design, input_band, plan_layers
from .ops import SQRT2, FullyConnected, demodulation, modulated_conv2d
from .synthesis import Context, State, StyleSlot, Synthesis


class FourierInput(nn.Module):
    """A picture of random sine waves, turned and shifted as the first row of ws says, then mixed linearly."""

    transform: Tensor
    freqs: Tensor
    phases: Tensor

    def __init__(self, config: V3Config) -> None:
        super().__init__()
        band = input_band(config)
        self.size, self.rate, self.bandwidth = band.size, band.rate, band.cutoff
        freqs = torch.randn(band.channels, 2)
        radii = freqs.square().sum(dim=1, keepdim=True).sqrt()
        freqs = freqs / (radii * radii.square().exp().pow(0.25)) * band.cutoff
        self.weight = nn.Parameter(torch.randn(band.channels, band.channels))
        self.affine = FullyConnected(config.w_dim, 4, weight_init=0, bias_init=[1.0, 0.0, 0.0, 0.0])
        self.register_buffer(
            "transform", torch.eye(3)
        )  # the user's inverse transform of the finished picture
        self.register_buffer("freqs", freqs)
        self.register_buffer("phases", torch.rand(band.channels) - 0.5)

    def forward(self, style: Tensor) -> Tensor:
        """Style [N, 4] (cosine, sine, x and y shift, of any common size) -> features [N, C, H, W]."""
        matrix = self._matrix(style / style[:, :2].norm(dim=1, keepdim=True))
        phases = self.phases + (self.freqs @ matrix[:, :2, 2:]).squeeze(2)  # [N, C]
        freqs = self.freqs @ matrix[:, :2, :2]  # [N, C, 2]
        # Waves too fast for the sampling rate fade out.
        fade = (freqs.norm(dim=2) - self.bandwidth) / (self.rate / 2 - self.bandwidth)
        amplitudes = (1 - fade).clamp(0, 1)
        waves = torch.sin(
            (self._grid(freqs) @ freqs.transpose(1, 2)[:, None] + phases[:, None, None]) * math.tau
        )
        waves = waves * amplitudes[:, None, None]  # [N, H, W, C]
        return (waves @ (self.weight / math.sqrt(len(self.weight))).t()).movedim(3, 1)

    def _matrix(self, t: Tensor) -> Tensor:
        """Rotation, shift and the user's transform as one matrix [N, 3, 3]."""
        cosine, sine, x, y = t.unbind(1)
        zero, one = torch.zeros_like(x), torch.ones_like(x)
        rotation = torch.stack([cosine, -sine, zero, sine, cosine, zero, zero, zero, one], 1).unflatten(
            1, (3, 3)
        )
        shift = torch.stack([one, zero, -x, zero, one, -y, zero, zero, one], 1).unflatten(1, (3, 3))
        return rotation @ shift @ self.transform

    def _grid(self, freqs: Tensor) -> Tensor:
        """Positions [1, H, W, 2] of the samples as (x, y); the picture's centre is 0, its height 1."""
        height, width = self.size
        theta = torch.zeros(1, 2, 3, device=freqs.device)
        theta[0, 0, 0], theta[0, 1, 1] = 0.5 * width / self.rate, 0.5 * height / self.rate
        return F.affine_grid(theta, [1, 1, height, width], align_corners=False)


class Layer(nn.Module):
    """Modulated convolution and filtered leaky ReLU, as a LayerPlan says."""

    magnitude_ema: Tensor
    up_filter: Tensor | None
    down_filter: Tensor | None

    def __init__(self, plan: LayerPlan, config: V3Config) -> None:
        super().__init__()
        self.plan, self.clamp, self.magnitude_ema_beta = plan, config.conv_clamp, config.magnitude_ema_beta
        self.affine = FullyConnected(config.w_dim, plan.in_channels, bias_init=1.0)
        self.weight = nn.Parameter(torch.randn(plan.out_channels, plan.in_channels, plan.kernel, plan.kernel))
        self.bias = nn.Parameter(torch.zeros(plan.out_channels))
        self.register_buffer("magnitude_ema", torch.ones([]))
        up = design(plan.up_taps, plan.in_cutoff, plan.in_half_width, plan.tmp_rate)
        down = design(plan.down_taps, plan.out_cutoff, plan.out_half_width, plan.tmp_rate, plan.radial)
        self.register_buffer("up_filter", up)
        self.register_buffer("down_filter", down)

    def forward(
        self, x: Tensor, style: Tensor, force_fp32: bool = False, update_emas: bool = False
    ) -> Tensor:
        """[N, in, H, W], style [N, in] -> [N, out, H', W']."""
        plan = self.plan
        if update_emas:
            magnitude = x.detach().to(torch.float32).square().mean()
            self.magnitude_ema.copy_(magnitude.lerp(self.magnitude_ema, self.magnitude_ema_beta))
        half = plan.use_fp16 and not force_fp32 and x.device.type == "cuda"
        x = self._convolve(x.to(torch.float16 if half else torch.float32), style)
        gain, slope = (1.0, 1.0) if plan.to_rgb else (SQRT2, 0.2)
        padding = (plan.padding(0), plan.padding(1))
        resampling = Resampling(self.up_filter, self.down_filter, plan.up, plan.down, padding)
        return filtered_lrelu(x, self.bias, resampling, gain, slope, self.clamp)

    def _convolve(self, x: Tensor, style: Tensor) -> Tensor:
        input_gain = self.magnitude_ema.rsqrt()
        if self.plan.to_rgb:
            style = style * (input_gain / math.sqrt(self.plan.in_channels))
            return modulated_conv2d(x, self.weight, style, None, padding=0)
        # Both normalisations cancel in the demodulation; they keep half precision in range.
        weight = self.weight * self.weight.square().mean(dim=(1, 2, 3), keepdim=True).rsqrt()
        style = style * style.square().mean(dim=1, keepdim=True).rsqrt()
        scale = demodulation(weight, style)
        return modulated_conv2d(x, weight, style * input_gain, scale, padding=self.plan.kernel - 1)


class SynthesisV3(Synthesis):
    """The Fourier input reads row 0 of ws, layer i row i + 1. Noise modes are accepted and change nothing."""

    def __init__(self, config: V3Config) -> None:
        super().__init__()
        self.config, self.num_ws = config, config.num_ws
        self.input = FourierInput(config)
        self.plans = plan_layers(config)
        self.image_size = self.plans[-1].out_size
        self.num_steps = len(self.plans)
        for plan in self.plans:
            self.add_module(plan.name, Layer(plan, config))
        layers = [StyleSlot(plan.name, i + 1, i, plan.to_rgb) for i, plan in enumerate(self.plans)]
        self.slots = [StyleSlot("input", 0, 0), *layers]

    def style(self, slot: StyleSlot, w: Tensor) -> Tensor:
        """One value per input channel [N, in]; the input's four are cosine, sine and shifts."""
        return self.get_submodule(slot.name).affine(w)  # type: ignore[operator]

    def start(self, context: Context) -> State:
        """The Fourier features."""
        return State(self.input(context.styles[0]))

    def step(self, index: int, state: State, context: Context) -> State:
        """One layer."""
        layer = self.get_submodule(self.plans[index].name)
        x = layer(state.x, context.styles[index + 1], context.force_fp32, context.update_emas)
        return State(x)

    def finish(self, state: State) -> Tensor:
        """Scale to the nominal range."""
        return state.x.to(torch.float32) * self.config.output_scale
