"""How far generated pictures are from real ones, in the space of a feature network.

Sources: FID, Heusel et al. 2017; KID, Binkowski et al. 2018; precision and recall, Kynkaanniemi et al.
2019. The published figures use 50,000 generated pictures against the whole training set, Inception's pooled
features for the distances and VGG-16's for precision and recall; any other network or number gives another
scale.
"""

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

from ...common.errors import FiguraInputError
from ...common.feature_distances import (
    FeatureNetwork,
    Moments,
    draw_subsets,
    frechet_distance,
    kernel_distances,
    precision_recall,
)
from ..networks.generator import Generator
from .image_set import ImageSet
from .metric_names import PUBLISHED, Metric, metrics_named
from .sharing import features_of, from_first

BATCH = 64


class DistributionRuler:
    """Measures a generator against a data set; the real features are computed once, at the first call. The
    processes of a run share the work, and get the figures that one would.

    Args:
        network: the feature network; moved to the generator's device if it has a ``to``, and given pictures
            there.
        real: pictures to compare with.
        names: of ``metric_names.OFFERED``.
        count: pictures generated for metrics whose names do not say how many.
        labels: [M, c_dim] from which a conditional generator's labels are drawn.
    """

    def __init__(
        self, network: FeatureNetwork, real: ImageSet, names: Sequence[str] = ("fid",),
        count: int = PUBLISHED, labels: Tensor | None = None, seed: int = 0,
    ) -> None:  # fmt: skip
        self.metrics = metrics_named(names)
        if not self.metrics:
            raise FiguraInputError("--metrics", "none", "at least one")
        if count < 2 or real.count < 2:
            raise FiguraInputError(
                "--metric-samples", f"{count} against {real.count} pictures", "2 or more of each"
            )
        self.network, self.pictures, self.labels, self.seed = network, real, labels, seed
        self.count, self.device = count, torch.device("cpu")
        self.real = np.empty((0, 0), np.float32)
        self._moments: dict[int, Moments] = {}

    @torch.no_grad()
    def __call__(self, generator: Generator) -> dict[str, float]:
        """The figures of a generator; the same latents every time."""
        self._move(generator.mapping.w_avg.device)
        if not len(self.real):
            self.real = self._features_of_real(max(self._real_count(metric) for metric in self.metrics))
        count = max(self._generated_count(metric) for metric in self.metrics)
        generated = self._features_of_generated(generator, count)
        return from_first(lambda: self.figures(generated), self.device)

    def figures(self, generated: np.ndarray) -> dict[str, float]:
        """The figures of generated features [N, D]; metrics of fewer pictures take the first."""
        figures = {}
        for metric in self.metrics:
            real, fake = self.real[: self._real_count(metric)], generated[: self._generated_count(metric)]
            if metric.kind == "fid":
                figures[metric.name] = frechet_distance(self._moments_of(real), Moments.of(fake))
            elif metric.kind == "kid":
                subsets = draw_subsets(len(fake), len(real), np.random.RandomState(self.seed))
                figures[metric.name] = float(kernel_distances(real, fake, subsets).mean())
            else:
                begin = "" if metric.name == "pr" else f"{metric.name}_"
                shares = precision_recall(self._tensor(real), self._tensor(fake))
                figures[f"{begin}precision"], figures[f"{begin}recall"] = shares
        return figures

    def _tensor(self, features: np.ndarray) -> Tensor:
        return torch.from_numpy(features).to(self.device)

    def _generated_count(self, metric: Metric) -> int:
        return metric.generated or self.count

    def _real_count(self, metric: Metric) -> int:
        count = len(self.pictures) if metric.mirrored else self.pictures.count
        return min(count, metric.real or count)

    def _moments_of(self, real: np.ndarray) -> Moments:
        if len(real) not in self._moments:
            self._moments[len(real)] = Moments.of(real)
        return self._moments[len(real)]

    def _move(self, device: torch.device) -> None:
        self.device = device
        if hasattr(self.network, "to"):
            self.network = self.network.to(device)  # type: ignore[attr-defined]

    def _features_of_real(self, count: int) -> np.ndarray:
        """Features of the first ``count`` pictures, mirror images after all others."""

        def look(piece: range) -> Tensor:
            return self._features(self.pictures.pixels(list(piece)).float() / 127.5 - 1)

        return features_of(_pieces(count), _sizes(count), look, self.device)

    def _features_of_generated(self, generator: Generator, count: int) -> np.ndarray:
        def look(piece: tuple[Tensor, Tensor | None]) -> Tensor:
            z, c = piece
            return self._features(
                _eight_bits(generator(z.to(self.device), None if c is None else c.to(self.device)))
            )

        return features_of(self._latents(count, generator.config.z_dim), _sizes(count), look, self.device)

    def _latents(self, count: int, width: int) -> Iterator[tuple[Tensor, Tensor | None]]:
        """z [B, width] and labels [B, c_dim], piece by piece."""
        source = torch.Generator().manual_seed(self.seed)
        for piece in _pieces(count):
            z, c = torch.randn(len(piece), width, generator=source), None
            if self.labels is not None:
                c = self.labels[torch.randint(len(self.labels), (len(piece),), generator=source)]
            yield z, c

    def _features(self, pixels: Tensor) -> Tensor:
        return self.network.features(pixels.to(self.device))


def _pieces(count: int) -> Iterator[range]:
    """0 .. count - 1 in parts of BATCH."""
    for start in range(0, count, BATCH):
        yield range(start, min(start + BATCH, count))


def _sizes(count: int) -> list[int]:
    return [len(piece) for piece in _pieces(count)]


def _eight_bits(pixels: Tensor) -> Tensor:
    """What a file of the picture would hold: generated pictures must not be told by their precision."""
    return (pixels * 127.5 + 128).clamp(0, 255).to(torch.uint8).float() / 127.5 - 1
