"""The blur that StyleGAN3-r's discriminator sees through at first (Karras et al. 2021, appendix B.3).

It keeps the discriminator from judging fine detail before the generator's coarse layers have settled.
"""

import torch
import torch.nn.functional as F
from torch import Tensor


def blur_sigma(init_sigma: float, fade_kimg: float, samples_seen: int) -> float:
    """The blur's size in pixels after ``samples_seen``: ``init_sigma`` at first, 0 from ``fade_kimg`` on."""
    if fade_kimg <= 0:
        return 0.0
    return max(1 - samples_seen / (fade_kimg * 1000), 0) * init_sigma


def blur_taps(sigma: float) -> Tensor | None:
    """Weights 2^-(i / sigma)^2 for i = -k..k with k = floor(3 sigma), sum 1; None when k is 0."""
    reach = int(3 * sigma)
    if reach == 0:
        return None
    positions = torch.arange(-reach, reach + 1, dtype=torch.float32)
    taps = (-(positions / sigma).square()).exp2()
    return taps / taps.sum()


def blur(pixels: Tensor, sigma: float) -> Tensor:
    """Blur [N, C, H, W]; the outside is black (0), so edges darken as in the published code."""
    taps = blur_taps(sigma)
    if taps is None:
        return pixels
    taps, channels, reach = taps.to(pixels), pixels.shape[1], len(taps) // 2
    rows = taps.reshape(1, 1, 1, -1).expand(channels, 1, 1, -1)
    pixels = F.conv2d(pixels, rows, padding=(0, reach), groups=channels)
    return F.conv2d(pixels, rows.transpose(2, 3), padding=(reach, 0), groups=channels)
