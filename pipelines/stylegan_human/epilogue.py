"""StyleGAN2's end of a layer where no gradient is recorded: noise, bias, leaky ReLU, gain and clamp."""

import torch.nn.functional as F
from torch import Tensor

from .ops import SQRT2


def noisy_bias_act(x: Tensor, noise: Tensor | None, bias: Tensor, clamp: float | None) -> Tensor:
    """clamp(sqrt(2) * leaky_relu(x + noise + bias)) on [N, C, H, W], written over ``x``; ``gradients.py``
    has its twin that autograd can look back at.
    """
    x = x.add_(bias.to(x.dtype).reshape(1, -1, 1, 1))
    if noise is not None:
        x = x.add_(noise.to(x.dtype))
    x = F.leaky_relu_(x, 0.2).mul_(SQRT2)
    return x if clamp is None else x.clamp_(-clamp, clamp)
