"""Pictures as a generator makes them: soft, noisy, tinted, mirrored. For training and for testing the
reader."""

import torch
from torch import Tensor
from torch.nn import functional as F

LEVELS = 4


def blurred(pixels: Tensor, sigma: float) -> Tensor:
    """Gaussian blur of [B, C, H, W], edges repeated."""
    reach = max(1, round(3 * sigma))
    x = torch.arange(-reach, reach + 1, dtype=pixels.dtype, device=pixels.device)
    kernel = torch.exp(-0.5 * (x / sigma) ** 2)
    kernel = kernel / kernel.sum()
    channels = pixels.shape[1]
    padded = F.pad(pixels, (reach, reach, reach, reach), mode="replicate")
    padded = F.conv2d(padded, kernel.view(1, 1, 1, -1).repeat(channels, 1, 1, 1), groups=channels)
    return F.conv2d(padded, kernel.view(1, 1, -1, 1).repeat(channels, 1, 1, 1), groups=channels)


def coarse(pixels: Tensor, factor: int) -> Tensor:
    """Averaged down by ``factor`` and brought back bilinearly: what a smaller picture still holds."""
    small = F.avg_pool2d(pixels, factor)
    return F.interpolate(small, pixels.shape[2:], mode="bilinear", align_corners=False)


def soften(pixels: Tensor, generator: torch.Generator) -> Tensor:
    """Each picture of [B, 3, H, W] in [-1, 1] between sharp and soft, a little off in colour, with noise.

    Two in five stay as they are but for a little noise.
    """
    count = len(pixels)
    draw = lambda *shape: torch.rand(count, *shape, generator=generator)  # noqa: E731
    levels = [pixels, coarse(pixels, 2), blurred(pixels, 1.2), blurred(pixels, 2.2)]
    level = torch.where(draw() < 0.4, 0, torch.randint(1, LEVELS, (count,), generator=generator))
    soft = torch.stack(levels)[level, torch.arange(count)]
    soft = torch.lerp(soft, pixels, (draw() * 0.4).view(-1, 1, 1, 1))
    changed = (level > 0).float().view(-1, 1, 1, 1)
    gain = 1 + changed * (draw(1, 1, 1) - 0.6) * 0.25
    tint = changed * (draw(3, 1, 1) - 0.5) * 0.10
    noise = torch.randn(pixels.shape, generator=generator) * (draw(1, 1, 1) * (0.02 + 0.10 * changed))
    return (soft * gain + tint + noise).clamp(-1, 1)
