"""StyleGAN's augmentation, its control, and FID and KID against what the published code computed.

Tolerances are the fixtures' own README: augmentation 1e-4 absolute, strength 1e-6, FID 1e-6 relative, KID
1e-4.
"""

import json

import numpy as np
import pytest
import torch
from comfyui_figura.pipelines.common.feature_distances import (
    Moments,
    draw_subsets,
    frechet_distance,
    kernel_distances,
)
from comfyui_figura.pipelines.stylegan_human.training.augmentation.chance import Chance
from comfyui_figura.pipelines.stylegan_human.training.augmentation.control import AugmentControl
from comfyui_figura.pipelines.stylegan_human.training.augmentation.pipe import AugmentPipe
from comfyui_figura.pipelines.stylegan_human.training.phases import plan_phases
from stylegan_training_data import DATA, fixture, part

pytestmark = pytest.mark.skipif(not DATA.is_dir(), reason="golden fixtures not found")


def ada_cases() -> list[str]:
    path = DATA / "ada_pipe.json"
    return list(json.loads(path.read_text())["cases"]) if path.is_file() else []


@pytest.mark.parametrize("case", ada_cases())
def test_augmentation_at_a_percentile(case, monkeypatch):
    settings, tensors = fixture("ada_pipe")
    steps = tuple(name for name, weight in settings["cases"][case]["kwargs"].items() if weight)
    field = tensors.get(f"{case}.noise_field")
    if field is not None:
        monkeypatch.setattr(Chance, "field", lambda self, *shape: field.reshape(self.count, *shape))
    pixels = AugmentPipe(steps, p=1.0)(tensors["img"], percentile=float(case.split(".p")[1]))
    torch.testing.assert_close(pixels, tensors[case], rtol=0, atol=1e-4)


def test_augmentation_drawn():
    """The published order of draws is kept, so that a seed gives the published picture."""
    _, tensors = fixture("ada_pipe")
    drawn = [key for key in tensors if ".random_seed" in key]
    assert drawn
    for key in drawn:
        group, seed, p = key.split(".", 2)
        pipe = AugmentPipe(group, p=float(p.removeprefix("p")))
        pipe.generator = torch.Generator().manual_seed(int(seed.removeprefix("random_seed")))
        torch.testing.assert_close(pipe(tensors[f"{group}.random_in"]), tensors[key], rtol=0, atol=1e-4)


def test_augmentation_without_probability_only_resamples():
    _, tensors = fixture("ada_pipe")
    pixels = AugmentPipe("bgc", p=0.0)(tensors["img"])
    torch.testing.assert_close(pixels, tensors["bgc.p_is_0"], rtol=0, atol=1e-4)


def test_augmentation_filters():
    _, tensors = fixture("ada_pipe")
    pipe = AugmentPipe("bgcfnc")
    torch.testing.assert_close(pipe.low, tensors["Hz_geom"], rtol=0, atol=1e-7)
    torch.testing.assert_close(pipe.bank, tensors["Hz_fbank"], rtol=0, atol=1e-7)


def test_strength_of_augmentation():
    settings, _ = fixture("ada_p")
    control = AugmentControl(settings["ada_target"], settings["ada_kimg"], settings["ada_interval"])
    ps = []
    for update, reports in enumerate(settings["logits_real"]):
        for logits in reports:
            control.report(torch.tensor(logits))
        if control.due(update + 1):
            control.adjust(settings["batch"])
        ps.append(control.p)
    assert ps == pytest.approx(settings["p_after_each_iteration"], abs=1e-6)


def test_strength_of_augmentation_in_the_loop():
    """The discriminator's real phase reports once per update, R1 once more at updates 0, 16, …"""
    settings, _ = fixture("ada_loop")
    control = AugmentControl(settings["target"], settings["ada_kimg"], settings["ada_interval"])
    signs, ps = list(settings["signs_real_calls"]), []
    for update in range(len(settings["p_after_each_iteration"])):
        for phase in plan_phases(4, 16):
            if phase.network == "D" and phase.due(update):
                control.report(torch.tensor(signs.pop(0)))
        if control.due(update + 1):
            control.adjust(settings["batch"])
        ps.append(control.p)
    assert not signs
    assert ps == pytest.approx(settings["p_after_each_iteration"], abs=1e-6)


def metric_cases() -> list[str]:
    path = DATA / "fid_kid.json"
    return list(json.loads(path.read_text())["cases"]) if path.is_file() else []


@pytest.mark.parametrize("case", metric_cases())
def test_distances_between_features(case):
    settings, tensors = fixture("fid_kid")
    wanted, arrays = settings["cases"][case], {k: v.numpy() for k, v in part(tensors, f"{case}.").items()}
    real, generated = Moments.of(arrays["real"]), Moments.of(arrays["gen"])
    for name, moments in (("real", real), ("gen", generated)):
        np.testing.assert_allclose(moments.mean, arrays[f"mu_{name}"], rtol=1e-6, atol=1e-9)
        np.testing.assert_allclose(moments.covariance, arrays[f"cov_{name}"], rtol=1e-5, atol=1e-8)
    # A singular covariance has no one square root: other libraries' differ in the seventh digit.
    assert frechet_distance(real, generated) == pytest.approx(wanted["fid"], rel=1e-6, abs=1e-8)
    given = list(zip(arrays["kid_gen_idx"], arrays["kid_real_idx"], strict=True))
    kid = kernel_distances(arrays["real"], arrays["gen"], given).mean()
    assert kid == pytest.approx(wanted["kid_10_subsets_given_indices"], rel=1e-4)
    count = min(len(arrays["real"]), len(arrays["gen"]))
    first = [(np.arange(count), np.arange(count))]
    kid = kernel_distances(arrays["real"], arrays["gen"], first).mean()
    assert kid == pytest.approx(wanted["kid_first_min_n_rows_one_subset"], rel=1e-4)
    assert len(draw_subsets(len(arrays["gen"]), len(arrays["real"]), np.random.RandomState(0))[0][0]) == count
