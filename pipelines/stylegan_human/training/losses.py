"""The terms of the adversarial game, each per sample.

Sources: non-saturating logistic loss, Goodfellow et al. 2014; R1, Mescheder et al. 2018, equation 9; path
length regularisation, Karras et al. 2020 (StyleGAN2), equation 4 and appendix B.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor


def wants_real(logits: Tensor) -> Tensor:
    """-log sigmoid(logits): small where the discriminator says real. The generator's loss on its own
    pictures, and the discriminator's on real ones.
    """
    return F.softplus(-logits)


def wants_fake(logits: Tensor) -> Tensor:
    """-log(1 - sigmoid(logits)): small where the discriminator says generated."""
    return F.softplus(logits)


def r1_penalty(logits: Tensor, pixels: Tensor) -> Tensor:
    """Squared length [N] of the logits' gradient at ``pixels`` [N, C, H, W], itself differentiable.

    Times gamma / 2 it is the R1 term.
    """
    (gradient,) = torch.autograd.grad(logits.sum(), pixels, create_graph=True, only_inputs=True)
    return gradient.square().sum(dim=(1, 2, 3))


def path_lengths(pixels: Tensor, ws: Tensor, noise: Tensor) -> Tensor:
    """How far [N] a small step in ``ws`` [N, rows, w_dim] moves the picture, differentiable.

    ``noise`` is standard normal, of the pixels' shape; dividing by sqrt(H W) makes the length independent of
    the resolution. The square is summed over w and averaged over rows.
    """
    scaled = noise / math.sqrt(pixels.shape[2] * pixels.shape[3])
    (gradient,) = torch.autograd.grad((pixels * scaled).sum(), ws, create_graph=True, only_inputs=True)
    return gradient.square().sum(dim=2).mean(dim=1).sqrt()


class PathLengthPenalty:
    """(length - running mean)^2, with the running mean moved towards each batch first.

    The gradient flows through the moved mean too, as in the published code.
    """

    def __init__(self, decay: float = 0.01) -> None:
        self.decay, self.mean = decay, 0.0

    def __call__(self, lengths: Tensor) -> Tensor:
        """Lengths [N] -> penalty [N]."""
        before = torch.full((), self.mean, device=lengths.device)
        mean = before.lerp(lengths.mean(), self.decay)
        self.mean = mean.item()
        return (lengths - mean).square()
