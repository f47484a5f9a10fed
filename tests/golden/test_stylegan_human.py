"""Generators and discriminators against what the reference implementation computed (fp32, CPU).

Tolerances are the fixtures' own: the reference differs from itself by up to 4e-6 between batch sizes and
kernels, an independent port of v1 by 3.5e-5.
"""

import json
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from comfyui_figura.pipelines.common.errors import FiguraWeightsError
from comfyui_figura.pipelines.common.images import to_uint8
from comfyui_figura.pipelines.stylegan_human import checkpoint
from comfyui_figura.pipelines.stylegan_human.configs import V1Config, V2Config, V3Config
from comfyui_figura.pipelines.stylegan_human.generate import sample_ws, synthesize
from comfyui_figura.pipelines.stylegan_human.latents.latents import lerp, mix_styles, seeds_to_z
from comfyui_figura.pipelines.stylegan_human.loading import GeneratorFile, assemble, load_generator
from comfyui_figura.pipelines.stylegan_human.networks.discriminator import (
    Discriminator,
    DiscriminatorConfig,
    DiscriminatorV1,
)
from comfyui_figura.pipelines.stylegan_human.networks.filters import plan_layers
from safetensors.torch import load_file

DATA = Path(os.environ.get("FIGURA_GOLDEN") or Path(__file__).parent / "data") / "stylegan_human"
V2 = ["sg2_64x32", "sg2_128x64_clamp", "sg2_32x32_square"]
V3 = ["sg3t_64x32", "sg3r_128x64"]
V1 = ["v1_64x32"]
PICKLES = ["sg2_64x32_network", "sg2_64x32_pti", "sg3t_64x32_network", "v1_64x32_network"]

pytestmark = pytest.mark.skipif(not DATA.is_dir(), reason="golden fixtures not found")


class Fixture:
    """One network's settings, weights and recorded tensors, and our generator with those weights."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.settings = json.loads((DATA / f"{name}.json").read_text())
        self.io = load_file(DATA / f"{name}_io.safetensors")
        self.weights = load_file(DATA / f"{name}_weights.safetensors")
        self.generator = assemble(GeneratorFile(*self._generator()))
        self.image_atol = 3e-4 if self.settings["kind"] == "sg1" else 1e-4

    def part(self, prefix: str) -> dict[str, torch.Tensor]:
        return {key[2:]: value for key, value in self.weights.items() if key.startswith(prefix)}

    def _generator(self):
        settings, state = self.settings, self.part("G.")
        if settings["kind"] == "sg1":
            arrays = {key: value.numpy() for key, value in state.items()}
            config = checkpoint.config_from_variables(settings["static_kwargs"], arrays)
            return config, checkpoint.state_from_variables(arrays, config)
        kwargs = {
            "z_dim": settings["z_dim"], "w_dim": settings["w_dim"], "c_dim": 0, "img_channels": 3,
            "img_resolution": settings["res"], "square": settings["square"],
            "mapping_kwargs": {"num_layers": settings["map_layers"]},
        }  # fmt: skip
        if settings["kind"] == "sg2":
            names = ("channel_base", "channel_max", "num_fp16_res", "conv_clamp")
            kwargs["synthesis_kwargs"] = {name: settings[name] for name in names}
        else:
            kwargs |= settings["synthesis"]
        shapes = {key: tuple(value.shape) for key, value in state.items()}
        return checkpoint.config_from_kwargs(kwargs, shapes), state

    def check_image(self, image: torch.Tensor, key: str) -> None:
        difference = (image - self.io[key]).abs()
        assert difference.max() <= self.image_atol, f"{key}: {difference.max():.2e}"
        assert difference.mean() <= 1e-5 if self.image_atol == 1e-4 else True


@pytest.fixture(scope="module", params=V2 + V3 + V1)
def fixture(request) -> Fixture:
    with torch.no_grad():
        return Fixture(request.param)


@pytest.fixture(scope="module", params=V2 + V3)
def modern(request) -> Fixture:
    with torch.no_grad():
        return Fixture(request.param)


@pytest.fixture(autouse=True)
def without_gradients():
    with torch.no_grad():
        yield


def assert_ws(ws: torch.Tensor, expected: torch.Tensor) -> None:
    torch.testing.assert_close(ws, expected, rtol=0, atol=1e-5)


def test_z_of_seeds(fixture):
    z = seeds_to_z(fixture.settings["seeds"], fixture.generator.config.z_dim)
    assert torch.equal(z.float(), fixture.io["z"])


def test_config_has_the_fixtures_family_and_rows(fixture):
    families = {"sg1": V1Config, "sg2": V2Config, "sg3": V3Config}
    config = fixture.generator.config
    assert type(config) is families[fixture.settings["kind"]]
    assert config.num_ws == fixture.settings["num_ws"]


@pytest.mark.parametrize("psi", ["1.0", "0.7"])
def test_ws(modern, psi):
    assert_ws(sample_ws(modern.generator, modern.settings["seeds"], float(psi)), modern.io[f"ws_psi{psi}"])


def test_ws_with_cutoff(modern):
    assert_ws(sample_ws(modern.generator, modern.settings["seeds"], 0.7, 4), modern.io["ws_psi0.7_cutoff4"])


@pytest.mark.parametrize("psi", ["1.0", "0.7"])
def test_images(fixture, psi):
    """psi 0.7 of v1 truncates its first 8 rows, the file's own cutoff."""
    ws = sample_ws(fixture.generator, fixture.settings["seeds"], float(psi))
    fixture.check_image(synthesize(fixture.generator, ws), f"img_psi{psi}_const")


