"""Exponential moving average of weights (Polyak averaging), as every paper here samples from."""

import torch
from torch import nn


@torch.no_grad()
def update_average(average: nn.Module, module: nn.Module, beta: float) -> None:
    """average = beta * average + (1 - beta) * module, for parameters; buffers are copied.

    Args:
        average: an unwrapped copy of ``module`` made before training.
        module: as accelerate wrapped it, or bare. Sharded parameters are gathered one at a time.
        beta: 0 copies, 1 keeps.
    """
    source = dict(_unwrapped(module).named_parameters())
    for name, kept in average.named_parameters():
        kept.copy_(torch.lerp(_whole(source[name]).to(kept), kept, beta))  # exact at both ends
    buffers = dict(_unwrapped(module).named_buffers())
    for name, kept in average.named_buffers():
        kept.copy_(_whole(buffers[name]))


def _unwrapped(module: nn.Module) -> nn.Module:
    return module.module if isinstance(module, nn.parallel.DistributedDataParallel) else module


def _whole(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.full_tensor() if hasattr(tensor, "full_tensor") else tensor  # type: ignore[operator]
