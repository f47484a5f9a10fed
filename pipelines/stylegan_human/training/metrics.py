"""How far generated pictures are from real ones, in the space of a feature network.

Sources: FID, Heusel et al. 2017; KID, Binkowski et al. 2018; precision and recall, Kynkaanniemi et al.
2019. The published figures use 50,000 generated pictures against the whole training set, Inception's pooled
features for the distances and VGG-16's for precision and recall; any other network or number gives another
scale.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from ...common.errors import FiguraInputError
from ...common.named_function import resolve
from ..networks.generator import Generator
from .image_set import ImageSet
from .metric_names import PUBLISHED, Metric, metrics_named
from .sharing import features_of, from_first

BATCH = 64
KID_SUBSETS, KID_SIZE = 100, 1000
NEIGHBOUR = 3  # precision and recall: a sample's ball reaches to this neighbour
DISTANCES = 1 << 24  # computed at once


class FeatureNetwork(Protocol):
    """What looks at pictures."""

    def features(self, pixels: Tensor) -> Tensor:
        """Pixels [B, 3, H, W] in [-1, 1] -> [B, D]."""
        ...


@dataclass(frozen=True)
class Moments:
    """Mean [D] and biased covariance [D, D] of features, float64."""

    mean: np.ndarray
    covariance: np.ndarray

    @staticmethod
    def of(features: np.ndarray) -> "Moments":
        """Moments of [N, D]; the covariance divides by N."""
        x = features.astype(np.float64)
        mean = x.mean(axis=0)
        return Moments(mean, x.T @ x / len(x) - np.outer(mean, mean))


def frechet_distance(a: Moments, b: Moments) -> float:
    """|mean difference|^2 + tr(A + B - 2 sqrt(A B)), the real part of the matrix square root."""
    from scipy.linalg import sqrtm

    root = np.asarray(sqrtm(b.covariance @ a.covariance))
    gap = np.square(a.mean - b.mean).sum()
    return float(np.real(gap + np.trace(a.covariance + b.covariance - 2 * root)))


def kernel_distance(
    real: np.ndarray, generated: np.ndarray, subsets: Sequence[tuple[np.ndarray, np.ndarray]]
) -> float:
    """Squared maximum mean discrepancy, unbiased, with the kernel (x.y / D + 1)^3, averaged over ``subsets``:
    rows of ``generated`` and of ``real``, equally many.
    """
    dim, total = real.shape[1], 0.0
    for rows_generated, rows_real in subsets:
        x, y = generated[rows_generated].astype(np.float32), real[rows_real].astype(np.float32)
        within = (x @ x.T / dim + 1) ** 3 + (y @ y.T / dim + 1) ** 3
        across = (x @ y.T / dim + 1) ** 3
        count = len(x)
        total += (within.sum() - np.diag(within).sum()) / (count - 1) - across.sum() * 2 / count
    return float(total / len(subsets) / len(subsets[0][0]))


def draw_subsets(
    generated: int, real: int, source: np.random.RandomState, count: int = KID_SUBSETS, size: int = KID_SIZE
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Rows of the generated and of the real features, drawn without replacement, generated first."""
    size = min(generated, real, size)
    return [
        (source.choice(generated, size, replace=False), source.choice(real, size, replace=False))
        for _ in range(count)
    ]


def precision_recall(real: Tensor, generated: Tensor, neighbour: int = NEIGHBOUR) -> tuple[float, float]:
    """Shares of the generated features [M, D] that lie among the real [N, D], and the other way round.

    A set is taken to fill balls around its members, each reaching to its ``neighbour``-th nearest of the set
    (equations 1 and 2).
    """
    return _share_within(generated, real, neighbour), _share_within(real, generated, neighbour)


def _share_within(probes: Tensor, members: Tensor, neighbour: int) -> float:
    """Share of ``probes`` in the ball of at least one of ``members``; a member is its own nearest."""
    rows = max(DISTANCES // len(members), 1)
    nearest = min(neighbour + 1, len(members))
    reach = [torch.cdist(part, members).kthvalue(nearest, dim=1).values for part in members.split(rows)]
    radii = torch.cat(reach)
    inside = [(torch.cdist(part, members) <= radii).any(dim=1) for part in probes.split(rows)]
    return torch.cat(inside).float().mean().item()


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
                figures[metric.name] = kernel_distance(real, fake, subsets)
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


def feature_network(place: str) -> FeatureNetwork:
    """What ``module:function`` makes: the user's own code, imported and called without arguments. A module
    that begins with a dot is one of this package's.

    Raises:
        FiguraInputError: no such module or function, or what it makes has no ``features``.
    """
    wanted = "module:function, a function that returns an object with features(pixels) -> [B, D]"
    make = resolve(place, "--detector", wanted)
    try:
        network = make()
    except (ImportError, AttributeError, ValueError, TypeError) as error:
        raise FiguraInputError("--detector", f"'{place}' ({error})", wanted) from error
    if not callable(getattr(network, "features", None)):
        raise FiguraInputError("--detector", f"a {type(network).__name__} without features", wanted)
    return network
