"""InsetGAN on tiny generators: it converges, leaves the networks alone, stops, refuses. Numbers: golden."""

import pytest
import torch
from comfyui_figura.pipelines.common.errors import FiguraInputError
from comfyui_figura.pipelines.common.perceptual import PixelsAndGradients
from comfyui_figura.pipelines.demo.stylegan_human import random_generator
from comfyui_figura.pipelines.stylegan_human.configs import V2Config, V3Config, tiny
from comfyui_figura.pipelines.stylegan_human.generate import sample_ws, synthesize
from comfyui_figura.pipelines.stylegan_human.inset.compose import inset, mean_w
from comfyui_figura.pipelines.stylegan_human.inset.inset import (
    InsetConfig,
    fitted,
    joined,
    recentred,
    resized,
)
from comfyui_figura.pipelines.stylegan_human.latents.edit import direction_in_w
from comfyui_figura.pipelines.stylegan_human.latents.latent_file import Latents

FACE = V2Config(32, square=True, z_dim=32, w_dim=32, channel_base=512, channel_max=24)
SHORT = InsetConfig(face_steps=5, body_steps=6, joint_steps=6, turn=2, detect_every=3, film_every=4)
BOX = (8, 4, 24, 20)


@pytest.fixture(scope="module")
def networks():
    return random_generator(FACE, 1), random_generator(tiny(2))


def latents(generator, seed=0, psi=0.7):
    return Latents(sample_ws(generator, [seed], psi))


def run(networks, config=SHORT, **changes):
    face, body = networks
    arguments = {"face_latent": latents(face, 1), "body_latent": latents(body, 2), "box": BOX} | changes
    return inset(face, body, measure=PixelsAndGradients(), config=config, **arguments)


def seam(pixels, inner):
    """How different the pixels inside and outside the box's edge are."""
    x0, y0, x1, y1 = BOX
    top = (pixels[..., y0, x0:x1] - pixels[..., y0 - 1, x0:x1]).abs().mean()
    side = (pixels[..., y0:y1, x0] - pixels[..., y0:y1, x0 - 1]).abs().mean()
    return float(top + side)


def test_the_seam_closes(networks):
    """Half as visible as in the mere paste, after a short run."""
    config = InsetConfig(face_steps=25, body_steps=60, joint_steps=60, turn=20)
    result = run(networks, config)
    assert seam(result.image, BOX) < 0.5 * seam(result.before, BOX)
    assert result.image.shape == (1, 3, 64, 32) and len(result.curve) == config.steps
    assert [point.stage for point in result.curve] == [1] * 25 + [2] * 60 + [3] * 60


def test_latents_draw_the_result(networks):
    """What is returned is enough to draw it again."""
    face, body = networks
    result = run(networks)
    again = joined(synthesize(body, result.body_ws), synthesize(face, result.face_ws), result.box)
    torch.testing.assert_close(again, result.image, rtol=0, atol=1e-5)
    before = joined(synthesize(body, latents(body, 2).ws), synthesize(face, latents(face, 1).ws), BOX)
    torch.testing.assert_close(before, result.before, rtol=0, atol=1e-5)


def test_networks_stay_as_they_were(networks):
    before = [parameter.clone() for network in networks for parameter in network.parameters()]
    run(networks)
    after = [parameter for network in networks for parameter in network.parameters()]
    assert all(torch.equal(a, b) for a, b in zip(before, after, strict=True))
    assert all(parameter.requires_grad and parameter.grad is None for parameter in after)


def test_same_again(networks):
    first, second = run(networks), run(networks)
    assert torch.equal(first.image, second.image) and first.curve == second.curve


def test_frames(networks):
    result = run(networks)
    assert len(result.frames) == 5  # steps 1, 5, 9, 13, 17 of 17
    assert all(frame.shape == (64, 32, 3) and frame.dtype.name == "uint8" for frame in result.frames)
    assert run(networks, InsetConfig(1, 1, 1)).frames == []


def test_the_face_is_looked_for_again(networks):
    asked = []

    def find_face(pixels):
        asked.append(tuple(pixels.shape))
        return None if len(asked) == 2 else (10, 6, 26, 22)

    result = run(networks, find_face=find_face)
    assert asked == [(1, 3, 64, 32)] * 2 and result.box == (10, 6, 26, 22)
    asked.clear()
    run(networks, box=None, find_face=find_face)
    assert len(asked) == 3, "and at the beginning, without a box"


def test_without_box_and_finder_experience_helps(networks):
    result = run(networks, box=None)
    assert result.box[1] < 16 and result.box[0] + result.box[2] == 32


@pytest.mark.parametrize("body", [tiny(1), tiny(2, 32), tiny(3)], ids=["v1", "v2 of another size", "v3"])
def test_every_body_network(networks, body):
    body = random_generator(body)
    result = inset(
        networks[0],
        body,
        latents(networks[0]),
        latents(body),
        PixelsAndGradients(),
        config=InsetConfig(1, 2, 2),
    )
    assert result.image.shape[2:] == body.image_size and torch.isfinite(result.image).all()


