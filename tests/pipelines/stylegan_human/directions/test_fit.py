"""Finding directions: known ones are found again, scores are honest, conditioning holds."""

import math

import numpy as np
import pytest
import torch
from comfyui_figura.pipelines.common.errors import FiguraInputError, FiguraMissingPackage
from comfyui_figura.pipelines.stylegan_human.directions import fit as module
from comfyui_figura.pipelines.stylegan_human.directions.fit import fit_direction
from comfyui_figura.pipelines.stylegan_human.latents.edit import EVERY_ROW


@pytest.fixture(scope="module")
def people():
    """Latents with coordinates of very different scale, as w has them; amounts along a known direction."""
    rng = np.random.RandomState(0)
    scales = np.exp(rng.uniform(-2, 1, 24))
    w = rng.randn(600, 24) * scales
    truth = rng.randn(24) / scales
    truth /= np.linalg.norm(truth)
    amount = w @ truth
    return torch.from_numpy(w).float(), truth, amount / amount.std(), rng.randn(600)


def cosine(fit, truth) -> float:
    return float(fit.vector.numpy() @ truth)


@pytest.mark.parametrize("method", ["logistic", "svm"])
def test_yes_or_no(people, method):
    """Noise flips about 10 % of the labels: cosine and accuracy cannot be 1, but must be far above chance."""
    if method == "svm":
        pytest.importorskip("sklearn")
    w, truth, amount, noise = people
    fit = fit_direction(w, (amount + 0.3 * noise > 0).astype(float), method)
    assert cosine(fit, truth) > 0.9
    assert fit.measure == "accuracy" and 0.8 < fit.score <= 1 and 0.45 < fit.chance < 0.65
    assert fit.trained + fit.held_out == 600 and fit.held_out == pytest.approx(150, abs=2)
    assert fit.vector.norm().item() == pytest.approx(1, abs=1e-5)


def test_amounts(people):
    w, truth, amount, noise = people
    fit = fit_direction(w, amount + 0.3 * noise)
    assert fit.measure == "R2" and cosine(fit, truth) > 0.97
    assert fit.score == pytest.approx(1 / 1.09, abs=0.06)  # what the noise leaves to explain
    assert fit.spread == pytest.approx((w.numpy() @ fit.vector.numpy()).std(), rel=1e-4)


def test_the_scale_of_the_numbers_does_not_matter(people):
    w, _, amount, _ = people
    a, b = fit_direction(w, amount), fit_direction(w, 1000 * amount - 5)
    torch.testing.assert_close(a.vector, b.vector, rtol=0, atol=1e-5)
    assert cosine(fit_direction(w, -amount), a.vector.numpy()) < -0.999


def test_nothing_to_find_scores_like_a_guess(people):
    w, _, _, noise = people
    assert fit_direction(w, noise).score < 0.1
    fit = fit_direction(w, (noise > 0).astype(float))
    assert abs(fit.score - 0.5) < 0.15


def test_logistic_is_scikit_learns(people):
    """The same minimum: weights balanced, the same penalty. 1e-3: both stop a little before it."""
    linear_model = pytest.importorskip("sklearn.linear_model")
    w, _, amount, noise = people
    x, y = w.double().numpy(), np.where(amount + 0.3 * noise > 0.5, 1.0, -1.0)
    theirs = linear_model.LogisticRegression(C=1 / 5.0, class_weight="balanced", tol=1e-8, max_iter=5000)
    normal = theirs.fit(x, y).coef_[0]
    ours = module._logistic(x, y, 5.0)
    assert np.abs(ours - normal).max() < 1e-3 * np.abs(normal).max()


def test_ridge_is_scikit_learns(people):
    linear_model = pytest.importorskip("sklearn.linear_model")
    w, _, amount, noise = people
    x = w.double().numpy() - w.double().numpy().mean(axis=0)
    theirs = linear_model.Ridge(alpha=7.0).fit(x, amount + noise).coef_
    assert np.allclose(module._ridge(x, amount + noise, 7.0), theirs, rtol=1e-6)


