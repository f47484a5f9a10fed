"""Latents and directions on disk: ours and the released layouts, there and back; wrong files are told."""

import pickle
import zipfile

import numpy as np
import pytest
import torch
from comfyui_figura.pipelines.common.errors import FiguraInputError
from comfyui_figura.pipelines.demo.stylegan_human import random_generator
from comfyui_figura.pipelines.stylegan_human.configs import tiny
from comfyui_figura.pipelines.stylegan_human.directions.direction_file import (
    load_direction,
    load_importance,
    save_direction,
)
from comfyui_figura.pipelines.stylegan_human.latents.edit import (
    EVERY_ROW,
    Edit,
    check_edit,
    direction_in_styles,
    direction_in_w,
    edited_ws,
    parse_edit_rows,
)
from comfyui_figura.pipelines.stylegan_human.latents.latent_file import Latents, load_latents, save_latents
from comfyui_figura.pipelines.stylegan_human.latents.latents import combine, truncate_rows
from comfyui_figura.pipelines.stylegan_human.networks.mapping import truncate

WS = torch.randn(2, 10, 32, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("suffix", [".safetensors", ".pt", ".npz"])
def test_latents_there_and_back(tmp_path, suffix):
    save_latents(tmp_path / f"w{suffix}", Latents(WS))
    assert torch.equal(load_latents(tmp_path / f"w{suffix}").ws, WS)


def test_the_references_files(tmp_path):
    """As its inversion (``0.pt``, a tensor) and its projector (``w`` in an .npz) write them."""
    torch.save(WS[:1], tmp_path / "0.pt")
    np.savez(tmp_path / "projected_w.npz", w=WS[:1].numpy())
    np.savez_compressed(tmp_path / "packed.npz", w=WS[:1].double().numpy(), other=np.zeros(3))
    for name in ("0.pt", "projected_w.npz", "packed.npz"):
        assert torch.equal(load_latents(tmp_path / name).ws, WS[:1])


def test_ours_open_in_the_references_readers(tmp_path):
    save_latents(tmp_path / "w.pt", Latents(WS))
    save_latents(tmp_path / "w.npz", Latents(WS))
    assert torch.equal(torch.load(tmp_path / "w.pt", weights_only=True), WS)
    assert np.array_equal(np.load(tmp_path / "w.npz")["w"], WS.numpy())


def test_edits_travel_in_safetensors_alone(tmp_path):
    edit = Edit("mine", styles={3: torch.ones(8)}, rows={4: torch.ones(32), EVERY_ROW: torch.zeros(32)})
    latents = Latents(WS, seeds=(1, 2), edits=((edit, 2.5),))
    save_latents(tmp_path / "w.safetensors", latents)
    back = load_latents(tmp_path / "w.safetensors")
    ((found, strength),) = back.edits
    assert back.seeds == (1, 2) and strength == 2.5 and found.name == "mine"
    assert found.rows.keys() == edit.rows.keys() and torch.equal(found.styles[3], edit.styles[3])
    for suffix in (".pt", ".npz"):
        with pytest.raises(FiguraInputError, match="edits"):
            save_latents(tmp_path / f"w{suffix}", latents)
        assert not (tmp_path / f"w{suffix}").exists()


def _objects(path):
    np.savez(path, w=np.array([{}], dtype=object))


def _bomb(path):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("w.npy", b"\x93NUMPY" + b"\0" * 100_000)


WRONG = {
    "row.pt": lambda path: torch.save(WS[0], path),
    "w.pt": lambda path: torch.save(WS[:, 0], path),
    "words.pt": lambda path: torch.save({"a": torch.zeros(3)}, path),
    "whole.pt": lambda path: torch.save(torch.zeros(1, 10, 32, dtype=torch.int64), path),
    "nan.npz": lambda path: np.savez(path, w=np.full((1, 10, 32), np.nan)),
    "names.npz": lambda path: np.savez(path, other=np.zeros((1, 10, 32))),
    "objects.npz": _objects,
    "broken.npz": _bomb,
    "empty.npz": lambda path: path.write_bytes(b""),
    "cut.npz": lambda path: path.write_bytes(b"PK\x03\x04"),
    "page.safetensors": lambda path: path.write_bytes(b"<html>"),
    "list.pt": lambda path: path.write_bytes(pickle.dumps([1, 2])),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_files_are_named(tmp_path, name):
    WRONG[name](tmp_path / name)
    with pytest.raises(FiguraInputError, match=name.split(".")[0]) as error:
        load_latents(tmp_path / name)
    assert str(tmp_path) not in str(error.value)


def test_sums_differences_and_truncated_rows():
    a, b, average = WS[:1], WS[1:], torch.zeros(32)
    torch.testing.assert_close(combine(a, combine(b, a, "subtract"), "add"), b)
    some = combine(a, b, "add", 2.0, [3])
    assert torch.equal(some[:, 3], a[:, 3] + 2 * b[:, 3]) and torch.equal(some[:, 4], a[:, 4])
    cut = truncate_rows(WS, average, 0.5, [2, 7])
    assert torch.equal(cut[:, [2, 7]], WS[:, [2, 7]] / 2) and torch.equal(cut[:, [0, 9]], WS[:, [0, 9]])
    assert torch.equal(truncate_rows(WS, average, 0.3, None), truncate(WS, average, 0.3))
    for bad in ({"operation": "times"}, {"factor": float("nan")}, {"b": torch.zeros(1, 12, 32)}):
        with pytest.raises(FiguraInputError):
            combine(**({"a": a, "b": b, "operation": "add"} | bad))
    for psi in (float("nan"), float("inf")):
        with pytest.raises(FiguraInputError, match="psi"):
            truncate_rows(WS, average, psi, None)


VECTOR = torch.randn(32, generator=torch.Generator().manual_seed(1))
EDITS = {
    "some rows": direction_in_w(VECTOR, [4, 5], "a name"),
    "every row": direction_in_w(VECTOR, [EVERY_ROW], "a name"),
    "styles": Edit("a name", styles={2: torch.ones(8)}),
    "both": Edit("a name", styles={2: torch.ones(8)}, rows={1: VECTOR}),
}


@pytest.mark.parametrize("kind", EDITS)
def test_directions_there_and_back(tmp_path, kind):
    edit = EDITS[kind]
    save_direction(tmp_path / "d.safetensors", edit)
    back = load_direction(tmp_path / "d.safetensors")
    assert back.name == "a name" and back.tensors().keys() == edit.tensors().keys()
    assert all(torch.equal(back.tensors()[name], vector) for name, vector in edit.tensors().items())
    if edit.rows and not edit.styles:
        assert load_direction(tmp_path / "d.safetensors", [7]).rows.keys() == {7}


@pytest.mark.parametrize("suffix", [".pt", ".npy"])
def test_one_vector_in_the_released_layouts(tmp_path, suffix):
    save_direction(tmp_path / f"d{suffix}", EDITS["some rows"])
    read = (
        torch.load(tmp_path / "d.pt", weights_only=True) if suffix == ".pt" else np.load(tmp_path / "d.npy")
    )
    assert tuple(read.shape) == (1, 32)
    assert torch.equal(load_direction(tmp_path / f"d{suffix}", [4]).rows[4], VECTOR)
    with pytest.raises(FiguraInputError, match="safetensors"):
        save_direction(tmp_path / f"e{suffix}", EDITS["both"])
    assert not (tmp_path / f"e{suffix}").exists()


def test_a_series_in_the_released_layout(tmp_path):
    edit = direction_in_styles([torch.ones(8), torch.arange(4.0)])
    save_direction(tmp_path / "longer", edit)
    with open(tmp_path / "longer/style_vect_mean_1.pkl", "rb") as file:
        assert pickle.load(file).shape == (1, 4)  # noqa: S301  our own file
    back = load_direction(tmp_path / "longer/style_vect_mean_0.pkl")
    assert back.name == "longer" and torch.equal(back.styles[1], torch.arange(4.0))
    for wrong in (EDITS["both"], EDITS["styles"], EDITS["some rows"]):
        with pytest.raises(FiguraInputError):
            save_direction(tmp_path / "other", wrong)
    with pytest.raises(FiguraInputError, match="suffix"):
        save_direction(tmp_path / "d.txt", edit)


def test_importance_of_channels(tmp_path):
    """The released table: sorted by strength, an index column in front."""
    (tmp_path / "statis.csv").write_text(",channel,strength\n2,2,0.5\n0,0,-0.25\n1,1,0.125\n")
    assert load_importance(tmp_path / "statis.csv", 3).tolist() == [-0.25, 0.125, 0.5]
    for channels, content in (
        (4, None),
        (3, "a,b\n1,2\n"),
        (3, "channel,strength\n0,1\n0,1\n0,1\n"),
        (3, "\0"),
    ):
        if content is not None:
            (tmp_path / "statis.csv").write_text(content)
        with pytest.raises(FiguraInputError, match="statis.csv"):
            load_importance(tmp_path / "statis.csv", channels)


def test_every_row_moves_with_every_network():
    for version in (1, 2, 3):
        generator = random_generator(tiny(version))
        edit = direction_in_w(VECTOR, [EVERY_ROW])
        check_edit(edit, generator)
        ws = torch.zeros(1, generator.config.num_ws, 32)
        assert torch.equal(edited_ws(ws, [(edit, 2.0)]), (2 * VECTOR).expand_as(ws))


def test_rows_of_an_edit():
    assert parse_edit_rows("") is None and parse_edit_rows(" all ") == [EVERY_ROW]
    assert parse_edit_rows("2,4-5") == [2, 4, 5]


def test_another_networks_direction_names_both_sizes():
    """512 values, as all released networks have, for a network of 32."""
    generator = random_generator(tiny(2))
    for edit in (direction_in_w(torch.zeros(512), [EVERY_ROW]), direction_in_w(torch.zeros(512), [4])):
        with pytest.raises(FiguraInputError, match="512 values.*32 values"):
            check_edit(edit, generator)
    with pytest.raises(FiguraInputError, match="row 17"):
        check_edit(direction_in_w(VECTOR, [17]), generator)
