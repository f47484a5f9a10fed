"""The renderer: a pure function of (seed, index), and its labels tell the truth about its pixels."""

from dataclasses import replace
from functools import lru_cache

import numpy as np
import pytest
from comfyui_figura.pipelines.common.errors import FiguraInputError
from comfyui_figura.pipelines.mannequin import captions, classes
from comfyui_figura.pipelines.mannequin.configs import (
    STYLES,
    WorldConfig,
    catalogue,
    crowd,
    portraits,
    studio,
)
from comfyui_figura.pipelines.mannequin.palette import CLOTHES
from comfyui_figura.pipelines.mannequin.scene import render

COUNT = 24


@pytest.mark.parametrize("config", [portraits(), catalogue(), crowd(), studio(110, 75)])
def test_same_seed_and_index_give_the_same_picture_in_any_order(config):
    forward = [render(config, 5, index) for index in range(6)]
    backward = [render(config, 5, index) for index in reversed(range(6))][::-1]
    for one, other in zip(forward, backward, strict=True):
        assert np.array_equal(one.image, other.image)
        assert np.array_equal(one.parts, other.parts)
        assert np.array_equal(one.iuv(), other.iuv())
        assert all(
            np.array_equal(p.keypoints, q.keypoints) for p, q in zip(one.people, other.people, strict=True)
        )
        assert [p.look for p in one.people] == [p.look for p in other.people]


def test_seed_and_index_both_change_the_picture():
    first = render(portraits(), 1, 1).image
    assert not np.array_equal(first, render(portraits(), 1, 2).image)
    assert not np.array_equal(first, render(portraits(), 2, 1).image)


@pytest.mark.parametrize("size", [(16, 16), (33, 65), (128, 64), (64, 128), (321, 97), (512, 256)])
def test_any_size_is_drawn_with_matching_labels(size):
    picture = render(WorldConfig(*size, people=(1, 3)), 3, 4)
    assert picture.image.shape == (*size, 3) and picture.image.dtype == np.uint8
    assert picture.parts.shape == picture.owners.shape == size
    assert picture.iuv().shape == (*size, 3)
    assert picture.parts.max() <= 17 and picture.owners.max() <= len(picture.people)
    assert (picture.owners > 0).any()


def test_style_changes_pixels_and_never_labels_or_poses():
    pictures = [render(WorldConfig(96, 96, styles=(style,)), 8, 2) for style in STYLES]
    for picture in pictures[1:]:
        assert np.array_equal(picture.parts, pictures[0].parts)
        assert np.array_equal(picture.people[0].keypoints, pictures[0].people[0].keypoints)
        assert not np.array_equal(picture.image, pictures[0].image)


def test_take_changes_the_pose_and_keeps_clothes_and_background():
    config = studio(110, 75)
    first, second = render(config, 2, 7), render(config, 2, 7, take=1)
    assert first.people[0].look == second.people[0].look and first.backdrop == second.backdrop
    moved = np.abs(first.people[0].keypoints[:, :2] - second.people[0].keypoints[:, :2]).max()
    assert moved > 2


