"""One random generator per sample, so that a seed gives the same picture at any batch size.

Noise is always drawn on the CPU: the same seed then gives the same picture on every device.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from .errors import FiguraInputError

MAX_SEED = 2**64 - 1  # ComfyUI's seed widgets run up to here


def check_seed(seed: int, what: str = "seed") -> int:
    """Return ``seed`` if it is an integer in 0..2**64-1, else raise FiguraInputError."""
    if isinstance(seed, bool) or not isinstance(seed, int) or not 0 <= seed <= MAX_SEED:
        raise FiguraInputError(what, repr(seed), f"a whole number from 0 to {MAX_SEED}")
    return seed


def numpy_seed(seed: int) -> int:
    """Reduce a ComfyUI seed (64 bit) to what numpy's RandomState takes (32 bit)."""
    return check_seed(seed) % 2**32


def generator(seed: int) -> torch.Generator:
    """Return a CPU generator. Seeds of 2**63 and above wrap as two's complement, as torch wants them."""
    seed = check_seed(seed)
    return torch.Generator("cpu").manual_seed(seed if seed < 2**63 else seed - 2**64)


def batch_seeds(seed: int, count: int) -> list[int]:
    """Seeds of a batch: image i of a batch uses ``seed + i``, so a batch may be split at will."""
    if count < 1:
        raise FiguraInputError("batch size", str(count), "1 or more")
    return [(check_seed(seed) + i) % (MAX_SEED + 1) for i in range(count)]


def noise(shape: Sequence[int], seeds: Sequence[int], dtype: torch.dtype = torch.float32) -> Tensor:
    """Standard normal noise [len(seeds), *shape] on the CPU, row i drawn from ``seeds[i]`` alone."""
    return torch.stack([torch.randn(tuple(shape), generator=generator(seed), dtype=dtype) for seed in seeds])
