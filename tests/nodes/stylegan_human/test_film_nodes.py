"""Walks, grids, mixing videos and films as nodes; what they give, and what they say to bad input."""

import pytest
import torch

pytest.importorskip("comfy", reason="no ComfyUI: set COMFYUI_PATH")
av = pytest.importorskip("av")

import comfy.model_management as management  # noqa: E402
from comfyui_figura.nodes.stylegan_human.edit import FiguraStyleGANEdit, FiguraStyleGANSeFa  # noqa: E402
from comfyui_figura.nodes.stylegan_human.explore import (  # noqa: E402
    FiguraStyleGANLatentGrid,
    FiguraStyleGANMixMatrix,
    FiguraStyleGANRandomWalk,
    FiguraStyleGANTruncate,
)
from comfyui_figura.nodes.stylegan_human.films import (  # noqa: E402
    FiguraStyleGANFilm,
    FiguraStyleGANInterpolate,
    FiguraStyleGANMixVideo,
)
from comfyui_figura.nodes.stylegan_human.generate import FiguraStyleGANSampler  # noqa: E402
from comfyui_figura.nodes.stylegan_human.latents import FiguraStyleGANLatentMath  # noqa: E402
from comfyui_figura.pipelines.common.errors import FiguraInputError  # noqa: E402
from comfyui_figura.pipelines.stylegan_human.generate import sample_ws  # noqa: E402
from comfyui_figura.pipelines.stylegan_human.latents.latent_file import Latents  # noqa: E402

NAN = float("nan")


def latent(stylegan, *seeds) -> Latents:
    return Latents(sample_ws(stylegan.model, seeds, 0.7), seeds)


def draw(stylegan, latents):
    return FiguraStyleGANSampler.execute(stylegan, 0, 1, 0.7, "const", 0, latents).result[0]


def is_image(image, count, height, width) -> bool:
    fits = image.shape == (count, height, width, 3) and image.dtype == torch.float32
    return fits and 0 <= image.min() <= image.max() <= 1 and image.is_contiguous()


def interpolate(stylegan, seeds="1,2", steps=3, space="z", mode="linear", loop=False, psi=0.7, **noise):
    return FiguraStyleGANInterpolate.execute(stylegan, seeds, steps, space, mode, loop, psi, **noise).result


@pytest.mark.parametrize("space", ["z", "w", "w+"])
def test_interpolate(stylegan, space):
    images, latents = interpolate(stylegan, "1-3", 2, space)
    assert is_image(images, 5, 64, 32) and len(latents.ws) == 5
    ends = draw(stylegan, latent(stylegan, 1, 2, 3))
    assert torch.allclose(images[[0, 2, 4]], ends, atol=1e-4)
    assert torch.equal(draw(stylegan, latents), images)
    assert len(interpolate(stylegan, "1-3", 2, space, loop=True)[0]) == 6


def test_random_walk(stylegan):
    walk = FiguraStyleGANRandomWalk.execute(stylegan, 5, 6, 2.0, 0.7).result[0]
    assert walk.ws.shape == (6, stylegan.model.config.num_ws, 32)
    again = FiguraStyleGANRandomWalk.execute(stylegan, 5, 6, 2.0, 0.7).result[0]
    other = FiguraStyleGANRandomWalk.execute(stylegan, 6, 6, 2.0, 0.7).result[0]
    assert torch.equal(walk.ws, again.ws) and not torch.equal(walk.ws, other.ws)


def test_latent_grid(stylegan):
    corners = latent(stylegan, 1, 2, 3, 4)
    grid = FiguraStyleGANLatentGrid.execute(corners, 3, 4, "linear").result[0]
    assert len(grid.ws) == 12
    assert torch.allclose(grid.ws[[0, 3, 8, 11]], corners.ws, atol=1e-5)


