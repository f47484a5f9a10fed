"""StyleGAN2's end of a layer: noise, bias, leaky ReLU, gain and clamp."""

import torch.nn.functional as F
from torch import Tensor

from .ops import SQRT2, recording


def noisy_bias_act(x: Tensor, noise: Tensor | None, bias: Tensor, clamp: float | None) -> Tensor:
    """clamp(sqrt(2) * leaky_relu(x + noise + bias)) on [N, C, H, W]; overwrites ``x`` where no gradient needs
    it.
    """
    shift = bias.to(x.dtype).reshape(1, -1, 1, 1)
    if recording(x, noise, bias):
        x = x + shift if noise is None else x + noise.to(x.dtype) + shift
        x = F.leaky_relu(x, 0.2) * SQRT2
        return x if clamp is None else x.clamp(-clamp, clamp)
    x = x.add_(shift)
    if noise is not None:
        x = x.add_(noise.to(x.dtype))
    x = F.leaky_relu_(x, 0.2).mul_(SQRT2)
    return x if clamp is None else x.clamp_(-clamp, clamp)
