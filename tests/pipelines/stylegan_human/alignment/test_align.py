"""Alignment of photos: what is refused, what is padded, and what the record says. Numbers: tests/golden."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from comfyui_figura.pipelines.common.errors import FiguraInputError
from comfyui_figura.pipelines.pose.pose import Pose
from comfyui_figura.pipelines.stylegan_human.alignment.align import AlignConfig, align, largest_blob
from comfyui_figura.pipelines.stylegan_human.alignment.white_background import white_background
from hypothesis import given, settings
from hypothesis import strategies as st

SIZE = (240, 160)
HIPS, SHOULDERS = (11, 12), (5, 6)


def photo(size=SIZE):
    return torch.rand(1, *size, 3, generator=torch.Generator().manual_seed(0)) * 0.8


def mask(box=(60, 20, 100, 220), size=SIZE):
    out = torch.zeros(1, *size)
    out[:, box[1] : box[3], box[0] : box[2]] = 1
    return out


def pose(x=80.0, people=1, size=SIZE, missing=()):
    joints = np.zeros((people, 17, 3))
    joints[..., 0], joints[..., 1], joints[..., 2] = x, size[0] / 2, 1
    joints[:, list(missing), 2] = 0
    return Pose(joints, size)


def test_result_and_record():
    image, record = align(photo(), mask(), pose())
    assert image.shape == (1, 1024, 512, 3) and image.dtype == torch.float32
    assert 0 <= image.min() and image.max() <= 1 and record.size == (1024, 512)
    assert torch.equal(record.mask, mask()[0]) and record.source_size == SIZE
    x0, y0, x1, y1 = record.box
    assert (
        abs((y1 - y0) - 2 * (x1 - x0)) <= 1 and y0 < 20 and 220 < y1 and (x0 + x1) / 2 == pytest.approx(80, 1)
    )


def test_background_is_white_or_kept():
    image, _ = align(photo(), mask(), pose())
    kept, record = align(photo(), mask(), pose(), AlignConfig(background="keep"))
    assert image[0, 0, 0].eq(1).all() and not kept[0, 0, 0].eq(1).all() and not record.whitened
    assert torch.allclose(image[0, 512, 256], kept[0, 512, 256])


def test_size_of_the_smaller_models():
    image, record = align(photo(), mask(), pose(), AlignConfig(size=(512, 256)))
    assert image.shape[1:3] == record.size == (512, 256)


def test_the_largest_of_several_people():
    several = pose(people=2)
    several.people[1, :, :2] = several.people[1, :, :2] * 0.1
    joints = np.array([[0, 0], [40, 90]])
    several.people[0, :2, :2] = joints
    image, _ = align(photo(), mask(), several, AlignConfig(several="largest"))
    assert image.shape[0] == 1


def test_bystanders_outside_the_mask_do_not_count():
    """The published script looks for people on the whitened picture; here the mask tells who is meant."""
    several = pose(people=2)
    several.people[1, :, 0] = 150
    assert align(photo(), mask(), several)[1].box == align(photo(), mask(), pose())[1].box
    with pytest.raises(FiguraInputError, match="none inside the mask"):
        align(photo(), mask(), Pose(several.people[[1, 1]], SIZE))


def test_cut_off_at_the_top_can_be_allowed():
    cut_off = mask((60, 0, 100, 200))
    with pytest.raises(FiguraInputError, match="upper edge"):
        align(photo(), cut_off, pose())
    _, record = align(photo(), cut_off, pose(), AlignConfig(touching="allow"))
    assert record.box[1] < 0


def test_soft_masks_count_from_the_threshold_on():
    soft = mask() * 0.6 + 0.01
    assert largest_blob(soft[0].numpy()) == (60, 20, 99, 219)
    with pytest.raises(FiguraInputError, match="empty mask"):
        largest_blob(soft[0].numpy(), 0.7)


def test_without_neck_but_with_shoulders():
    """The neck is the middle of the shoulders where a pose has no neck of its own."""
    _, record = align(photo(), mask(), pose())
    moved = pose()
    moved.people[0, list(SHOULDERS), 0] = 70, 90
    assert align(photo(), mask(), moved)[1].box == record.box


BAD = {
    "no person in the mask": ({"mask": mask() * 0}, "empty mask"),
    "specks only": ({"mask": mask((60, 20, 64, 24))}, "pixels high"),
    "mask of another size": ({"mask": mask(size=(120, 80))}, "as the photo"),
    "mask with NaN": ({"mask": mask() * float("nan")}, "NaN"),
    "mask of another type": ({"mask": "person.png"}, "str"),
    "nobody in the pose": ({"pose": pose(people=0)}, "nobody"),
    "two people": ({"pose": pose(people=2)}, "2 people"),
    "no hips": ({"pose": pose(missing=HIPS)}, "hip"),
    "one hip": ({"pose": pose(missing=HIPS[:1])}, "no left hip"),
    "no shoulders": ({"pose": pose(missing=SHOULDERS)}, "no neck"),
    "too few joints": ({"pose": pose(missing=(0, 1, 2, 3))}, "14 of 18"),
    "pose of another picture": ({"pose": pose(size=(480, 320))}, "canvas"),
    "pose far away": ({"pose": pose(x=1e6)}, "away from"),
    "pose beside the body": ({"pose": pose(x=155), "mask": mask((0, 20, 2, 220))}, "away"),
    "one pixel": ({"image": torch.zeros(1, 1, 1, 3), "mask": torch.ones(1, 1, 1)}, "1 x 1"),
    "empty batch": ({"image": torch.zeros(0, 240, 160, 3)}, "empty batch"),
    "five channels": ({"image": torch.zeros(1, 240, 160, 5)}, "5 channels"),
    "picture with NaN": ({"image": photo() * float("nan")}, "NaN"),
    "unknown background": ({"config": AlignConfig(background="blue")}, "blue"),
    "unknown choice for several": ({"config": AlignConfig(several="all")}, "all"),
    "unknown choice for the top": ({"config": AlignConfig(touching="cut")}, "cut"),
    "no size": ({"config": AlignConfig(size=(0, 0))}, "aligned size"),
}


@pytest.mark.parametrize("case", BAD)
def test_refuses(case):
    changes, words = BAD[case]
    with pytest.raises(FiguraInputError, match=words):
        align(**{"image": photo(), "mask": mask(), "pose": pose()} | changes)


@settings(max_examples=60, deadline=None)
@given(
    x0=st.integers(0, 140), width=st.integers(2, 160), top=st.integers(1, 120), height=st.integers(80, 240),
    middle=st.floats(0, 159),
)  # fmt: skip
def test_any_box_is_twice_as_high_as_wide_and_holds_the_body(x0, width, top, height, middle):
    """Where the published script wrote squeezed strips: every body and every middle."""
    body = mask((x0, top, min(x0 + width, 160), min(top + height, 240)))
    x1, y1 = min(x0 + width, 160), min(top + height, 240)
    if y1 - top <= 17 or not body.any() or not x0 - 30 <= middle <= x1 + 30:
        return  # too small, or a pose of somebody else
    image, record = align(photo(), body, pose(middle))
    bx0, by0, bx1, by1 = record.box
    assert image.shape == (1, 1024, 512, 3)
    assert abs((by1 - by0) - 2 * (bx1 - bx0)) <= 3  # halves are cut to whole pixels
    assert bx0 <= x0 + 1 and x1 - 1 <= bx1 + 1 and by0 <= top and y1 - 1 <= by1


def test_inputs_are_not_written():
    image, person, joints = photo(), mask(), pose()
    kept = image.clone(), person.clone(), joints.people.copy()
    align(image, person, joints)
    assert torch.equal(image, kept[0]) and torch.equal(person, kept[1]) and (joints.people == kept[2]).all()


def test_white_background():
    """Person from the photo, the rest near white; no pixel of the photo far outside the person."""
    picture = np.full((60, 40, 3), 90, np.uint8)
    seg = np.zeros_like(picture)
    seg[15:45, 10:30] = 255
    out = white_background(picture, seg)
    assert (abs(out[20:40, 15:25].astype(int) - 90) <= 1).all() and (out[:10] > 200).all()
    for bad in ((picture, seg[:30]), (picture.astype(float), seg), (picture[..., 0], seg[..., 0])):
        with pytest.raises(FiguraInputError):
            white_background(*bad)


def test_records_compare_by_identity():
    _, record = align(photo(), mask(), pose())
    assert record != replace(record)
