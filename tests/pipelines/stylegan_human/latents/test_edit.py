"""Edits on every generation, stacks, sweeps that share layers, direction files, walks and matrices."""

import pickle

import numpy as np
import pytest
import torch
from comfyui_figura.pipelines.common.errors import FiguraInputError
from comfyui_figura.pipelines.stylegan_human.directions.direction_file import load_direction
from comfyui_figura.pipelines.stylegan_human.generate import sample_ws, synthesize
from comfyui_figura.pipelines.stylegan_human.latents.edit import (
    Edit,
    direction_in_styles,
    direction_in_w,
    factorize,
    style_channels,
    sweep,
)
from comfyui_figura.pipelines.stylegan_human.latents.latents import mix_styles
from comfyui_figura.pipelines.stylegan_human.latents.mixing import mixing_matrix
from comfyui_figura.pipelines.stylegan_human.networks import synthesis as synthesis_module


def test_factorisation_is_an_orthonormal_basis_strongest_first(generator):
    directions, values = factorize(generator.synthesis)
    assert torch.allclose(directions @ directions.t(), torch.eye(32), atol=1e-5)
    assert (values[:-1] >= values[1:]).all()


def test_edits_stack(generator):
    """Two edits at once are the sum of both in w."""
    directions, _ = factorize(generator.synthesis)
    ws = sample_ws(generator, [1])
    a, b = direction_in_w(directions[0], [2, 3]), direction_in_w(directions[1], [3])
    together = synthesize(generator, ws, edits=[(a, 1.0), (b, -2.0)])
    moved = ws.clone()
    moved[:, 2] += directions[0]
    moved[:, 3] += directions[0] - 2 * directions[1]
    torch.testing.assert_close(together, synthesize(generator, moved), rtol=0, atol=2e-5)


def test_strength_zero_changes_nothing(generator):
    ws = sample_ws(generator, [1, 2])
    width = generator.synthesis.styles(ws)[1 if generator.version == 3 else 0].shape[1]
    edit = direction_in_styles([torch.ones(width)])
    assert torch.equal(synthesize(generator, ws, edits=[(edit, 0.0)]), synthesize(generator, ws))
    assert not torch.equal(synthesize(generator, ws, edits=[(edit, 1.0)]), synthesize(generator, ws))


def test_a_sweep_equals_single_pictures_for_less_work(generator, monkeypatch):
    """Ten strengths of a late row: at most half of the steps run, and every picture is the same bit for
    bit.
    """
    ws, row = sample_ws(generator, [1]), generator.config.num_ws - 2
    edit = direction_in_w(torch.ones(32), [row])
    caches = []
    original = synthesis_module.PrefixCache.__init__

    def remember(self, *args):
        original(self, *args)
        caches.append(self)

    monkeypatch.setattr(synthesis_module.PrefixCache, "__init__", remember)
    strengths = [i / 3 for i in range(10)]
    strip = sweep(generator, ws, [(edit, 0.0)], 0, strengths)
    single = torch.cat([synthesize(generator, ws, edits=[(edit, strength)]) for strength in strengths])
    assert torch.equal(strip, single)
    assert caches[0].steps_run <= 0.5 * 10 * generator.synthesis.num_steps


def test_channels_below_the_threshold_stay():
    edit = style_channels(3, torch.ones(4), torch.tensor([0.1, -0.5, 0.3, 0.2]), 0.25)
    assert edit.styles[3].tolist() == [0, 1, 1, 0]


BAD = {
    "style of another width": Edit("bad", styles={0: torch.zeros(7)}),
    "style that is not there": Edit("bad", styles={99: torch.zeros(7)}),
    "row that is not there": Edit("bad", rows={99: torch.zeros(32)}),
    "w of another width": Edit("bad", rows={0: torch.zeros(512)}),
    "NaN": Edit("bad", rows={0: torch.full((32,), float("nan"))}),
}


@pytest.mark.parametrize("case", BAD)
def test_edits_that_do_not_fit(generator, case):
    with pytest.raises(FiguraInputError, match="edit 'bad'"):
        synthesize(generator, sample_ws(generator, [1]), edits=[(BAD[case], 1.0)])


@pytest.mark.parametrize("strength", [float("nan"), float("inf"), 1e9])
def test_strengths_that_are_none(generator, strength):
    edit = direction_in_w(torch.zeros(32), [0])
    with pytest.raises(FiguraInputError, match="strength"):
        sweep(generator, sample_ws(generator, [1]), [(edit, 0.0)], 0, [strength])


def test_direction_files_in_released_layouts(tmp_path):
    folder = tmp_path / "upper_length"
    folder.mkdir()
    vectors = [np.random.RandomState(i).randn(1, 4 + i).astype(np.float32) for i in range(12)]
    for i, vector in enumerate(vectors):
        (folder / f"style_vect_mean_{i}.pkl").write_bytes(pickle.dumps(vector))
    edit = load_direction(folder / "style_vect_mean_0.pkl")
    assert edit.name == "upper_length" and len(edit.styles) == 12
    assert all(np.array_equal(edit.styles[i].numpy(), vector[0]) for i, vector in enumerate(vectors))
    torch.save(torch.ones(1, 32), tmp_path / "sefa.pt")
    np.save(tmp_path / "w.npy", np.ones(32, np.float64))
    for name in ("sefa.pt", "w.npy"):
        assert load_direction(tmp_path / name).rows.keys() == {4, 5, 6, 7}
    assert load_direction(tmp_path / "w.npy", [0, 9]).rows.keys() == {0, 9}


@pytest.mark.parametrize(
    "content", [b"", b"\x80\x04}.", b"<html>", pickle.dumps([1, 2]), pickle.dumps(np.ones((2, 2)))]
)
@pytest.mark.parametrize("name", ["a.pkl", "a.pt", "a.npy", "style_vect_mean_0.pkl"])
def test_files_that_are_no_directions(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(FiguraInputError):
        load_direction(tmp_path / name)


@pytest.mark.parametrize("styles", [[0, 1, 2], [5, 6]])
def test_mixing_matrix(generator, styles):
    rows, columns = sample_ws(generator, [1, 2]), sample_ws(generator, [3, 4, 5])
    cells = mixing_matrix(generator, rows, columns, styles).unflatten(0, (3, 4))
    assert (cells[0, 0] == 1).all()
    assert torch.equal(cells[0, 1:], synthesize(generator, columns))
    assert torch.equal(cells[1:, 0], synthesize(generator, rows))
    assert torch.equal(cells[2, 3][None], synthesize(generator, mix_styles(rows[1:], columns[2:], styles)))
