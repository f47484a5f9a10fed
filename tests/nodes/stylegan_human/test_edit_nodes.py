"""The editing and exploring nodes: what they give, and what they say to bad input."""

import pytest
import torch

pytest.importorskip("comfy", reason="no ComfyUI: set COMFYUI_PATH")

import folder_paths  # noqa: E402
from comfyui_figura.nodes.stylegan_human.edit import (  # noqa: E402
    FiguraStyleGANEdit,
    FiguraStyleGANEditSweep,
    FiguraStyleGANLoadDirection,
    FiguraStyleGANSeFa,
)
from comfyui_figura.nodes.stylegan_human.explore import (  # noqa: E402
    FiguraStyleGANMixMatrix,
    FiguraStyleGANTruncate,
    FiguraStyleGANWalk,
)
from comfyui_figura.nodes.stylegan_human.generate import FiguraStyleGANSampler  # noqa: E402
from comfyui_figura.nodes.stylegan_human.latents import FiguraStyleGANBlend  # noqa: E402
from comfyui_figura.pipelines.common.errors import FiguraInputError  # noqa: E402
from comfyui_figura.pipelines.stylegan_human.generate import sample_ws, synthesize  # noqa: E402
from comfyui_figura.pipelines.stylegan_human.latents.edit import Edit, direction_in_w, factorize  # noqa: E402
from comfyui_figura.pipelines.stylegan_human.latents.latent_file import Latents  # noqa: E402

NAN = float("nan")


def latent(stylegan, *seeds) -> Latents:
    return Latents(sample_ws(stylegan.model, seeds, 0.7), seeds)


def draw(stylegan, latents):
    return FiguraStyleGANSampler.execute(stylegan, 0, 1, 0.7, "const", 0, latents).result[0]


def edit(stylegan, number=0, rows="2-3"):
    return FiguraStyleGANSeFa.execute(stylegan, number, rows).result[0]


def test_edits_hang_on_latents_and_equal_the_command_line(stylegan):
    """Two edits through nodes, and the same through the pipelines: bit for bit."""
    person = latent(stylegan, 1)
    chain = FiguraStyleGANEdit.execute(person, edit(stylegan, 0), 3.0).result[0]
    chain = FiguraStyleGANEdit.execute(chain, edit(stylegan, 1), -2.0).result[0]
    directions, _ = factorize(stylegan.model.synthesis)
    stack = [(direction_in_w(directions[0], [2, 3]), 3.0), (direction_in_w(directions[1], [2, 3]), -2.0)]
    pixels = synthesize(stylegan.model, person.ws, edits=stack)
    assert torch.equal(draw(stylegan, chain), ((pixels + 1) / 2).clamp(0, 1).movedim(1, -1))
    assert person.edits == ()


def test_sweep(stylegan):
    person = latent(stylegan, 1)
    images = FiguraStyleGANEditSweep.execute(
        stylegan, person, edit(stylegan), -3.0, 3.0, 3, "const", 0
    ).result[0]
    assert images.shape[0] == 3
    assert torch.equal(images[1:2], draw(stylegan, person)), "strength 0 in the middle"
    assert not torch.equal(images[0], images[2])


def test_blending_edited_latents_blends_their_edits(stylegan):
    person = latent(stylegan, 1)
    edited = FiguraStyleGANEdit.execute(person, edit(stylegan), 4.0).result[0]
    half = FiguraStyleGANBlend.execute(person, edited, 0.5, "linear", "all").result[0]
    expected = FiguraStyleGANEdit.execute(person, edit(stylegan), 2.0).result[0]
    assert torch.allclose(draw(stylegan, half), draw(stylegan, expected), atol=1e-4)


def test_truncate(stylegan):
    person = latent(stylegan, 1)
    average = FiguraStyleGANTruncate.execute(stylegan, person, 0.0, 0).result[0]
    assert torch.allclose(average.ws, stylegan.model.mapping.w_avg.expand_as(average.ws))


def test_walk(stylegan):
    frames = FiguraStyleGANWalk.execute(
        latent(stylegan, 1, 2), 4, "linear", False, latent(stylegan, 3)
    ).result[0]
    assert len(frames.ws) == 9
    assert torch.allclose(frames.ws[8], latent(stylegan, 3).ws[0])


def test_mixing_matrix(stylegan):
    sheet = FiguraStyleGANMixMatrix.execute(
        stylegan, latent(stylegan, 1, 2), latent(stylegan, 3), "0-3", "const", 0
    ).result[0]
    height, width = stylegan.model.image_size
    assert sheet.shape == (1, 3 * (height + 4) + 4, 2 * (width + 4) + 4, 3)


def test_directions_come_from_their_folder_only(tmp_path, monkeypatch):
    torch.save(torch.ones(1, 32), tmp_path / "longer.pt")
    kept = folder_paths.folder_names_and_paths["stylegan_directions"]
    monkeypatch.setitem(
        folder_paths.folder_names_and_paths, "stylegan_directions", ([str(tmp_path)], kept[1])
    )
    folder_paths.filename_list_cache.clear()
    found = FiguraStyleGANLoadDirection.execute("longer.pt", "1,5").result[0]
    assert found.rows.keys() == {1, 5} and found.name == "longer"
    for name in ("../longer.pt", str(tmp_path / "longer.pt"), "other.pt", ""):
        with pytest.raises(FiguraInputError):
            FiguraStyleGANLoadDirection.execute(name, "4-7")
    with pytest.raises(FiguraInputError, match="rows"):
        FiguraStyleGANLoadDirection.execute("longer.pt", "seven")


BAD = {
    "edit of another type": lambda s: FiguraStyleGANEdit.execute(latent(s, 1), "longer", 1.0),
    "strength NaN": lambda s: FiguraStyleGANEdit.execute(latent(s, 1), edit(s), NAN),
    "latent of another type": lambda s: FiguraStyleGANEdit.execute(torch.zeros(1, 10, 32), edit(s), 1.0),
    "direction number too large": lambda s: edit(s, 32),
    "rows out of range": lambda s: edit(s, 0, "99"),
    "sweep to infinity": lambda s: FiguraStyleGANEditSweep.execute(
        s, latent(s, 1), edit(s), 0.0, float("inf"), 3
    ),
    "sweep of no steps": lambda s: FiguraStyleGANEditSweep.execute(s, latent(s, 1), edit(s), 0.0, 1.0, 0),
    "sweep of another network's edit": lambda s: FiguraStyleGANEditSweep.execute(
        s, latent(s, 1), Edit("x", rows={0: torch.zeros(512)}), 0.0, 1.0, 3
    ),
    "walk of one": lambda s: FiguraStyleGANWalk.execute(latent(s, 1), 4, "linear", False),
    "walk without steps": lambda s: FiguraStyleGANWalk.execute(latent(s, 1, 2), 0, "linear", False),
    "walk between networks": lambda s: FiguraStyleGANWalk.execute(
        latent(s, 1), 4, "linear", False, Latents(torch.zeros(1, 12, 32))
    ),
    "matrix of another network": lambda s: FiguraStyleGANMixMatrix.execute(
        s, latent(s, 1), Latents(torch.zeros(1, 12, 32)), "0-3"
    ),
    "matrix of no rows": lambda s: FiguraStyleGANMixMatrix.execute(s, latent(s, 1), latent(s, 2), "40"),
    "truncating another network's latent": lambda s: FiguraStyleGANTruncate.execute(
        s, Latents(torch.zeros(1, 12, 32)), 0.5
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_gets_a_sentence(stylegan, case):
    with pytest.raises(FiguraInputError):
        BAD[case](stylegan)
