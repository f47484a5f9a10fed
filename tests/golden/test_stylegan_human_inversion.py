"""Projection and pivotal tuning against what the released inversion code computed, step by step.

Tolerances are those the fixtures' page calls fair in float32 on a CPU: loss curves 1e-3 relative, w 1e-3,
weights 2e-4.
"""

import json
import os
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from comfyui_figura.pipelines.common.perceptual import Perceptual
from comfyui_figura.pipelines.stylegan_human import checkpoint
from comfyui_figura.pipelines.stylegan_human.inversion.project import Projector, learning_rate, w_statistics
from comfyui_figura.pipelines.stylegan_human.inversion.run import run
from comfyui_figura.pipelines.stylegan_human.inversion.settings import ProjectSettings, TuneSettings
from comfyui_figura.pipelines.stylegan_human.inversion.tune import Tuner
from comfyui_figura.pipelines.stylegan_human.loading import GeneratorFile, assemble
from safetensors.torch import load_file

DATA = Path(os.environ.get("FIGURA_GOLDEN") or Path(__file__).parent / "data") / "stylegan_human_training"

pytestmark = pytest.mark.skipif(not (DATA / "pti.json").is_file(), reason="golden fixtures not found")


class FixtureFeatures(Perceptual):
    """The two-layer network that stood in for VGG and LPIPS when the fixtures were made."""

    title = "fixture"

    def __init__(self, io):
        super().__init__()
        self.layers = [(io[f"feat.w{i}"], io[f"feat.b{i}"]) for i in (1, 2)]

    def features(self, pixels):
        x, vectors = pixels, []
        for weight, bias in self.layers:
            x = F.conv2d(x, weight, bias, stride=2, padding=1).relu()
            unit = x / (x.square().sum(1, keepdim=True) + 1e-8).sqrt()
            vectors.append(unit.flatten(1) / (x.shape[2] * x.shape[3]) ** 0.5)
        return torch.cat(vectors, 1)


def build(io, prefix, sizes):
    state = {key.removeprefix(prefix): value for key, value in io.items() if key.startswith(prefix)}
    kwargs = {
        "z_dim": sizes["z_dim"], "w_dim": sizes["w_dim"], "c_dim": 0, "img_channels": 3,
        "img_resolution": sizes["res"], "square": sizes.get("square", False),
        "mapping_kwargs": {"num_layers": sizes["map_layers"]},
        "synthesis_kwargs": {
            "channel_base": sizes["channel_base"], "channel_max": sizes["channel_max"],
            "conv_clamp": sizes.get("conv_clamp", 256),
        },
    }  # fmt: skip
    config = checkpoint.config_from_kwargs(kwargs, {key: tuple(value.shape) for key, value in state.items()})
    return assemble(GeneratorFile(config, _filled(config, state)))


def _filled(config, state):
    """Noise maps that a fixture leaves out because the projection draws its own."""
    from comfyui_figura.pipelines.stylegan_human.networks.generator import build as make

    own = {key: value for key, value in make(config).state_dict().items() if key.endswith("noise_const")}
    return own | state


@pytest.fixture(scope="module")
def fixture():
    settings, io = json.loads((DATA / "pti.json").read_text()), load_file(DATA / "pti.safetensors")
    return settings, io, build(io, "G.", settings["G"]), FixtureFeatures(io)


def curve(work):
    return torch.tensor([row[0] for row in work.curve], dtype=torch.float64)


def test_projection(fixture):
    settings, io, generator, measure = fixture
    told = settings["proj"]
    chosen = ProjectSettings.published(steps=told["steps"], samples=told["w_avg_samples"])
    work = Projector(generator, io["target"], measure, chosen)
    assert torch.allclose(work.w.detach()[0], io["proj.w_start"][0], atol=1e-5)
    assert work.spread == pytest.approx(told["w_std"], rel=1e-5)
    with torch.no_grad():
        for noise, name in zip(work.maps, told["noise_order"], strict=True):
            noise.copy_(io[f"proj.noise_init.{name}"])
    work.draw = lambda step: io["proj.w_noise"][step]
    trace = []
    run(work, lambda done, total, preview=None: trace.append(work.w.detach().clone()))
    assert torch.allclose(curve(work), io["proj.loss"].double(), rtol=1e-3)
    assert (torch.stack(trace) - io["proj.w_trace"]).abs().max() < 1e-3
    rates = [learning_rate(step / told["steps"], chosen.learning_rate) for step in range(told["steps"])]
    assert rates == pytest.approx(io["proj.lr"].tolist(), rel=1e-5)
    for noise, name in zip(work.maps, told["noise_order"], strict=True):
        expected = io[f"proj.noise_final.{name}"]
        assert (noise - expected).abs().max() < 5e-3, name  # normalised after every step
    rows = generator.config.num_ws
    assert torch.allclose(work.ws(), io["proj.w_final"][:, :rows], atol=1e-3)


