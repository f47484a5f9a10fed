"""The ruler: which pictures each metric compares, and precision and recall on sets worked out by hand."""

import numpy as np
import pytest
import torch
from comfyui_figura.pipelines.common import feature_distances
from comfyui_figura.pipelines.common.errors import FiguraInputError
from comfyui_figura.pipelines.common.feature_distances import precision_recall
from comfyui_figura.pipelines.demo.stylegan_human import random_generator
from comfyui_figura.pipelines.stylegan_human.configs import tiny
from comfyui_figura.pipelines.stylegan_human.training import metric_names, metrics
from comfyui_figura.pipelines.stylegan_human.training.aligned_images import AlignedImages
from comfyui_figura.pipelines.stylegan_human.training.metric_names import Metric
from comfyui_figura.pipelines.stylegan_human.training.metrics import DistributionRuler


class Corner:
    """A stand-in for a feature network: the colours of one corner and of the middle. Counts pictures."""

    seen = 0

    def features(self, pixels):
        self.seen += len(pixels)
        return torch.cat([pixels[:, :, 0, 0], pixels[:, :, 16, 8]], dim=1)


@pytest.fixture
def small_published(monkeypatch):
    """The published metrics as if they generated 12 pictures, against 15 real ones at most."""
    few = {name: Metric(name, kind, 12, 15, name.endswith("50k") or name.endswith("k3"))
           for name, kind in (("fid50k", "fid"), ("kid50k", "kid"), ("pr50k3", "pr"))}  # fmt: skip
    monkeypatch.setattr(
        metrics, "metrics_named", lambda names: [(metric_names.OFFERED | few)[n] for n in names]
    )
    monkeypatch.setattr(metrics, "BATCH", 5)


def test_each_metric_takes_the_pictures_that_its_name_says(pictures, small_published):
    """12 pictures, mirrored; fid takes the 12, fid50k the first 15 of 24 and 12 generated of 20."""
    real, generator = AlignedImages(pictures, mirror=True), random_generator(tiny(2, 32))
    network = Corner()
    together = DistributionRuler(network, real, ("fid", "fid50k", "kid50k", "pr50k3", "pr"), 20)
    figures = together(generator)
    assert list(figures) == [
        "fid", "fid50k", "kid50k", "pr50k3_precision", "pr50k3_recall", "precision", "recall",
    ]  # fmt: skip
    assert network.seen == 15 + 20, "each picture is looked at once, whatever the number of metrics"
    pixels = real.pixels(list(range(15))).float() / 127.5 - 1
    assert np.array_equal(together.real, Corner().features(pixels).numpy())
    assert not np.array_equal(together.real[12:], together.real[:3]), "the mirrored pictures are others"
    plain = DistributionRuler(Corner(), AlignedImages(pictures), ("fid",), 20)(generator)
    assert plain["fid"] == figures["fid"]
    assert figures["fid50k"] != figures["fid"]
    assert together(generator) == figures and network.seen == 15 + 2 * 20, "the real ones are looked at once"


def test_precision_and_recall_of_sets_on_a_line():
    """Real at 0..9; of the generated 4 are among them and 4 far away: precision 1/2. Balls of those at 0 and
    3 have a radius of 3, of those at 1 and 2 one of 2: together they reach 6, recall 7/10.
    """
    real = torch.arange(10.0)[:, None]
    generated = torch.tensor([0.0, 1, 2, 3, 100, 200, 400, 800])[:, None]
    assert precision_recall(real, generated)[0] == 0.5
    assert precision_recall(real, generated[:4])[1] == pytest.approx(0.7)
    assert precision_recall(real, real + 1000) == (0, 0)
    assert precision_recall(real, real) == (1, 1)


def test_pieces_of_the_distances_change_nothing(monkeypatch):
    source = torch.Generator().manual_seed(0)
    real, generated = (torch.randn(n, 12, generator=source) * s for n, s in ((90, 1.0), (70, 1.3)))
    whole = precision_recall(real, generated)
    monkeypatch.setattr(feature_distances, "DISTANCES", 700)
    assert precision_recall(real, generated) == whole
    assert 0.1 < whole[0] < whole[1] < 1, "too wide a spread costs more precision than recall"


def test_too_few_pictures(pictures):
    with pytest.raises(FiguraInputError, match="2 or more"):
        DistributionRuler(Corner(), AlignedImages(pictures), ("fid",), 1)
    with pytest.raises(FiguraInputError, match="at least one"):
        DistributionRuler(Corner(), AlignedImages(pictures), ())