def test_images_in_one_batch(fixture):
    """The shared convolution that batches take gives what single pictures give."""
    ws = sample_ws(fixture.generator, fixture.settings["seeds"])
    fixture.check_image(synthesize(fixture.generator, ws, batch_size=len(ws)), "img_psi1.0_const")


def test_images_as_8_bit(fixture):
    """At most one level apart, in at most 0.1 % of the values."""
    ws = sample_ws(fixture.generator, fixture.settings["seeds"], 0.7)
    ours = to_uint8(synthesize(fixture.generator, ws)).astype(int)
    difference = np.abs(ours - fixture.io["img_psi0.7_const_uint8"].numpy())
    assert difference.max() <= 1
    assert (difference > 0).mean() <= 1e-3


def test_image_without_noise(modern):
    ws = sample_ws(modern.generator, modern.settings["seeds"][:1])
    modern.check_image(synthesize(modern.generator, ws, "none"), "img_psi1.0_none")


def test_style_mixing(modern):
    ws = sample_ws(modern.generator, modern.settings["seeds"][:2], 0.8)
    mixed = mix_styles(ws[:1], ws[1:], modern.settings["mix_styles"])
    assert_ws(mixed, modern.io["ws_mix_psi0.8"])
    modern.check_image(synthesize(modern.generator, mixed), "img_mix_psi0.8_const")


@pytest.mark.parametrize("name", [name for name in V2 + V3])
def test_interpolation(name):
    fixture = Fixture(name)
    if "interp_alpha" not in fixture.io:
        pytest.skip("no interpolation in this set")
    z = seeds_to_z(fixture.settings["seeds"][:2], fixture.generator.config.z_dim).float()
    frames = torch.cat([lerp(z[1:], z[:1], alpha.item()) for alpha in fixture.io["interp_alpha"]])
    ws = fixture.generator.mapping(frames, None, 0.8)
    fixture.check_image(synthesize(fixture.generator, ws), "img_interp_psi0.8_const")


@pytest.mark.parametrize("name", V3)
def test_layer_table(name):
    """Names, sizes (width, height), rates, taps and paddings of every v3 layer."""
    fixture = Fixture(name)
    for plan, row in zip(plan_layers(fixture.generator.config), fixture.settings["layers"], strict=True):
        assert plan.name == row["name"]
        assert [*plan.in_size[::-1]] == row["in_size_wh"] and [*plan.out_size[::-1]] == row["out_size_wh"]
        assert (plan.in_channels, plan.out_channels) == (row["in_ch"], row["out_ch"])
        assert (plan.up, plan.down, plan.in_rate, plan.out_rate) == (
            row["up"], row["down"], row["in_sr"], row["out_sr"],
        )  # fmt: skip
        assert (plan.up_taps, plan.down_taps) == (row["up_taps"], row["down_taps"])
        assert [*plan.padding(1), *plan.padding(0)] == row["padding"]
        assert plan.use_fp16 == row["use_fp16"]


