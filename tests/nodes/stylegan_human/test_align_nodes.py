"""The nodes of alignment and InsetGAN: what they give, and what they say to bad input."""

import re

import numpy as np
import pytest
import torch

pytest.importorskip("comfy", reason="no ComfyUI: set COMFYUI_PATH")

import comfy.model_management as management  # noqa: E402
from comfyui_figura.nodes import host  # noqa: E402
from comfyui_figura.nodes.stylegan_human import align as nodes  # noqa: E402
from comfyui_figura.nodes.stylegan_human import inset_bridge  # noqa: E402
from comfyui_figura.nodes.stylegan_human.align import (  # noqa: E402
    FiguraStyleGANAlign,
    FiguraStyleGANPasteBack,
)
from comfyui_figura.nodes.stylegan_human.inset import KEEP_BOX, FiguraStyleGANInset  # noqa: E402
from comfyui_figura.pipelines.common.errors import FiguraInputError  # noqa: E402
from comfyui_figura.pipelines.common.images import to_image  # noqa: E402
from comfyui_figura.pipelines.common.perceptual import PixelsAndGradients  # noqa: E402
from comfyui_figura.pipelines.demo.stylegan_human import random_generator  # noqa: E402
from comfyui_figura.pipelines.pose.openpose import to_frames  # noqa: E402
from comfyui_figura.pipelines.pose.pose import Pose  # noqa: E402
from comfyui_figura.pipelines.stylegan_human.alignment import align as rules  # noqa: E402
from comfyui_figura.pipelines.stylegan_human.alignment import paste  # noqa: E402
from comfyui_figura.pipelines.stylegan_human.configs import V2Config, tiny  # noqa: E402
from comfyui_figura.pipelines.stylegan_human.generate import sample_ws, synthesize  # noqa: E402
from comfyui_figura.pipelines.stylegan_human.inset import compose  # noqa: E402
from comfyui_figura.pipelines.stylegan_human.inset.inset import InsetConfig  # noqa: E402
from comfyui_figura.pipelines.stylegan_human.latents.latent_file import Latents  # noqa: E402

SIZE, NAN = (240, 160), float("nan")
FACE = V2Config(32, square=True, z_dim=32, w_dim=32, channel_base=512, channel_max=24)


def photo(count=1):
    return torch.rand(count, *SIZE, 3, generator=torch.Generator().manual_seed(0)) * 0.8


def mask(count=1):
    out = torch.zeros(count, *SIZE)
    out[:, 20:220, 60:100] = 1
    return out


def people(*counts, missing=()):
    joints = np.ones((1, 17, 3))
    joints[..., :2] = 80, 120
    joints[:, list(missing), 2] = 0
    return to_frames([Pose(joints.repeat(count, 0), SIZE) for count in counts])


def align(
    image=None, person=None, pose=None, height=64, background="white", several="refuse", if_bad="error",
    **more,
):  # fmt: skip
    return FiguraStyleGANAlign.execute(
        photo() if image is None else image, mask() if person is None else person,
        people(1) if pose is None else pose, height, background, several, if_bad, **more,
    )  # fmt: skip


def test_align_gives_what_the_pipeline_gives():
    images, records, masks = align(photo(2), mask(2), people(1, 1)).result
    assert images.shape == (2, 64, 32, 3) and masks.shape == (2, 64, 32) and len(records) == 2
    assert images.is_contiguous() and 0 <= images.min() <= images.max() <= 1
    pose = Pose(np.array([[[80.0, 120, 1]] * 17]), SIZE)
    config = rules.AlignConfig((64, 32))
    for i in range(2):
        expected, record = rules.align(photo(2)[i : i + 1], mask(), pose, config)
        assert torch.equal(images[i : i + 1], expected) and records[i].box == record.box
    assert masks[:, 30, 16].eq(1).all() and masks[:, 0].eq(0).all()