def test_boxes_hold_exactly_the_visible_pixels():
    for index in range(COUNT):
        picture = render(crowd(96, 96), 4, index)
        for number, person in enumerate(picture.people):
            rows, columns = np.nonzero(picture.mask(number))
            if len(rows):
                box = (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
                assert person.box.tolist() == list(map(float, box))
            else:
                assert not person.box.any()


def test_visible_keypoints_lie_on_their_person_and_flags_say_where_joints_are():
    seen = 0
    for index in range(COUNT):
        picture = render(crowd(96, 96), 6, index)
        for number, person in enumerate(picture.people, 1):
            for x, y, flag in person.keypoints:
                inside = 0 <= round(float(x)) < 96 and 0 <= round(float(y)) < 96
                assert (flag > 0) == inside
                if flag == 2:
                    seen += 1
                    assert picture.owners[round(float(y)), round(float(x))] == number
    assert seen > 10 * COUNT


def test_hidden_joints_occur_and_a_back_view_shows_no_face():
    flags = [render(portraits(), 9, index).people[0].keypoints[:, 2] for index in range(COUNT)]
    assert any((flag == 1).any() for flag in flags)
    backs = 0
    for index in range(150):
        person = render(WorldConfig(64, 64, shots=("full_body",)), 10, index).people[0]
        if person.pose.name == "back view":
            backs += 1
            assert (person.keypoints[:3, 2] < 2).all()
    assert backs


def test_a_facing_persons_left_is_on_the_viewers_right():
    for index in range(COUNT):
        keypoints = render(portraits(), 3, index).people[0].keypoints
        for left in (5, 11):  # shoulders, hips; calm people turn less than 40 degrees
            assert keypoints[left, 0] > keypoints[left + 1, 0]


def test_aligned_people_stand_from_5_to_95_percent():
    heights = []
    for index in range(COUNT):
        picture = render(portraits(256, 128), 3, index)
        top, bottom = picture.people[0].box[[1, 3]] / 256
        assert (
            top < 0.13 and 0.92 < bottom < 0.975
        )  # hair style and hats vary the top, camera pitch the soles
        heights.append((top, bottom))
        middle = picture.people[0].keypoints[[5, 6, 11, 12], 0].mean() / 128
        assert abs(middle - 0.5) < 0.09
    assert abs(np.mean([bottom for _, bottom in heights]) - 0.95) < 0.012


def test_studio_people_stay_inside_what_the_parts2whole_loader_keeps():
    config = studio(220, 150)
    cut = (220 - 150 / 0.9) / 2
    for index in range(COUNT):
        for take in (0, 1):
            box = render(config, 1, index, take=take).people[0].box
            assert box[1] >= cut - 4 and box[3] <= 220 - cut + 4  # a pompom may stand out by a few pixels


@lru_cache(maxsize=1)
def _plain_pictures():
    return [render(replace(portraits(160, 80), accessories=0.0), 12, index) for index in range(160)]


@pytest.mark.parametrize(
    ("label", "slot"), [(classes.PANTS, "bottom"), (classes.UPPER, "top"), (classes.SKIRT, "bottom")]
)
def test_the_colour_on_a_label_is_the_named_colour(label, slot):
    """Median pixel of a plain garment, nearest named colour: at least 97 % right (issue 6: readable
    colours)."""
    names, table = list(CLOTHES), np.array(list(CLOTHES.values()))
    right = total = 0
    for picture in _plain_pictures():
        garment = getattr(picture.people[0].look, slot)
        pixels = picture.image[picture.parts == label]
        if garment is None or garment.second or len(pixels) < 30:
            continue
        nearest = names[int(((table - np.median(pixels, 0)) ** 2).sum(1).argmin())]
        right, total = right + (nearest == garment.color), total + 1
    assert total > 12 and right / total >= 0.97


def test_shot_names_what_the_frame_shows():
    shots = set()
    for index in range(60):
        picture = render(catalogue(96, 96), 2, index)
        person = picture.people[0]
        shots.add(person.shot)
        ankles = person.keypoints[15:, 2].max() > 0
        if person.shot == "full_body" and person.pose.name not in ("kicking", "running"):
            assert ankles
        if person.shot in ("upper_body", "portrait", "headshot"):
            assert not ankles
    assert len(shots) >= 4


def test_people_cover_each_other_in_depth_order():
    """Where two people overlap, the later (nearer) one is seen."""
    found = 0
    for index in range(40):
        picture = render(WorldConfig(96, 96, people=(3, 4), shots=("full_body",)), 21, index)
        for far, near in zip(picture.people, picture.people[1:], strict=False):
            assert near.placement.scale >= far.placement.scale
        found += any((person.keypoints[:, 2] == 1).any() for person in picture.people[:-1])
    assert found


def test_window_draws_a_piece_afresh():
    config = studio(110, 75)
    whole = render(config, 3, 3)
    x0, y0, x1, y1 = whole.people[0].box
    tall = (y1 - y0) / 2
    window = (float(x0), float(y0), float(x0 + tall * 75 / 110), float(y0 + tall))
    near = render(config, 3, 3, window=window)
    factor = 110 / tall
    expected = (whole.people[0].keypoints[:, :2] + 0.5 - (x0, y0)) * factor - 0.5
    assert np.allclose(near.people[0].keypoints[:, :2], expected, atol=1e-3)


def test_every_class_but_none_beyond_appears_in_a_large_sample():
    seen = set()
    for index in range(250):
        seen |= set(np.unique(render(WorldConfig(96, 64, accessories=2.0), 1, index).parts).tolist())
    assert seen == set(range(18))


@pytest.mark.parametrize(
    "bad",
    [
        {"height": 8},
        {"width": 5000},
        {"height": 64.5},
        {"width": True},
        {"people": (0, 1)},
        {"people": (3, 2)},
        {"people": (1, 9)},
        {"shots": ()},
        {"shots": ("feet",)},
        {"styles": ("oil",)},
        {"scenery": 1.5},
        {"accessories": -1},
        {"band": 0.0},
    ],
)
def test_bad_worlds_are_refused_in_words(bad):
    with pytest.raises(FiguraInputError, match="wanted"):
        WorldConfig(**bad)


@pytest.mark.parametrize("seed", [-1, 2**64, 1.5, "1"])
def test_bad_seeds_are_refused(seed):
    with pytest.raises(FiguraInputError, match="seed"):
        render(portraits(), seed, 0)


def test_visible_classes_are_those_of_the_part_map():
    picture = render(portraits(), 1, 1)
    assert set(captions.visible_classes(picture, 0)) <= set(np.unique(picture.parts).tolist())
