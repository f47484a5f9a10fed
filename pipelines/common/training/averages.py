"""Exponential moving average of weights (Polyak averaging), as every paper here samples from."""

import torch
from accelerate.utils import extract_model_from_parallel
from torch import nn


@torch.no_grad()
def update_average(average: nn.Module, module: nn.Module, beta: float) -> None:
    """average = beta * average + (1 - beta) * module, for parameters; buffers are copied.

    Args:
        average: an unwrapped copy of ``module`` made before training.
        module: as accelerate wrapped it, or bare. Sharded parameters are gathered one at a time.
        beta: 0 copies, 1 keeps.
    """
    module = extract_model_from_parallel(module, keep_torch_compile=False)
    source = dict(module.named_parameters())
    for name, kept in average.named_parameters():
        kept.copy_(torch.lerp(_whole(source[name]).to(kept), kept, beta))  # exact at both ends
    buffers = dict(module.named_buffers())
    for name, kept in average.named_buffers():
        kept.copy_(_whole(buffers[name]))


def _whole(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.full_tensor() if hasattr(tensor, "full_tensor") else tensor  # type: ignore[operator]
