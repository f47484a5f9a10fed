"""Edits against what the reference's editing code computed. Tolerances as in test_stylegan_human.py."""

import json
import os
from pathlib import Path

import pytest
import torch
from comfyui_figura.pipelines.stylegan_human import checkpoint
from comfyui_figura.pipelines.stylegan_human.generate import sample_ws
from comfyui_figura.pipelines.stylegan_human.latents.edit import (
    direction_in_styles,
    direction_in_w,
    edited_styles,
    edited_ws,
    factorize,
    style_channels,
    style_layers,
    sweep,
)
from comfyui_figura.pipelines.stylegan_human.loading import GeneratorFile, assemble
from comfyui_figura.pipelines.stylegan_human.networks.mapping import truncate
from comfyui_figura.pipelines.stylegan_human.networks.noise import noise_source
from comfyui_figura.pipelines.stylegan_human.networks.synthesis import Context
from safetensors.torch import load_file

DATA = Path(os.environ.get("FIGURA_GOLDEN") or Path(__file__).parent / "data") / "stylegan_human"
V2 = ["sg2_64x32", "sg2_128x64_clamp", "sg2_32x32_square"]
PSI, VIDEO_STEPS = 0.8, 90

pytestmark = pytest.mark.skipif(not DATA.is_dir(), reason="golden fixtures not found")


@pytest.fixture(autouse=True)
def without_gradients():
    with torch.no_grad():
        yield


def load(name):
    settings = json.loads((DATA / f"{name}.json").read_text())
    state = {
        key[2:]: value
        for key, value in load_file(DATA / f"{name}_weights.safetensors").items()
        if key.startswith("G.")
    }
    kwargs = {
        "z_dim": settings["z_dim"], "w_dim": settings["w_dim"], "c_dim": 0, "img_channels": 3,
        "img_resolution": settings["res"], "square": settings["square"],
        "mapping_kwargs": {"num_layers": settings["map_layers"]},
        "synthesis_kwargs": {key: settings[key] for key in ("channel_base", "channel_max", "conv_clamp")},
    }  # fmt: skip
    config = checkpoint.config_from_kwargs(kwargs, {key: tuple(value.shape) for key, value in state.items()})
    return settings, load_file(DATA / f"{name}_io.safetensors"), assemble(GeneratorFile(config, state))


@pytest.fixture(scope="module")
def edited():
    with torch.no_grad():
        settings, io, generator = load("sg2_64x32")
        return settings, io, generator, sample_ws(generator, settings["seeds"][:1], PSI)


def render(generator, ws, stack):
    context = Context(edited_styles(generator.synthesis, ws, stack), noise_source("const"))
    return generator.synthesis.render(context)


def assert_image(ours, expected):
    torch.testing.assert_close(ours, expected, rtol=0, atol=1e-4)


def shift(generator, io):
    count = len(style_layers(generator.synthesis))
    return direction_in_styles([io[f"edit_style_vect_mean_{i}"] for i in range(count)])


def sefa(io, settings):
    return direction_in_w(io["edit_sefa_vect"], settings["edit"]["sefa_layers"], gain=2)


def test_interfacegan(edited):
    settings, io, generator, ws = edited
    image = render(generator, ws, [(shift(generator, io), settings["edit"]["ifg_strength"])])
    assert_image(image, io["edit_ifg_image"])


def test_interfacegan_on_an_inverted_latent(edited):
    settings, io, generator, _ = edited
    ws = truncate(io["edit_real_w"], generator.mapping.w_avg, PSI)
    image = render(generator, ws, [(shift(generator, io), settings["edit"]["ifg_strength"])])
    assert_image(image, io["edit_ifg_real_image"])


def test_style_space(edited):
    settings, io, generator, ws = edited
    edit, layer = settings["edit"], settings["edit"]["ss_layer"]
    vector, importance = io[f"edit_style_vect_mean_{layer}"], io["edit_ss_strength_per_channel"]
    channels = style_channels(layer, vector, importance, edit["ss_threshold"])
    assert_image(render(generator, ws, [(channels, edit["ss_strength"])]), io["edit_ss_image"])


def test_sefa_edit(edited):
    settings, io, generator, ws = edited
    stack = [(sefa(io, settings), settings["edit"]["sefa_strength"])]
    torch.testing.assert_close(edited_ws(ws, stack), io["edit_sefa_ws"], rtol=0, atol=1e-5)
    assert_image(render(generator, ws, stack), io["edit_sefa_image"])


def test_sefa_in_a_video(edited):
    """Step 30 of 90 carries a third of the strength; the sweep that shares layers gives the same frame."""
    settings, io, generator, ws = edited
    full = settings["edit"]["sefa_strength"]
    strengths = [full * step / VIDEO_STEPS for step in (0, 30, 90)]
    frames = sweep(generator, ws, [(sefa(io, settings), 0.0)], 0, strengths)
    assert_image(frames[1:2], io["edit_sefa_step30of90_image"])
    assert_image(frames[2:], io["edit_sefa_image"])
    assert torch.equal(frames[:1], render(generator, ws, []))


@pytest.mark.parametrize("name", V2)
def test_sefa_factorisation(name):
    """Vectors agree up to sign where neighbouring singular values are more than 1 % apart; else they may
    mix.
    """
    _, io, generator = load(name)
    directions, values = factorize(generator.synthesis)
    expected = io["sefa_singular_values"]
    torch.testing.assert_close(values / values[0], expected / expected[0], rtol=1e-4, atol=1e-6)
    cosines = (directions * io["sefa_eigvec"].t()).sum(dim=1).abs()
    gap = (expected[:-1] - expected[1:]) > 0.01 * expected[:-1]
    apart = torch.cat([gap[:1], gap[:-1] & gap[1:], gap[-1:]])
    assert apart.any() and (cosines[apart] > 0.9999).all()
