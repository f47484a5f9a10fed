"""The operations all three families are made of: bias and activation, FIR filters, modulated convolution.

Sources: StyleGAN2 (Karras et al. 2020, section 2.2 and appendix B), StyleGAN3 (2021, appendix D). Everything
is plain PyTorch and differentiable any number of times. Work happens in place only where no gradient is
recorded.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

SQRT2 = math.sqrt(2)


class FullyConnected(nn.Module):
    """y = act(x @ (W * weight_gain)^T + b * bias_gain), weights kept at unit variance ("equalised")."""

    def __init__(
        self,
        in_features: int,
        out_features: int,
        *,
        lr_multiplier: float = 1.0,
        activation: bool = False,
        gain: float = 1.0,
        activation_gain: float = SQRT2,
        bias_init: float | list[float] = 0.0,
        weight_init: float = 1.0,
    ) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(out_features, in_features) * (weight_init / lr_multiplier))
        bias = torch.as_tensor(bias_init, dtype=torch.float32).expand(out_features)
        self.bias = nn.Parameter(bias.clone() / lr_multiplier)
        self.weight_gain = gain * lr_multiplier / math.sqrt(in_features)
        self.bias_gain = lr_multiplier
        self.activation, self.activation_gain = activation, activation_gain

    def forward(self, x: Tensor) -> Tensor:
        """[..., in_features] -> [..., out_features]."""
        y = F.linear(x, self.weight.to(x.dtype) * self.weight_gain, self.bias.to(x.dtype) * self.bias_gain)
        if not self.activation:
            return y
        return F.leaky_relu(y, 0.2) * self.activation_gain


def normalize_2nd_moment(x: Tensor, eps: float = 1e-8) -> Tensor:
    """Scale every row of [N, D] to unit mean square."""
    return x * (x.square().mean(dim=1, keepdim=True) + eps).rsqrt()


def bias_act(
    x: Tensor, bias: Tensor | None = None, slope: float = 0.2, gain: float = SQRT2, clamp: float | None = None
) -> Tensor:
    """Add ``bias`` per channel of [N, C, ...], leaky ReLU, scale by ``gain``, clamp to +-``clamp``."""
    if bias is not None:
        x = x + bias.to(x.dtype).reshape(1, -1, *[1] * (x.ndim - 2))
    if slope != 1:
        x = F.leaky_relu(x, slope)
    if gain != 1:
        x = x * gain
    return x if clamp is None else x.clamp(-clamp, clamp)


def fir_kernel(taps: Tensor, channels: int, gain: float, dtype: torch.dtype) -> Tensor:
    """A depthwise kernel [channels, 1, kh, kw] that convolves (the taps are flipped: torch correlates)."""
    return (taps.flip(0, 1) * gain).to(dtype)[None, None].expand(channels, 1, *taps.shape)


def filter2d(x: Tensor, taps: Tensor, padding: int, gain: float = 1.0, stride: int = 1) -> Tensor:
    """Convolve every channel of [N, C, H, W] with ``taps`` [kh, kw]; keep each ``stride``-th sample."""
    kernel = fir_kernel(taps, x.shape[1], gain, x.dtype)
    return F.conv2d(x, kernel, padding=padding, stride=stride, groups=x.shape[1])


def upsample2d(x: Tensor, taps: Tensor) -> Tensor:
    """Double height and width, interpolating with the 4x4 low-pass ``taps``; no inserted zero is filtered."""
    kernel = (taps * 4).to(x.dtype)[None, None].expand(x.shape[1], 1, *taps.shape)
    return F.conv_transpose2d(x, kernel, stride=2, padding=1, groups=x.shape[1])


def recording(*tensors: Tensor | None) -> bool:
    """True where autograd will look back at these tensors, so that nothing may be overwritten."""
    return torch.is_grad_enabled() and any(tensor is not None and tensor.requires_grad for tensor in tensors)


def demodulation(weight: Tensor, styles: Tensor, eps: float = 1e-8) -> Tensor:
    """1 / the norm that each modulated output filter would have: [N, out_channels]."""
    if (
        weight.stride(0) == 1
    ):  # laid out for a transposed convolution: sum it in memory order, ten times as fast
        energy = weight.transpose(0, 1).square().sum(dim=(2, 3))  # [in, out]
    else:
        energy = weight.square().sum(dim=(2, 3)).t()
    return (styles.square() @ energy + eps).rsqrt()


def modulated_conv2d(
    x: Tensor, weight: Tensor, styles: Tensor, scale: Tensor | None, up: int = 1, padding: int = 1
) -> Tensor:
    """Convolve [N, in, H, W] with ``weight`` [out, in, k, k] scaled per sample: in by styles, out by scale.

    styles: [N, in]; scale: [N, out] (the demodulation) or None. A batch shares one convolution: the input is
    scaled before it and the output after it. A single sample scales whichever is smaller, weights or maps.
    ``up=2`` is a transposed convolution with stride 2; its FIR filter is the caller's.
    """
    single = x.shape[0] == 1
    if single and weight.numel() <= x.numel():
        weight = weight * styles[0].reshape(1, -1, 1, 1)
        if scale is not None:
            weight = weight * scale[0].reshape(-1, 1, 1, 1)
        return _convolve(x, weight.to(x.dtype), up, padding)
    x = x * styles.to(x.dtype)[:, :, None, None]
    y = _convolve(x, weight.to(x.dtype), up, padding)
    if scale is None:
        return y
    scale = scale.to(x.dtype)[:, :, None, None]
    return y * scale if recording(y, scale) else y.mul_(scale)


def _convolve(x: Tensor, weight: Tensor, up: int, padding: int) -> Tensor:
    if up == 1:
        return F.conv2d(x, weight, padding=padding)
    return F.conv_transpose2d(x, weight.transpose(0, 1), stride=up)