def test_one_pose_and_one_mask_for_a_batch():
    assert align(photo(3), mask(1), people(1)).result[0].shape[0] == 3


def test_bad_photos_of_a_batch_are_left_out_and_named():
    out = align(photo(3), mask(3), people(1, 2, 1), if_bad="skip")
    assert out.result[0].shape[0] == len(out.result[1]) == 2
    assert "image 2" in str(out.ui.as_dict()) and "2 people" in str(out.ui.as_dict())
    with pytest.raises(FiguraInputError, match="image 2"):
        align(photo(3), mask(3), people(1, 2, 1))
    with pytest.raises(FiguraInputError, match="no photo that can be aligned"):
        align(photo(2), mask(2), people(2, 2), if_bad="skip")


def test_paste_back_gives_what_the_pipeline_gives():
    images, records, _ = align().result
    image, here, uncovered = paste_back(images * 0.5, records)
    expected = paste.paste_back(photo(), images * 0.5, records[0])
    assert torch.equal(image, expected.image) and torch.equal(here, expected.mask)
    assert uncovered.shape == here.shape == (1, *SIZE) and image.is_contiguous()
    assert torch.equal(image[here == 0], photo()[here == 0])


def paste_back(
    edited, alignment, image=None, outline="edited person", feather=2.0, person=None, tolerance=0.06
):  # fmt: skip
    return FiguraStyleGANPasteBack.execute(
        photo() if image is None else image, edited, alignment, outline, feather, person, tolerance
    ).result


def test_a_sweep_returns_to_one_photo():
    images, records, _ = align().result
    assert paste_back(images.expand(4, -1, -1, -1), records)[0].shape == (4, *SIZE, 3)


BAD_ALIGN = {
    "no person": ({"person": mask() * 0}, "empty mask"),
    "mask of another size": ({"person": torch.ones(1, 10, 10)}, "as the photo"),
    "two masks for one photo": ({"person": mask(2)}, "2 masks"),
    "mask with NaN": ({"person": mask() * NAN}, "NaN"),
    "nobody": ({"pose": people(0)}, "nobody"),
    "two people": ({"pose": people(2)}, "2 people"),
    "missing hips": ({"pose": people(1, missing=(11, 12))}, "hip"),
    "frames for two": ({"pose": people(1, 1)}, "2 frames"),
    "no pose at all": ({"pose": []}, "pose"),
    "pose of another type": ({"pose": "person"}, "pose"),
    "one pixel": ({"image": torch.zeros(1, 1, 1, 3), "person": torch.ones(1, 1, 1)}, "(1 x 1|canvas)"),
    "empty batch": ({"image": torch.zeros(0, 8, 8, 3)}, "empty"),
    "two channels": ({"image": torch.zeros(1, 240, 160, 2)}, "2 channels"),
    "picture with NaN": ({"image": photo() * NAN}, "NaN"),
    "unknown background": ({"background": "green"}, "green"),
    "unknown several": ({"several": "both"}, "both"),
    "unknown if_bad": ({"if_bad": "cry"}, "cry"),
    "unknown top": ({"cut_off_at_top": "no"}, "no"),
    "no height": ({"height": 0}, "aligned size"),
}


@pytest.mark.parametrize("case", BAD_ALIGN)
def test_align_refuses(case):
    changes, words = BAD_ALIGN[case]
    with pytest.raises(FiguraInputError, match=words):
        align(**changes)


BAD_PASTE = {
    "no alignment": ({"alignment": None}, "alignment"),
    "alignment of another type": ({"alignment": [1]}, "alignment"),
    "photo of another size": ({"image": torch.zeros(1, 10, 10, 3)}, "very photo"),
    "two photos for three edits": ({"edited": torch.ones(3, 64, 32, 3), "image": photo(2)}, "2 for 3"),
    "mask of another size": ({"person": torch.ones(1, 7, 7)}, "as the edited"),
    "unknown outline": ({"outline": "shadow"}, "shadow"),
    "feather not a number": ({"feather": NAN}, "feather"),
    "edited with NaN": ({"edited": torch.full((1, 64, 32, 3), NAN)}, "NaN"),
    "empty edits": ({"edited": torch.zeros(0, 64, 32, 3)}, "empty"),
}