def test_projection_at_full_height_compares_at_256(fixture):
    settings, io, _, measure = fixture
    told = settings["projbig"]
    generator = build(io, "Gbig.", told["G"])
    target = F.interpolate(
        io["projbig.small_target"], generator.image_size, mode="bilinear", align_corners=False
    ).clamp(-1, 1)
    chosen = ProjectSettings.published(steps=told["steps"], samples=told["w_avg_samples"])
    work = Projector(generator, target, measure, chosen)
    torch.manual_seed(507)
    with torch.no_grad():
        for noise in work.maps:
            noise.copy_(torch.randn_like(noise))
    work.draw = lambda step: io["projbig.w_noise"][step]
    trace = []
    run(work, lambda done, total, preview=None: trace.append(work.w.detach().clone()))
    assert torch.allclose(curve(work), io["projbig.loss"].double(), rtol=1e-3)
    assert (torch.stack(trace) - io["projbig.w_trace"]).abs().max() < 1e-3


def tuner(fixture, targets, ws, **changes):
    _, _, generator, measure = fixture
    return Tuner(generator, targets, ws, measure, TuneSettings(**changes))


def test_tuning(fixture):
    settings, io, generator, _ = fixture
    told = settings["tune"]
    before = {key: value.clone() for key, value in generator.state_dict().items()}
    work = tuner(
        fixture, io["target"], io["tune.w_pivot"],
        steps=told["steps"], learning_rate=told["lr"], threshold=None,
    )  # fmt: skip
    run(work)
    assert torch.allclose(torch.tensor(work.curve), torch.tensor(told["curve"]), rtol=1e-3)
    after = work.result().state_dict()
    named = [key for key in io if key.startswith("tune.after.")]
    assert named
    for key in named:
        assert (after[key.removeprefix("tune.after.")] - io[key]).abs().max() < 2e-4, key
    for key in told["unchanged"]:
        assert torch.equal(after[key], before[key])
    assert all(torch.equal(generator.state_dict()[key], before[key]) for key in before), "tuned in place"


def test_early_stop_evaluates_but_does_not_apply(fixture):
    settings, io, _, _ = fixture
    told = settings["tune_stop"]
    work = tuner(
        fixture, io["target"], io["tune.w_pivot"], steps=100, learning_rate=settings["tune"]["lr"],
        threshold=told["threshold"], perceptual_weight=told["lpips_lambda"], pixel_weight=told["l2_lambda"],
    )  # fmt: skip
    run(work)
    assert len(work.curve) == told["evaluations"] and work.done == told["updates"]
    assert torch.allclose(torch.tensor(work.curve), torch.tensor(told["curve"]), rtol=1e-3)


def test_several_pictures_one_generator(fixture):
    settings, io, _, _ = fixture
    told = settings["multi"]
    work = tuner(
        fixture,
        torch.cat([io["target"], io["multi.target2"]]),
        torch.cat([io["tune.w_pivot"], io["multi.w_pivot2"]]),
        steps=told["steps"], learning_rate=settings["tune"]["lr"], threshold=1e6,
    )  # fmt: skip
    run(work)
    assert len(work.curve) == told["updates"], "the threshold counts for one picture only"
    assert torch.allclose(torch.tensor(work.curve), torch.tensor(told["curve"]), rtol=1e-3)


def test_statistics_do_not_depend_on_truncation(fixture):
    settings, _, generator, _ = fixture
    average, spread = w_statistics(generator, settings["proj"]["w_avg_samples"])
    assert spread == pytest.approx(settings["proj"]["w_std"], rel=1e-5)
    assert average.shape == (settings["G"]["w_dim"],)
