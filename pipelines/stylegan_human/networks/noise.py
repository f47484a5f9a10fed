"""Where the synthesis network takes its per-pixel noise from: its own fixed maps, fresh draws, or nowhere."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from ...common.errors import FiguraInputError
from ...common.seeds import check_seed, generator
from ..choices import NOISE_MODES, NoiseMode

__all__ = ["NOISE_MODES", "NoiseMode", "NoiseSource", "noise_source"]
NoiseSource = Callable[[int, Tensor], Tensor | None]
"""(layer, the layer's own noise [H, W]) -> what to add: [H, W], [N, 1, H, W], or None."""


def noise_source(mode: str, seeds: Sequence[int] | None = None) -> NoiseSource:
    """Return the source for a ``noise_mode`` of the released scripts.

    ``random`` with ``seeds`` (one per sample) draws each sample's noise from its own CPU generator, so a
    picture does not depend on its place in a batch; without seeds it draws from torch's global generator, as
    training does.
    """
    if mode == "const":
        return lambda layer, own: own
    if mode == "none":
        return lambda layer, own: None
    if mode != "random":
        raise FiguraInputError("noise mode", repr(mode), "const, random or none")
    return (
        _global_noise if seeds is None else _seeded_noise([check_seed(seed, "noise seed") for seed in seeds])
    )


def _global_noise(layer: int, own: Tensor) -> Tensor:
    return torch.randn(1, 1, *own.shape, device=own.device, dtype=own.dtype)


def _seeded_noise(seeds: list[int]) -> NoiseSource:
    def draw(layer: int, own: Tensor) -> Tensor:
        maps = [torch.randn(1, *own.shape, generator=generator(_mix(seed, layer))) for seed in seeds]
        return torch.stack(maps).to(own)  # [N, 1, H, W]

    return draw


def _mix(seed: int, layer: int) -> int:
    """A seed per (sample, layer), so that a layer's noise does not depend on which layers ran before it."""
    return (seed * 0x9E3779B97F4A7C15 + layer + 1) % 2**64
