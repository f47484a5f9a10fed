"""FID and KID as HumanSD's script computes them, from the same features."""

import json
import os
from pathlib import Path

import pytest
from comfyui_figura.pipelines.common.feature_distances import Moments, frechet_distance, kernel_distances
from safetensors.numpy import load_file

GOLDEN = Path(os.environ.get("FIGURA_GOLDEN") or Path(__file__).parent / "data") / "humansd_training"
pytestmark = pytest.mark.skipif(
    not (GOLDEN / "feature_metrics.json").is_file(), reason="golden fixtures not found"
)


@pytest.fixture(scope="module")
def recorded():
    return json.loads((GOLDEN / "feature_metrics.json").read_text()), load_file(
        GOLDEN / "feature_metrics.safetensors"
    )


def test_fid(recorded):
    about, features = recorded
    real, fake = (Moments.of(features[f"feat.{name}"], unbiased=True) for name in ("real", "fake"))
    assert frechet_distance(real, fake) == pytest.approx(about["fid"], rel=1e-4)
    assert frechet_distance(real, fake) == pytest.approx(about["fid_own_float64"], rel=1e-6)


@pytest.mark.parametrize(("indices", "name"), [("one", "kid_one_subset_60"), ("ten", "kid_ten_subsets_25")])
def test_kid(recorded, indices, name):
    about, features = recorded
    drawn = [features[f"kid.{indices}.{kind}_index"] for kind in ("fake", "real")]
    rows = [array if array.ndim == 2 else array[None] for array in drawn]
    found = kernel_distances(features["feat.real"], features["feat.fake"], list(zip(*rows, strict=True)))
    mean, deviation = about[name]
    assert found.mean() == pytest.approx(mean, rel=1e-4)
    assert found.std() == pytest.approx(deviation, rel=1e-4, abs=1e-6)