@pytest.mark.parametrize("case", BAD_PASTE)
def test_paste_back_refuses(case):
    changes, words = BAD_PASTE[case]
    images, records, _ = align().result
    with pytest.raises(FiguraInputError, match=words):
        paste_back(**({"edited": images, "alignment": records} | changes))


def test_choices_are_the_pipeline_s():
    assert (nodes.BACKGROUNDS, nodes.SEVERAL, nodes.TOUCHING, nodes.OUTLINES) == (
        rules.BACKGROUNDS, rules.SEVERAL, rules.TOUCHING, paste.OUTLINES)  # fmt: skip


@pytest.fixture(scope="module")
def networks():
    with torch.inference_mode(False):
        return {"body": host.as_patcher(random_generator(tiny(2))),
                "face": host.as_patcher(random_generator(FACE, 1))}  # fmt: skip


def latent(patcher, seed=1):
    return Latents(sample_ws(patcher.model, [seed], 0.6))


def inset(networks, steps=(1, 2, 2), film_every=2, pose=None, pose_model=KEEP_BOX, **changes):
    latents = {f"{name}_latent": latent(networks[name]) for name in ("body", "face")}
    given = networks | latents | changes
    return FiguraStyleGANInset.execute(
        given["body"], given["face"], given["body_latent"], given["face_latent"], steps[2], pose_model, pose,
        steps[0], steps[1], film_every, given.get("perceptual"),
    )  # fmt: skip


def test_inset_equals_the_pipeline(networks):
    """Bit for bit, although ComfyUI calls under inference mode."""
    out = inset(networks)
    image, before, film, body_latent, face_latent = out.result
    with torch.inference_mode(False):
        made = {key: Latents(latent(value).ws.clone()) for key, value in networks.items()}
        expected = compose.inset(
            networks["face"].model, networks["body"].model, made["face"], made["body"], PixelsAndGradients(),
            config=InsetConfig(1, 2, 2),
        )  # fmt: skip
    assert torch.equal(image, to_image(expected.image)) and torch.equal(before, to_image(expected.before))
    assert torch.equal(body_latent.ws, expected.body_ws) and torch.equal(face_latent.ws, expected.face_ws)
    assert film.shape == (3, 64, 32, 3) and 0 <= film.min() <= film.max() <= 1
    assert not image.requires_grad and not body_latent.ws.requires_grad
    assert "no LPIPS weights" in str(out.ui.as_dict())


def test_the_users_measure_is_used(networks):
    class Doubled(PixelsAndGradients):
        title = "the user's own"

        def features(self, pixels):
            return super().features(pixels) * 2

    out = inset(networks, perceptual=host.as_patcher(Doubled()))
    assert "the user's own" in str(out.ui.as_dict())
    assert not torch.equal(out.result[0], inset(networks).result[0])


def test_weights_made_in_inference_mode_will_do(networks):
    """As on a GPU, where ComfyUI moves weights while nodes run."""
    moved = {}
    for name, patcher in networks.items():
        moved[name] = host.as_patcher(random_generator(patcher.model.config))
        assert any(parameter.is_inference() for parameter in moved[name].model.parameters())
    assert torch.isfinite(inset(moved).result[0]).all()


def test_without_a_film_the_film_is_the_result(networks):
    out = inset(networks, film_every=0)
    assert torch.equal(out.result[2], out.result[0])


