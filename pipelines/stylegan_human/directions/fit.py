"""Directions of w for any attribute, from latents and one number each: whether, or how much, they show it.

Yes or no: the normal of the plane that best parts those with from those without (Shen et al., InterFaceGAN,
2020, section 3.1): by logistic regression, or by a linear SVM. How much: ridge regression. The result is
tried on latents kept aside, and may be made independent of other directions (their section 3.2, conditional
manipulation: the others are projected out of it).
"""

import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ...common.errors import FiguraInputError, FiguraMissingPackage
from ..choices import METHODS
from ..latents.edit import Edit, direction_in_w

log = logging.getLogger(__name__)
FEWEST = 10  # latents with a number; with fewer nothing can be kept aside
STRENGTHS = tuple(10.0**power for power in range(-3, 4))  # of the regularisation, tried on a part of the data


@dataclass(frozen=True)
class Fit:
    """A direction with what is known of it."""

    vector: Tensor
    """[w_dim], of length 1; the attribute grows along it."""
    measure: str
    """``accuracy`` (0.5 is chance for classes of one size) or ``R2`` (0 is no better than the mean)."""
    score: float
    """On latents kept aside, from the place along the direction alone."""
    chance: float
    """What the measure gives to a guess: the share of the larger class, or 0."""
    trained: int
    held_out: int
    spread: float
    """Standard deviation of the latents along the direction: what strength 1 means is told by it."""

    def report(self) -> str:
        """One line for people."""
        return (
            f"{self.measure} {self.score:.3f} on {self.held_out} latents kept aside "
            f"(chance {self.chance:.3f}), learnt from {self.trained}; "
            f"people differ by {self.spread:.3g} along it"
        )

    def edit(self, rows: Sequence[int], name: str) -> Edit:
        """The direction as an edit of ``rows``; strength 1 goes as far as people usually differ."""
        return direction_in_w(self.vector, rows, name, gain=self.spread)


def fit_direction(
    w: Tensor,
    values: Sequence[float],
    method: str = "auto",
    extremes: float = 1.0,
    without: Sequence[Tensor] = (),
    held_out: float = 0.25,
    seed: int = 0,
) -> Fit:
    """Find the direction along which ``values`` grow.

    Args:
        w: one vector for each latent [N, w_dim].
        values: one number for each; NaN where it is not known. Two different numbers mean no and yes.
        method: ``logistic`` or ``svm`` for yes and no, ``ridge`` for amounts; ``auto`` looks at the values.
        extremes: share of the latents used, half from each end. With ``logistic`` or ``svm`` amounts become
            yes above the middle, and no below.
        without: directions [w_dim] that must not change with this one.
        held_out: share kept aside for the score.
    """
    everyone, y = _samples(w, values)
    method = _method(method, y)
    x, y = _ends(everyone, y, extremes)
    if method != "ridge":
        y = _classes(y)
    rng = np.random.RandomState(seed % 2**32)
    aside = _aside(y, held_out, method != "ridge", rng)
    normal = _best_normal(x[~aside], y[~aside], method, rng)
    direction = _without(normal, [vector.detach().cpu().double().numpy().ravel() for vector in without])
    place = x @ direction
    score, chance = _score(place, y, aside, method != "ridge")
    measure = "R2" if method == "ridge" else "accuracy"
    vector, spread = torch.from_numpy(direction).float(), float((everyone @ direction).std())
    return Fit(vector, measure, score, chance, int((~aside).sum()), int(aside.sum()), spread)


def _samples(w: Tensor, values: Sequence[float]) -> tuple[np.ndarray, np.ndarray]:
    """Both in float64, without latents of unknown value."""
    if w.ndim != 2 or len(w) != len(values):
        raise FiguraInputError(
            "attribute", f"{len(values)} numbers for {len(w)} latents", "one for each latent"
        )
    y = np.asarray(values, dtype=np.float64)
    known = np.isfinite(y)
    if known.sum() < FEWEST:
        raise FiguraInputError(
            "attribute",
            f"{int(known.sum())} latents with a number",
            f"{FEWEST} or more; some hundreds are better",
        )
    if not known.all():
        log.warning("%d of %d latents have no number and are left out", int((~known).sum()), len(known))
    if np.ptp(y[known]) == 0:
        raise FiguraInputError(
            "attribute", f"the same number, {y[known][0]:g}, for all", "numbers that differ"
        )
    if not torch.isfinite(w).all():
        raise FiguraInputError("latents", "values that are NaN or infinite", "finite values")
    return w.detach().cpu().double().numpy()[known], y[known]


def _method(method: str, y: np.ndarray) -> str:
    if method not in METHODS:
        raise FiguraInputError("method", repr(method), "one of " + ", ".join(METHODS))
    if method == "auto":
        return "logistic" if len(np.unique(y)) == 2 else "ridge"
    return method


