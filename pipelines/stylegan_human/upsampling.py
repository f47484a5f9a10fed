"""The low-pass filter after StyleGAN2's stride-2 transposed convolution."""

from torch import Tensor

from .ops import filter2d


def fir_after_upsampling(x: Tensor, taps: Tensor) -> Tensor:
    """[N, C, 2H+1, 2W+1] -> [N, C, 2H, 2W]: the 4x4 ``taps`` with gain 4, one zero of padding all around."""
    return filter2d(x, taps, padding=1, gain=4)