def test_other_directions_are_kept_out(people):
    w, truth, amount, _ = people
    other = torch.from_numpy(truth).float() + 0.5 * torch.randn(
        24, generator=torch.Generator().manual_seed(1)
    )
    more = torch.randn(24, generator=torch.Generator().manual_seed(2))
    free, kept = fit_direction(w, amount), fit_direction(w, amount, without=[other, more])
    for vector in (other, more):
        assert abs(kept.vector @ vector) < 1e-5 * vector.norm()
    assert kept.vector.norm().item() == pytest.approx(1, abs=1e-5)
    assert kept.score < free.score, "the score is that of the direction given, not of the free one"


def test_extremes_are_taken_from_both_ends(people):
    w, truth, amount, _ = people
    fit = fit_direction(w, amount, "logistic", extremes=0.4)
    assert fit.trained + fit.held_out == 240 and fit.score > 0.95
    # Both ends part cleanly in many ways, and of equal scores the strongest penalty is taken: a wider cone.
    assert cosine(fit, truth) > 0.6


def test_unknown_values_are_left_out(people, caplog):
    w, truth, amount, _ = people
    values = np.where(np.arange(600) % 3 == 0, math.nan, amount)
    fit = fit_direction(w, values)
    assert fit.trained + fit.held_out == 400 and cosine(fit, truth) > 0.97
    assert "200 of 600" in caplog.text


def test_the_same_input_gives_the_same_direction(people):
    w, _, amount, _ = people
    assert torch.equal(fit_direction(w, amount).vector, fit_direction(w, amount).vector)


def test_as_an_edit_strength_one_is_a_usual_difference(people):
    w, _, amount, _ = people
    fit = fit_direction(w, amount)
    edit = fit.edit([EVERY_ROW], "mine")
    assert edit.rows[EVERY_ROW].norm().item() == pytest.approx(fit.spread, rel=1e-4)
    assert "R2" in fit.report() and "kept aside" in fit.report()


def test_svm_without_its_package_says_so(people, monkeypatch):
    import builtins

    real = builtins.__import__

    def without(name, *args, **kwargs):
        if name.startswith("sklearn"):
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(FiguraMissingPackage, match="scikit-learn"):
        fit_direction(people[0], (people[2] > 0).astype(float), "svm")


ONES, RANGE = [1.0] * 600, list(range(600))
BAD = {
    "too few": ((torch.randn(5, 24), RANGE[:5]), {}),
    "all alike": ((None, ONES), {}),
    "no numbers": ((None, [math.nan] * 600), {}),
    "numbers for others": ((None, RANGE[:500]), {}),
    "one of a kind": ((None, [1.0] + [0.0] * 599), {}),
    "unknown method": ((None, RANGE), {"method": "guess"}),
    "extremes of nothing": ((None, RANGE), {"extremes": 0.0}),
    "extremes NaN": ((None, RANGE), {"extremes": math.nan}),
    "all held out": ((None, RANGE), {"held_out": 1.0}),
    "another network's direction": ((None, RANGE), {"without": [torch.ones(512)]}),
    "latents with NaN": ((torch.full((600, 24), math.nan), RANGE), {}),
    "latents of ws shape": ((torch.zeros(600, 10, 24), RANGE), {}),
}


@pytest.mark.parametrize("case", BAD)
def test_refused(people, case):
    (w, values), options = BAD[case]
    with pytest.raises(FiguraInputError):
        fit_direction(people[0] if w is None else w, values, **options)


def test_a_direction_that_leaves_nothing_is_refused(people):
    w, _, amount, _ = people
    found = fit_direction(w, amount)
    with pytest.raises(FiguraInputError, match="keep out"):
        fit_direction(w, amount, without=[found.vector])
