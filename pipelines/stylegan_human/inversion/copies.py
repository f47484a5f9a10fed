"""Copies of a generator: one whose weights stand still, one whose weights are trained."""

import copy

from torch import Tensor, nn

from ..generator import Generator


def frozen(generator: Generator) -> Generator:
    """A copy whose weights need no gradient, so that none is computed."""
    return _copied(generator, trained=False)


def trainable(generator: Generator) -> Generator:
    """A copy whose synthesis weights record gradients; the mapping, which a fixed latent never asks, does
    not.
    """
    copied = _copied(generator, trained=True)
    copied.mapping.requires_grad_(False)
    return copied


def _copied(generator: Generator, trained: bool) -> Generator:
    """Weights are cloned one by one, keeping their layout in memory, into ordinary tensors: those that come
    from ComfyUI may have been made in inference mode.
    """
    memo: dict[int, Tensor] = {
        id(parameter): nn.Parameter(parameter.detach().clone(), requires_grad=trained)
        for parameter in generator.parameters()
    }
    memo |= {id(buffer): buffer.detach().clone() for buffer in generator.buffers()}
    return copy.deepcopy(generator, memo).eval()
