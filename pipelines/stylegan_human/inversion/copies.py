"""Copies of networks: with weights that stand still, or with weights that are trained."""

import copy
from typing import TypeVar

from torch import Tensor, nn

from ..networks.generator import Generator

Module = TypeVar("Module", bound=nn.Module)


def frozen(network: Module) -> Module:
    """A copy whose weights need no gradient, so that none is computed."""
    return _copied(network, trained=False)


def trainable(generator: Generator) -> Generator:
    """A copy whose synthesis weights record gradients; the mapping, which a fixed latent never asks, does
    not.
    """
    copied = _copied(generator, trained=True)
    copied.mapping.requires_grad_(False)
    return copied


def _copied(network: Module, trained: bool) -> Module:
    """Weights are cloned one by one, keeping their layout in memory, into ordinary tensors: those that come
    from ComfyUI may have been made in inference mode.
    """
    memo: dict[int, Tensor] = {
        id(parameter): nn.Parameter(parameter.detach().clone(), requires_grad=trained)
        for parameter in network.parameters()
    }
    memo |= {id(buffer): buffer.detach().clone() for buffer in network.buffers()}
    return copy.deepcopy(network, memo).eval()