def test_latent_math_brings_over_what_sets_people_apart(stylegan):
    a, b, c = (latent(stylegan, seed) for seed in (1, 2, 3))
    way = FiguraStyleGANLatentMath.execute(b, a, "subtract", 1.0).result[0]
    moved = FiguraStyleGANLatentMath.execute(c, way, "add", 1.0).result[0]
    assert torch.allclose(moved.ws, c.ws + b.ws - a.ws, atol=1e-5)
    some = FiguraStyleGANLatentMath.execute(c, way, "add", 2.0, "3").result[0]
    assert torch.equal(some.ws[:, :3], c.ws[:, :3]) and not torch.equal(some.ws[:, 3], c.ws[:, 3])


def test_latent_math_on_edited_latents_counts_their_edits(stylegan):
    edit = FiguraStyleGANSeFa.execute(stylegan, 0, "2-3").result[0]
    person = latent(stylegan, 1)
    edited = FiguraStyleGANEdit.execute(person, edit, 3.0).result[0]
    way = FiguraStyleGANLatentMath.execute(edited, person, "subtract", 1.0).result[0]
    back = FiguraStyleGANLatentMath.execute(person, way, "add", 1.0).result[0]
    assert torch.allclose(draw(stylegan, back), draw(stylegan, edited), atol=1e-4)


def test_truncate_rows(stylegan):
    person = latent(stylegan, 1)
    moved = FiguraStyleGANTruncate.execute(stylegan, person, 0.0, 0, "2,5").result[0].ws
    average = stylegan.model.mapping.w_avg
    assert torch.allclose(moved[:, [2, 5]], average.expand(1, 2, -1))
    assert torch.equal(moved[:, [0, 1, 3, 4]], person.ws[:, [0, 1, 3, 4]])


def test_mixtures_of_the_matrix(stylegan):
    rows, columns = latent(stylegan, 1, 2), latent(stylegan, 3)
    mixtures = FiguraStyleGANMixMatrix.execute(stylegan, rows, columns, "0-3").result[1]
    ws = rows.ws.clone()
    ws[:, :4] = columns.ws[:, :4]
    assert torch.equal(mixtures, draw(stylegan, Latents(ws)))


def mix(stylegan, walk=None, people=None, styles="0-3", only_mixed=False, fps=10.0, overlap=0, **noise):
    walk = latent(stylegan, 1, 2) if walk is None else walk
    people = latent(stylegan, 3, 4) if people is None else people
    arguments = walk, people, styles, only_mixed, fps, overlap
    return FiguraStyleGANMixVideo.execute(stylegan, *arguments, **noise).result


def test_mixing_video(stylegan):
    images, video = mix(stylegan)
    assert is_image(images, 2, 128, 96)
    # the film keeps 8 bits of each value: 1/255
    assert torch.allclose(images[0, :64, 32:64], draw(stylegan, latent(stylegan, 3))[0], atol=1 / 255)
    parts = video.get_components()
    assert torch.equal(parts.images, images) and parts.frame_rate == 10
    assert is_image(mix(stylegan, only_mixed=True)[0], 2, 64, 64)
    assert is_image(mix(stylegan, overlap=-1)[0], 2, 128, 90)


def test_a_film_is_comfyuis_video(stylegan, tmp_path):
    walk = latent(stylegan, 1, 2, 3)
    (video,) = FiguraStyleGANFilm.execute(stylegan, walk, 12.0).result
    assert video.get_dimensions() == (32, 64)
    assert float(video.get_components().frame_rate) == 12
    video.save_to(str(tmp_path / "film.mp4"))
    with av.open(str(tmp_path / "film.mp4")) as film:
        frames = [torch.from_numpy(f.to_ndarray(format="rgb24")).float() / 255 for f in film.decode(video=0)]
    assert len(frames) == 3
    # H.264 halves the colours' resolution: pictures of noise differ by up to about a tenth on average
    for frame, picture in zip(frames, draw(stylegan, walk), strict=True):
        assert (frame - picture).abs().mean() < 0.15


