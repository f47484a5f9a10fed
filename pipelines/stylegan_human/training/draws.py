"""Where an update's randomness comes from: one seeded generator, or (in tests) what was recorded."""

import torch
from torch import Tensor

from ...common.errors import FiguraInputError
from ..networks.noise import NOISE_MODES, NoiseSource


class Draws:
    """All random numbers of one update, drawn on the device of ``generator`` in a fixed order."""

    def __init__(self, generator: torch.Generator, mixing_prob: float, noise_mode: str = "random") -> None:
        if noise_mode not in NOISE_MODES:
            raise FiguraInputError("noise mode", repr(noise_mode), ", ".join(NOISE_MODES))
        self.generator, self.mixing_prob, self.noise_mode = generator, mixing_prob, noise_mode

    def normal(self, *shape: int) -> Tensor:
        """Standard normal numbers."""
        return torch.randn(shape, generator=self.generator, device=self.generator.device)

    def latents(self, count: int, z_dim: int) -> Tensor:
        """z [count, z_dim]."""
        return self.normal(count, z_dim)

    def mixing(self, count: int, z_dim: int, rows: int) -> tuple[int, Tensor] | None:
        """Style mixing: from which row of ws (1 .. rows - 1) on to use a second z, and that z; None: none.

        One row for the whole batch.
        """
        if self.mixing_prob <= 0:
            return None
        device = self.generator.device
        cutoff = torch.randint(1, rows, (), generator=self.generator, device=device).item()
        mixed = torch.rand((), generator=self.generator, device=device).item() < self.mixing_prob
        z = self.normal(count, z_dim)
        return (int(cutoff), z) if mixed else None

    def path_noise(self, *shape: int) -> Tensor:
        """The random picture along which path lengths are measured."""
        return self.normal(*shape)

    def layer_noise(self, count: int) -> NoiseSource:
        """The generator's per-pixel noise: for ``random`` drawn anew for each sample and layer."""
        if self.noise_mode == "const":
            return lambda layer, own: own
        if self.noise_mode == "none":
            return lambda layer, own: None
        return lambda layer, own: self.normal(count, 1, *own.shape).to(own.dtype)