def _ends(x: np.ndarray, y: np.ndarray, extremes: float) -> tuple[np.ndarray, np.ndarray]:
    """The latents of the lowest and the highest values, a share of ``extremes`` together."""
    if not 0 < extremes <= 1:
        raise FiguraInputError("extremes", str(extremes), "a share of the latents: more than 0, at most 1")
    if extremes == 1 or len(np.unique(y)) == 2:
        return x, y
    count = max(FEWEST // 2, round(len(y) * extremes / 2))
    order = np.argsort(y, kind="stable")
    chosen = np.concatenate([order[:count], order[-count:]]) if 2 * count < len(y) else order
    return x[chosen], y[chosen]


def _classes(y: np.ndarray) -> np.ndarray:
    """-1 and 1; amounts are parted at the median."""
    two = np.unique(y)
    signs = np.where(y > (two[0] if len(two) == 2 else np.median(y)), 1.0, -1.0)
    fewer = min((signs > 0).sum(), (signs < 0).sum())
    if fewer < 3:
        raise FiguraInputError(
            "attribute", f"only {fewer} latents on one side", "3 or more with, and without it"
        )
    return signs


def _aside(y: np.ndarray, share: float, classes: bool, rng: np.random.RandomState) -> np.ndarray:
    """Which latents to keep aside; of each class its share, one at least."""
    if not 0 < share < 1:
        raise FiguraInputError("held out", str(share), "a share between 0 and 1, such as 0.25")
    aside = np.zeros(len(y), dtype=bool)
    for group in [y > 0, y <= 0] if classes else [np.ones(len(y), dtype=bool)]:
        members = rng.permutation(np.flatnonzero(group))
        aside[members[: min(max(1, round(len(members) * share)), len(members) - 1)]] = True
    return aside


def _best_normal(x: np.ndarray, y: np.ndarray, method: str, rng: np.random.RandomState) -> np.ndarray:
    """The direction of the fit, its regularisation chosen on a quarter of the data."""
    aside = _aside(y, 0.25, method != "ridge", rng)
    scores = []
    for strength in STRENGTHS:
        place = x @ _normal(x[~aside], y[~aside], method, strength)
        scores.append(_score(place, y, aside, method != "ridge")[0])
    best = max(range(len(STRENGTHS)), key=lambda i: (scores[i], STRENGTHS[i]))
    return _normal(x, y, method, STRENGTHS[best])


def _normal(x: np.ndarray, y: np.ndarray, method: str, strength: float) -> np.ndarray:
    """Unit vector of the linear model.

    All coordinates keep their own scale, as in InterFaceGAN: the penalty then prefers those in which people
    differ much, which both generalises better and shows more in pictures than treating them alike.
    """
    fit = {"ridge": _ridge, "logistic": _logistic, "svm": _svm}[method]
    scale = max(x.std(), 1e-300)
    normal = fit((x - x.mean(axis=0)) / scale, y, strength * len(y))
    length = np.linalg.norm(normal)
    if not length > 0:
        raise FiguraInputError(
            "attribute", "numbers that no direction explains", "numbers that vary with the person"
        )
    return normal / length


def _ridge(x: np.ndarray, y: np.ndarray, strength: float) -> np.ndarray:
    return np.linalg.solve(x.T @ x + strength * np.eye(x.shape[1]), x.T @ (y - y.mean()))


def _logistic(x: np.ndarray, y: np.ndarray, strength: float) -> np.ndarray:
    """Minimise sum log(1 + exp(-y (x·n + b))) + strength/2 |n|²; both classes weigh the same."""
    from scipy.optimize import minimize
    from scipy.special import expit

    weight = np.where(y > 0, 0.5 / (y > 0).mean(), 0.5 / (y < 0).mean())

    def loss(parameters: np.ndarray) -> tuple[float, np.ndarray]:
        normal, offset = parameters[:-1], parameters[-1]
        margin = y * (x @ normal + offset)
        pull = -weight * y * expit(-margin)
        value = (weight * np.logaddexp(0, -margin)).sum() + strength / 2 * normal @ normal
        return value, np.append(x.T @ pull + strength * normal, pull.sum())

    start = np.zeros(x.shape[1] + 1)
    return minimize(loss, start, jac=True, method="L-BFGS-B", options={"maxiter": 500}).x[:-1]


def _svm(x: np.ndarray, y: np.ndarray, strength: float) -> np.ndarray:
    try:
        from sklearn.svm import LinearSVC
    except ImportError as error:
        raise FiguraMissingPackage("scikit-learn", "method svm", "pip install scikit-learn") from error
    model = LinearSVC(C=1 / strength, class_weight="balanced", dual=len(x) < x.shape[1], max_iter=5000)
    return model.fit(x, y).coef_[0]


def _without(normal: np.ndarray, others: Sequence[np.ndarray]) -> np.ndarray:
    """The part of ``normal`` that is orthogonal to all of ``others``, of length 1."""
    for other in others:
        if other.shape != normal.shape:
            raise FiguraInputError(
                "direction to keep out", f"{other.size} values", f"{normal.size}, as the latents",
                "It was made for another network.",
            )  # fmt: skip
    if others:
        basis, _, _ = np.linalg.svd(np.stack(others, axis=1), full_matrices=False)
        normal = normal - basis @ (basis.T @ normal)
    length = np.linalg.norm(normal)
    if length < 1e-3:
        raise FiguraInputError(
            "direction to keep out", "one along which the attribute itself lies", "another direction"
        )
    return normal / length


def _score(place: np.ndarray, y: np.ndarray, aside: np.ndarray, classes: bool) -> tuple[float, float]:
    """(measure, chance) on the latents kept aside, by a threshold or a line fitted to the others."""
    p, q = place[~aside], y[~aside]
    if classes:
        middle = (p[q > 0].mean() + p[q < 0].mean()) / 2
        right = np.where(place[aside] > middle, 1.0, -1.0) == y[aside]
        return float(right.mean()), float(max((y[aside] > 0).mean(), (y[aside] < 0).mean()))
    slope = ((p - p.mean()) * (q - q.mean())).sum() / max(((p - p.mean()) ** 2).sum(), 1e-300)
    predicted = q.mean() + slope * (place[aside] - p.mean())
    scatter = ((y[aside] - y[aside].mean()) ** 2).sum()
    wrong = ((y[aside] - predicted) ** 2).sum()
    return (float(1 - wrong / scatter) if scatter > 0 else math.nan), 0.0
