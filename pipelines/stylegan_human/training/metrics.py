"""How far generated pictures are from real ones, in the space of a feature network.

Sources: FID, Heusel et al. 2017; KID, Binkowski et al. 2018. The published figures use 50,000 generated
pictures against the whole training set, and Inception's pooled features; any other network or number gives
another scale.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from ...common.errors import FiguraInputError
from ..networks.generator import Generator
from .aligned_images import AlignedImages

BATCH = 64
KID_SUBSETS, KID_SIZE = 100, 1000


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


class DistributionRuler:
    """Measures a generator against a data set; the real features are computed once.

    Args:
        network: the feature network; moved to ``device`` if it has a ``to``, and given pictures there.
        real: pictures to compare with.
        names: ``fid``, ``kid``.
        count: pictures generated.
        labels: [M, c_dim] from which a conditional generator's labels are drawn.
    """

    def __init__(
        self, network: FeatureNetwork, real: AlignedImages, names: Sequence[str] = ("fid",),
        count: int = 50000, labels: Tensor | None = None, seed: int = 0, device: torch.device | str = "cpu",
    ) -> None:  # fmt: skip
        if count < 2 or real.count < 2:
            raise FiguraInputError(
                "--metric-samples", f"{count} against {real.count} pictures", "2 or more of each"
            )
        self.device, self.network = torch.device(device), network
        if hasattr(network, "to"):
            self.network = network.to(self.device)  # type: ignore[attr-defined]
        self.names, self.count, self.labels, self.seed = names, count, labels, seed
        self.real = np.concatenate([self._features(pixels.float() / 127.5 - 1) for pixels in _batches(real)])
        self.moments = Moments.of(self.real)

    @torch.no_grad()
    def __call__(self, generator: Generator) -> dict[str, float]:
        """The figures of a generator; the same latents every time."""
        source = torch.Generator().manual_seed(self.seed)
        device, found = generator.mapping.w_avg.device, []
        for start in range(0, self.count, BATCH):
            count = min(BATCH, self.count - start)
            z = torch.randn(count, generator.config.z_dim, generator=source).to(device)
            c = None
            if self.labels is not None:
                c = self.labels[torch.randint(len(self.labels), (count,), generator=source)].to(device)
            found.append(self._features(_eight_bits(generator(z, c))))
        return self.figures(np.concatenate(found))

    @torch.no_grad()
    def _features(self, pixels: Tensor) -> np.ndarray:
        return self.network.features(pixels.to(self.device)).cpu().numpy()

    def figures(self, generated: np.ndarray) -> dict[str, float]:
        """The figures of features [N, D]."""
        figures = {}
        if "fid" in self.names:
            figures["fid"] = frechet_distance(self.moments, Moments.of(generated))
        if "kid" in self.names:
            subsets = draw_subsets(len(generated), len(self.real), np.random.RandomState(self.seed))
            figures["kid"] = kernel_distance(self.real, generated, subsets)
        return figures


def _batches(images: AlignedImages) -> Iterator[Tensor]:
    """Every picture once, not mirrored, uint8."""
    for start in range(0, images.count, BATCH):
        yield images.pixels(list(range(start, min(start + BATCH, images.count))))


def _eight_bits(pixels: Tensor) -> Tensor:
    """What a file of the picture would hold: generated pictures must not be told by their precision."""
    return (pixels * 127.5 + 128).clamp(0, 255).to(torch.uint8).float() / 127.5 - 1


def feature_network(place: str) -> FeatureNetwork:
    """What ``module:function`` makes: the user's own code, imported and called without arguments. A module
    that begins with a dot is one of this package's.

    Raises:
        FiguraInputError: no such module or function, or what it makes has no ``features``.
    """
    module, _, function = place.partition(":")
    wanted = "module:function, a function that returns an object with features(pixels) -> [B, D]"
    try:
        package = __package__.rsplit(".", 2)[0] if module.startswith(".") and __package__ else None
        network = getattr(import_module(module, package), function)()
    except (ImportError, AttributeError, ValueError, TypeError) as error:
        raise FiguraInputError("--detector", f"'{place}' ({error})", wanted) from error
    if not callable(getattr(network, "features", None)):
        raise FiguraInputError("--detector", f"a {type(network).__name__} without features", wanted)
    return network