def test_a_film_stops_when_interrupted(stylegan, monkeypatch):
    calls = []

    def interrupted():
        calls.append(1)
        if len(calls) == 3:
            raise management.InterruptProcessingException

    monkeypatch.setattr(management, "throw_exception_if_processing_interrupted", interrupted)
    for make in (
        lambda: FiguraStyleGANFilm.execute(stylegan, latent(stylegan, 1, 2), 10.0),
        lambda: mix(stylegan),
    ):
        calls.clear()
        with pytest.raises(management.InterruptProcessingException):
            make()
        assert len(calls) == 3
    monkeypatch.undo()
    assert len(mix(stylegan)[0]) == 2


OTHER = Latents(torch.zeros(1, 12, 32))
BAD = {
    "one seed": lambda s: interpolate(s, "1"),
    "words as seeds": lambda s: interpolate(s, "one,two"),
    "no steps": lambda s: interpolate(s, steps=0),
    "unknown space": lambda s: interpolate(s, space="y"),
    "unknown mode": lambda s: interpolate(s, mode="curly"),
    "psi NaN": lambda s: interpolate(s, psi=NAN),
    "unknown noise": lambda s: interpolate(s, noise_mode="loud"),
    "noise seed below zero": lambda s: interpolate(s, noise_mode="random", noise_seed=-1),
    "walk of no frames": lambda s: FiguraStyleGANRandomWalk.execute(s, 1, 0, 2.0, 0.7),
    "walk with seed below zero": lambda s: FiguraStyleGANRandomWalk.execute(s, -1, 4, 2.0, 0.7),
    "smoothness NaN": lambda s: FiguraStyleGANRandomWalk.execute(s, 1, 4, NAN, 0.7),
    "three corners": lambda s: FiguraStyleGANLatentGrid.execute(latent(s, 1, 2, 3), 2, 2, "linear"),
    "corners of another type": lambda s: FiguraStyleGANLatentGrid.execute("corners", 2, 2, "linear"),
    "grid too large": lambda s: FiguraStyleGANLatentGrid.execute(latent(s, 1, 2), 999, 2, "linear"),
    "grid unknown mode": lambda s: FiguraStyleGANLatentGrid.execute(latent(s, 1, 2), 2, 2, "curly"),
    "adding another network's": lambda s: FiguraStyleGANLatentMath.execute(latent(s, 1), OTHER, "add", 1.0),
    "adding NaN times": lambda s: FiguraStyleGANLatentMath.execute(latent(s, 1), latent(s, 2), "add", NAN),
    "unknown operation": lambda s: FiguraStyleGANLatentMath.execute(latent(s, 1), latent(s, 2), "times", 1.0),
    "adding no latent": lambda s: FiguraStyleGANLatentMath.execute(latent(s, 1), None, "add", 1.0),
    "adding unknown rows": lambda s: FiguraStyleGANLatentMath.execute(
        latent(s, 1), latent(s, 2), "add", 1.0, "99"
    ),
    "truncating unknown rows": lambda s: FiguraStyleGANTruncate.execute(s, latent(s, 1), 0.5, 0, "99"),
    "mixing rows that are not there": lambda s: mix(s, styles="99"),
    "mixing another network's walk": lambda s: mix(s, walk=OTHER),
    "mixing another network's people": lambda s: mix(s, people=OTHER),
    "mixing no latents": lambda s: mix(s, people=torch.zeros(1, 10, 32)),
    "mixing with too much overlap": lambda s: mix(s, overlap=32),
    "mixing at no rate": lambda s: mix(s, fps=0.0),
    "film at NaN": lambda s: FiguraStyleGANFilm.execute(s, latent(s, 1), NAN),
    "film of another network": lambda s: FiguraStyleGANFilm.execute(s, OTHER, 10.0),
    "film of one row": lambda s: FiguraStyleGANFilm.execute(s, Latents(torch.zeros(1, 1, 32)), 10.0),
    "film of text": lambda s: FiguraStyleGANFilm.execute(s, "latents", 10.0),
    "film of unknown noise": lambda s: FiguraStyleGANFilm.execute(s, latent(s, 1), 10.0, "loud"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_gets_a_sentence(stylegan, case):
    with pytest.raises(FiguraInputError):
        BAD[case](stylegan)
