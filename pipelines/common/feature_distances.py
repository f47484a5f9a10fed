"""How far two sets of pictures are apart, in the space of a feature network.

Sources: FID, Heusel et al. 2017; KID, Binkowski et al. 2018; precision and recall, Kynkaanniemi et al. 2019.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from .errors import FiguraInputError
from .named_function import resolve

KID_SUBSETS, KID_SIZE = 100, 1000
NEIGHBOUR = 3  # precision and recall: a sample's ball reaches to this neighbour
DISTANCES = 1 << 24  # computed at once


class FeatureNetwork(Protocol):
    """What looks at pictures."""

    def features(self, pixels: Tensor) -> Tensor:
        """Pixels [B, 3, H, W] in [-1, 1] -> [B, D]."""
        ...


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


@dataclass(frozen=True)
class Moments:
    """Mean [D] and covariance [D, D] of features, float64."""

    mean: np.ndarray
    covariance: np.ndarray

    @staticmethod
    def of(features: np.ndarray, unbiased: bool = False) -> "Moments":
        """Moments of [N, D]; the covariance divides by N, or by N - 1 if ``unbiased``."""
        x = features.astype(np.float64)
        mean = x.mean(axis=0)
        covariance = x.T @ x / len(x) - np.outer(mean, mean)
        return Moments(mean, covariance * (len(x) / (len(x) - 1) if unbiased else 1.0))


def frechet_distance(a: Moments, b: Moments) -> float:
    """|mean difference|^2 + tr(A + B - 2 sqrt(A B)), the real part of the matrix square root."""
    from scipy.linalg import sqrtm

    root = np.asarray(sqrtm(b.covariance @ a.covariance))
    gap = np.square(a.mean - b.mean).sum()
    return float(np.real(gap + np.trace(a.covariance + b.covariance - 2 * root)))


def kernel_distances(
    real: np.ndarray, generated: np.ndarray, subsets: Sequence[tuple[np.ndarray, np.ndarray]]
) -> np.ndarray:
    """Squared maximum mean discrepancy, unbiased, with the kernel (x.y / D + 1)^3, of each of ``subsets``:
    rows of ``generated`` and of ``real``, equally many. KID is their mean.
    """
    dim, found = real.shape[1], []
    for rows_generated, rows_real in subsets:
        x, y = generated[rows_generated].astype(np.float32), real[rows_real].astype(np.float32)
        within = (x @ x.T / dim + 1) ** 3 + (y @ y.T / dim + 1) ** 3
        across = (x @ y.T / dim + 1) ** 3
        count = len(x)
        found.append(
            ((within.sum() - np.diag(within).sum()) / (count - 1) - across.sum() * 2 / count) / count
        )
    return np.array(found, np.float64)


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