def test_a_square_v3_is_a_face_too(networks):
    face = random_generator(V3Config(32, square=True, z_dim=32, w_dim=32, channel_base=1024, channel_max=16))
    result = inset(
        face,
        networks[1],
        latents(face),
        latents(networks[1]),
        PixelsAndGradients(),
        BOX,
        config=InsetConfig(1, 1, 1),
    )
    assert result.face_ws.shape == (1, 16, 32)


def test_an_inverted_face_is_kept(networks):
    """A w+ latent, each row its own, with an edit: the reference is drawn with both."""
    face, body = networks
    ws = torch.cat([sample_ws(face, [seed])[:, row : row + 1] for row, seed in enumerate(range(8))], dim=1)
    edit = direction_in_w(torch.ones(32), [2, 3])
    given = Latents(ws, edits=((edit, 0.5),))
    result = run(networks, face_latent=given)
    reference = synthesize(face, ws, edits=given.edits)
    torch.testing.assert_close(result.before[..., 4:20, 8:24], resized(reference, BOX), rtol=0, atol=1e-5)
    assert (result.face_ws - ws).abs().max() < 0.5, "it stays near the given face"


def test_mean_w_is_the_same_at_any_time(networks):
    body = networks[1]
    torch.manual_seed(1)
    first = mean_w(body, 1500)
    torch.manual_seed(2)
    assert torch.equal(first, mean_w(body, 1500)) and first.shape == (1, 32)
    exact = sample_ws(body, range(3000))[:, 0].mean(0, keepdim=True)
    assert (first - exact).abs().mean() < 0.1 * sample_ws(body, range(50))[:, 0].std()


def test_stops_within_one_step(networks):
    calls = []

    def stop(done, total, preview=None):
        calls.append((done, total))
        if done == 7:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(networks, progress=stop)
    assert calls[-1] == (7, SHORT.steps) and len(calls) == 7
    assert all(parameter.requires_grad for network in networks for parameter in network.parameters())


def test_previews_come(networks):
    shown = []
    run(networks, progress=lambda done, total, preview=None: shown.append(preview))
    assert shown[0].shape == (3, 64, 32) and shown[-1] is not None and None in shown


def test_works_under_inference_mode(networks):
    """As ComfyUI calls it, once inference mode is lifted; latents come from outside, made under it."""
    with torch.inference_mode():
        made = {"face_latent": latents(networks[0]), "body_latent": latents(networks[1])}
        with torch.inference_mode(False):
            assert torch.isfinite(run(networks, **made).image).all()


OTHER = direction_in_w(torch.ones(7)), 1.0
BAD = {
    "a body network as face": ({"face": 1}, "square network of faces"),
    "a face network as body": ({"body": 0}, "twice as high as wide"),
    "face latent of another network": ({"face_latent": Latents(torch.zeros(1, 18, 512))}, "face latent"),
    "body latent of another network": ({"body_latent": Latents(torch.zeros(1, 8, 32))}, "body latent"),
    "latent with NaN": ({"body_latent": Latents(torch.full((1, 10, 32), float("nan")))}, "NaN"),
    "latent far away": ({"body_latent": Latents(torch.full((1, 10, 32), 1e20))}, "(loss|NaN)"),
    "edit of another network": ({"face_latent": Latents(torch.zeros(1, 8, 32), edits=(OTHER,))}, "edit"),
    "box larger than the picture": ({"box": (0, 0, 99, 99)}, "face box"),
    "box without size": ({"box": (5, 5, 5, 5)}, "face box"),
    "negative steps": ({"config": InsetConfig(face_steps=-1)}, "face steps"),
    "no turn": ({"config": InsetConfig(turn=0)}, "turn"),
    "rate not a number": ({"config": InsetConfig(body_rate=float("nan"))}, "body rate"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_refuses(networks, case):
    changes, words = dict(BAD[case][0]), BAD[case][1]
    face, body = (networks[changes.pop(name, place)] for place, name in enumerate(("face", "body")))
    with pytest.raises(FiguraInputError, match=words):
        run((face, body), **({"config": SHORT} | changes))


def test_boxes_are_moved_into_the_picture():
    pixels = torch.zeros(1, 3, 64, 32)
    assert fitted((-3, -2, 7, 8), pixels, "box") == (0, 0, 10, 10)
    assert fitted((30, 60, 40, 70), pixels, "box") == (22, 54, 32, 64)
    assert recentred((0, 0, 10, 10), (14, 14, 18, 18), pixels) == (11, 11, 21, 21)
    assert recentred((0, 0, 10, 10), None, pixels) == (0, 0, 10, 10)


def test_small_faces_are_enlarged():
    assert resized(torch.rand(1, 3, 16, 16), (0, 0, 24, 20)).shape == (1, 3, 20, 24)
