"""Random numbers for augmentation: drawn for each picture, or all at one percentile, to check arithmetic."""

import math

import torch
from torch import Tensor


class Chance:
    """Draws for a batch of ``count`` pictures.

    Args:
        p: probability with which a transformation is applied at all.
        percentile: None draws; a number from 0 to 1 applies everything, at that point of each distribution.
    """

    def __init__(
        self, count: int, p: float, generator: torch.Generator | None, device: torch.device,
        percentile: float | None = None,
    ) -> None:  # fmt: skip
        self.count, self.p, self.generator, self.percentile = count, p, generator, percentile
        self.device = device

    def uniform(self, *shape: int) -> Tensor:
        """[count, *shape] from 0 to 1."""
        if self.percentile is not None:
            return torch.full((self.count, *shape), self.percentile, device=self.device)
        return torch.rand((self.count, *shape), generator=self.generator, device=self._source()).to(
            self.device
        )

    def normal(self, *shape: int) -> Tensor:
        """[count, *shape], standard normal (at a percentile q: erfinv(2 q - 1) as in the published code,
        which lacks the factor sqrt(2))."""
        if self.percentile is not None:
            return torch.erfinv(self.uniform(*shape) * 2 - 1)
        return self.field(*shape)

    def half_normal(self, *shape: int) -> Tensor:
        """The size of a normal number."""
        return self.field(*shape).abs() if self.percentile is None else torch.erfinv(self.uniform(*shape))

    def field(self, *shape: int) -> Tensor:
        """[count, *shape], standard normal, never a percentile."""
        return torch.randn((self.count, *shape), generator=self.generator, device=self._source()).to(
            self.device
        )

    def symmetric(self, *shape: int) -> Tensor:
        """[count, *shape] from -1 to 1."""
        return self.uniform(*shape) * 2 - 1

    def whole(self, values: int) -> Tensor:
        """[count] of 0 .. values - 1."""
        return torch.floor(self.uniform() * values)

    def applied(self, value: Tensor, neutral: float, p: float | None = None) -> Tensor:
        """``value`` [count, …] for the pictures that get it (with probability ``p``), else ``neutral``."""
        if self.percentile is not None:
            return value
        gate = torch.rand(self.count, generator=self.generator, device=self._source()).to(self.device)
        gate = gate.reshape(-1, *[1] * (value.ndim - 1))
        return torch.where(gate < (self.p if p is None else p), value, torch.full_like(value, neutral))

    def half_p(self) -> float:
        """q such that one of two independent events of probability q happens with probability p."""
        return 1 - math.sqrt(min(max(1 - self.p, 0), 1))

    def _source(self) -> torch.device:
        return self.device if self.generator is None else self.generator.device
