"""Seeds, truncation, mixing, interpolation, and latents on disk."""

import numpy as np
import pytest
import torch
from comfyui_figura.pipelines.common.errors import FiguraInputError
from comfyui_figura.pipelines.stylegan_human.latents.edit import Edit
from comfyui_figura.pipelines.stylegan_human.latents.latent_file import Latents, load_latents, save_latents
from comfyui_figura.pipelines.stylegan_human.latents.latents import (
    blend,
    check_ws,
    interpolation_alphas,
    lerp,
    mix_styles,
    parse_rows,
    parse_seeds,
    seeds_to_z,
    slerp,
)
from comfyui_figura.pipelines.stylegan_human.networks.mapping import truncate
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file


def test_seeds_as_the_released_scripts_read_them():
    assert parse_seeds("1,3,5-9") == [1, 3, 5, 6, 7, 8, 9]
    assert parse_seeds(" 7 - 8 , 2 ") == [7, 8, 2]


@given(st.text(max_size=20))
@settings(max_examples=200, deadline=None)
def test_any_text_is_seeds_or_a_sentence(text):
    try:
        seeds = parse_seeds(text)
    except FiguraInputError:
        return
    assert seeds and all(0 <= seed < 2**64 for seed in seeds)


def test_z_is_numpys():
    z = seeds_to_z([5, 2**32 + 5], 8)
    assert z.dtype == torch.float64
    assert np.array_equal(z[0].numpy(), np.random.RandomState(5).randn(1, 8)[0])
    assert torch.equal(z[0], z[1]), "only 32 bits of a seed count"


def test_truncation():
    ws, average = torch.randn(2, 6, 4), torch.randn(4)
    assert torch.equal(truncate(ws, average, 1.0), ws)
    assert torch.allclose(truncate(ws, average, 0.0), average.expand(2, 6, 4))
    cut = truncate(ws, average, 0.5, 2)
    assert torch.allclose(cut[:, :2], (ws[:, :2] + average) / 2) and torch.equal(cut[:, 2:], ws[:, 2:])


def test_mixing_one_source_into_many():
    ws, source = torch.zeros(3, 6, 4), torch.ones(1, 6, 4)
    mixed = mix_styles(ws, source, [1, 5])
    assert mixed[:, [1, 5]].eq(1).all() and mixed[:, [0, 2, 3, 4]].eq(0).all() and ws.eq(0).all()


def test_interpolation_never_reaches_the_end():
    assert interpolation_alphas(4) == [0, 0.25, 0.5, 0.75]


def test_slerp_keeps_the_length_of_unit_vectors_and_lerp_does_not():
    a, b = torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0, 1.0]])
    assert slerp(a, b, 0.5).norm().item() == pytest.approx(1, abs=1e-6)
    assert lerp(a, b, 0.5).norm().item() == pytest.approx(0.7071, abs=1e-3)
    assert torch.equal(slerp(a, a, 0.3), a), "parallel vectors have no arc"


def test_blend_ends():
    a, b = torch.randn(1, 6, 4), torch.randn(2, 6, 4)
    for mode in ("linear", "spherical"):
        assert torch.allclose(blend(a, b, 0.0, mode), a.expand(2, -1, -1), atol=1e-5)
        assert torch.allclose(blend(a, b, 1.0, mode), b, atol=1e-5)


def test_rows():
    assert parse_rows("all", 10) is None and parse_rows("", 10) is None
    assert parse_rows("0-2,9", 10) == [0, 1, 2, 9]
    with pytest.raises(FiguraInputError, match="row 10"):
        parse_rows("10", 10)


def test_a_single_w_fills_all_rows():
    assert check_ws(torch.ones(2, 4), 6, 4).shape == (2, 6, 4)


@pytest.mark.parametrize(
    "ws",
    [None, torch.zeros(4), torch.zeros(0, 6, 4), torch.zeros(1, 5, 4), torch.full((1, 6, 4), float("inf"))],
)
def test_bad_ws(ws):
    with pytest.raises(FiguraInputError):
        check_ws(ws, 6, 4)


def test_latents_on_disk(tmp_path):
    latents = Latents(torch.randn(2, 6, 4), (3, 2**64 - 1))
    save_latents(tmp_path / "a.safetensors", latents)
    loaded = load_latents(tmp_path / "a.safetensors")
    assert torch.equal(loaded.ws, latents.ws) and loaded.seeds == latents.seeds
    assert [path.name for path in tmp_path.iterdir()] == ["a.safetensors"]


@pytest.mark.parametrize(
    "tensors", [{}, {"other": torch.zeros(1, 6, 4)}, {"ws": torch.zeros(6, 4)}, {"ws": torch.zeros(0, 6, 4)}]
)
def test_files_that_are_no_latents(tmp_path, tensors):
    save_file(tensors, tmp_path / "a.safetensors")
    with pytest.raises(FiguraInputError):
        load_latents(tmp_path / "a.safetensors")


def test_edits_travel_with_a_saved_latent(tmp_path):
    edit = Edit("longer", styles={3: torch.randn(24)}, rows={4: torch.randn(4), 5: torch.randn(4)})
    save_latents(tmp_path / "a.safetensors", Latents(torch.randn(1, 6, 4), None, ((edit, -1.5), (edit, 2.0))))
    (first, strength), (second, _) = load_latents(tmp_path / "a.safetensors").edits
    assert (first.name, strength) == ("longer", -1.5) and first.rows.keys() == {4, 5}
    assert torch.equal(second.styles[3], edit.styles[3]) and torch.equal(first.rows[5], edit.rows[5])