@pytest.mark.parametrize("name", V3)
def test_designed_filters_match_stored_ones(name):
    """The filters we design for new networks are the ones the reference designed (float64 inside, so
    1e-6).
    """
    fixture = Fixture(name)
    fresh = type(fixture.generator)(fixture.generator.config).state_dict()
    for key, value in fixture.part("G.").items():
        if key.endswith("_filter"):
            torch.testing.assert_close(fresh[key], value, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", V3)
def test_fourier_input(name):
    fixture = Fixture(name)
    if "input_features_psi1.0" not in fixture.io:
        pytest.skip("no input features in this set")
    synthesis = fixture.generator.synthesis
    style = synthesis.styles(fixture.io["ws_psi1.0"][:1])[0]
    torch.testing.assert_close(synthesis.input(style), fixture.io["input_features_psi1.0"], rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", V3)
def test_user_transform(name):
    fixture = Fixture(name)
    fixture.generator.synthesis.input.transform.copy_(fixture.io["user_transform"])
    ws = sample_ws(fixture.generator, fixture.settings["seeds"][:1])
    fixture.check_image(synthesize(fixture.generator, ws), "img_user_transform_psi1.0")


@pytest.mark.parametrize("name", V1)
def test_v1_mapping_and_cutoffs(name):
    fixture = Fixture(name)
    seeds = fixture.settings["seeds"]
    assert_ws(sample_ws(fixture.generator, seeds), fixture.io["w"])
    ws = sample_ws(fixture.generator, seeds, 0.7, 18)
    fixture.check_image(synthesize(fixture.generator, ws), "img_psi0.7_cutoff18_const")


@pytest.mark.parametrize("name", V1)
def test_v1_fused_upsampling(name):
    """Forced on here; from 128 pixels of width on it is what the network was trained with."""
    fixture = Fixture(name)
    for i in range(1, fixture.generator.synthesis.num_ws):
        fixture.generator.synthesis.layer(i).flip = True
    ws = sample_ws(fixture.generator, fixture.settings["seeds"], 0.7)
    fixture.check_image(synthesize(fixture.generator, ws), "img_psi0.7_const_fused_scale_true")


def _discriminator(fixture: Fixture):
    settings, state = fixture.settings, fixture.part("D.")
    if settings["kind"] == "sg1":
        config = DiscriminatorConfig(
            settings["resolution"], channel_base=settings["d_fmap_base"], channel_max=settings["d_fmap_max"]
        )
        arrays = {key: value.numpy() for key, value in state.items()}
        network = DiscriminatorV1(config)
        network.load_state_dict(checkpoint.discriminator_v1_state(arrays, settings["resolution"]))
        return network
    network = Discriminator(
        DiscriminatorConfig(
            settings["res"],
            settings["square"],
            channel_base=settings["d_channel_base"],
            channel_max=settings["d_channel_max"],
            conv_clamp=settings["conv_clamp"],
            mbstd_group_size=settings["mbstd"],
        )  # fmt: skip
    )
    network.load_state_dict(state)
    return network


@pytest.mark.parametrize("name", V2 + V1)
def test_discriminator(name):
    """Logits of the whole batch and of its first two differ through the minibatch deviation; both must
    fit.
    """
    fixture = Fixture(name)
    network = _discriminator(fixture)
    keys = [key for key in fixture.io if key.startswith("d_logits_b")]
    assert keys
    for key in keys:
        logits = network(fixture.io["d_img"][: int(key.removeprefix("d_logits_b"))])
        torch.testing.assert_close(logits, fixture.io[key], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("pickle", PICKLES)
def test_pickles_load_bit_equal(pickle):
    generator = load_generator(DATA / f"{pickle}.pkl")
    expected = Fixture(pickle.rsplit("_", 1)[0]).generator.state_dict()
    state = generator.state_dict()
    assert state.keys() == expected.keys()
    assert all(torch.equal(state[key], expected[key]) for key in expected)


@pytest.mark.parametrize("name", ["malicious_reduce", "malicious_storage_blob", "malicious_module_src"])
def test_hostile_pickles_are_refused_and_run_nothing(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(FiguraWeightsError, match=name):
        load_generator(DATA / f"{name}.pkl")
    assert not list(tmp_path.iterdir())