def test_a_pose_gives_the_box(networks):
    """Found at another size than the network draws: scaled."""
    joints = np.ones((1, 17, 3))
    joints[..., :2] = 80, 200
    joints[0, :3, :2] = (80, 66), (90, 58), (70, 58)
    out = inset(networks, pose=to_frames([Pose(joints, (256, 128))]))
    note = str(out.ui.as_dict())
    x0, y0, x1, y1 = (int(word) for word in re.search(r"Face at \((.*?)\)", note)[1].split(","))
    assert abs((x0 + x1) / 2 - 20) <= 1 and abs((y0 + y1) / 2 - 15) <= 1.5 and 18 <= x1 - x0 <= 22


def test_the_face_is_looked_for_with_a_pose_model(networks, monkeypatch):
    seen = []

    def detect(image, *others):
        seen.append(tuple(image.shape))
        joints = np.ones((1, 17, 3))
        joints[0, :3, :2] = (16, 20), (19, 17), (13, 17)
        return [Pose(joints if len(seen) < 3 else joints[:0], (64, 32))]

    monkeypatch.setattr(inset_bridge.pose_bridge, "detect", detect)
    monkeypatch.setattr(inset_bridge.pose_bridge, "estimator_path", lambda name: name)
    inset(networks, (1, 51, 0), pose_model="vitpose")
    assert seen == [(1, 64, 32, 3)] * 3, "at the beginning, and at steps 0 and 50 of the second stage"


def test_interrupt_stops_within_a_step_and_leaves_the_networks(networks, monkeypatch):
    before = synthesize(networks["body"].model, latent(networks["body"]).ws)
    calls = []

    def interrupted():
        calls.append(1)
        if len(calls) == 3:
            raise management.InterruptProcessingException

    monkeypatch.setattr(management, "throw_exception_if_processing_interrupted", interrupted)
    with pytest.raises(management.InterruptProcessingException):
        inset(networks, (5, 5, 5))
    assert len(calls) == 3
    monkeypatch.undo()
    assert torch.is_inference_mode_enabled()
    assert torch.equal(synthesize(networks["body"].model, latent(networks["body"]).ws), before)
    assert all(parameter.requires_grad for parameter in networks["body"].model.parameters())


def test_edits_travel_on(networks):
    from comfyui_figura.pipelines.stylegan_human.latents.edit import direction_in_w

    edits = ((direction_in_w(torch.ones(32), [2]), 1.0),)
    given = Latents(latent(networks["body"]).ws, edits=edits)
    out = inset(networks, body_latent=given).result
    assert out[3].edits is edits
    plain = inset(networks).result[1]
    assert not torch.equal(out[1], plain), "the body merely pasted into is drawn with its edit"


BAD_INSET = {
    "a face network as body": ({"body": "face"}, "twice as high as wide"),
    "a body network as face": ({"face": "body"}, "square network"),
    "latent of another network": ({"body_latent": Latents(torch.zeros(1, 18, 512))}, "body latent"),
    "latent of another type": ({"face_latent": {"samples": 1}}, "face_latent"),
    "latent with NaN": ({"face_latent": Latents(torch.full((1, 8, 32), NAN))}, "NaN"),
    "empty latent": ({"face_latent": Latents(torch.zeros(0, 8, 32))}, "empty"),
    "negative steps": ({"steps": (-1, 1, 1)}, "face steps"),
    "unknown pose model": ({"pose_model": "../vitpose"}, "model"),
    "pose without a face": ({"pose": people(1, missing=(0, 1, 2))}, "eye"),
    "pose of nobody": ({"pose": people(0)}, "nobody"),
    "pose of another type": ({"pose": 3}, "pose"),
    "a measure of another type": ({"perceptual": "lpips"}, "perceptual"),
}


@pytest.mark.parametrize("case", BAD_INSET)
def test_inset_refuses(networks, case):
    changes, words = dict(BAD_INSET[case][0]), BAD_INSET[case][1]
    for place in ("body", "face"):
        if place in changes:
            changes[place] = networks[changes[place]]
    with pytest.raises(FiguraInputError, match=words):
        inset(networks, **changes)
