"""IUV: raw part numbers in blue, on the right side of the body, under the clothes."""

import numpy as np
from comfyui_figura.pipelines.mannequin import densepose
from comfyui_figura.pipelines.mannequin.configs import WorldConfig, portraits
from comfyui_figura.pipelines.mannequin.scene import render

FULL = WorldConfig(160, 120, shots=("full_body",))


def part_at(iuv, keypoint):
    x, y = np.round(keypoint[:2]).astype(int)
    return int(iuv[y, x, 2])


def test_blue_is_a_part_number_and_background_is_black():
    for index in range(20):
        iuv = render(FULL, 1, index).iuv()
        assert iuv[..., 2].max() <= 24
        assert not iuv[iuv[..., 2] == 0].any()
        assert (iuv[iuv[..., 2] > 0][:, :2].max(0) > 200).all()  # U and V use their range


def test_all_24_parts_occur():
    seen = set()
    for index in range(150):
        seen |= set(np.unique(render(FULL, 2, index).iuv()[..., 2]).tolist())
    assert seen == set(range(25))


def test_a_person_facing_us_shows_the_front_and_its_own_sides():
    hits = total = 0
    for index in range(30):
        picture = render(portraits(192, 96), 4, index)
        iuv, keypoints = picture.iuv(), picture.people[0].keypoints
        counts = np.bincount(iuv[..., 2].ravel(), minlength=25)
        assert counts[densepose.TORSO_FRONT] > 4 * counts[densepose.TORSO_BACK]
        for k, wanted in (
            (7, (15, 17, 19, 21)),
            (8, (16, 18, 20, 22)),
            (13, (8, 10, 12, 14)),
            (14, (7, 9, 11, 13)),
        ):
            if keypoints[k, 2] == 2:
                total += 1
                hits += part_at(iuv, keypoints[k]) in wanted
    assert total > 60 and hits / total > 0.97  # another limb may lie over a joint seen through a gap


def test_a_back_view_shows_the_back():
    found = 0
    for index in range(200):
        picture = render(FULL, 5, index)
        if picture.people[0].pose.name == "back view":
            counts = np.bincount(picture.iuv()[..., 2].ravel(), minlength=25)
            assert counts[densepose.TORSO_BACK] > counts[densepose.TORSO_FRONT]
            found += 1
    assert found


def test_directions_match_the_published_pictures():
    """On the front of the trunk U grows downward and V towards the person's right, as in Parts2Whole's
    examples."""
    for index in range(10):
        iuv = render(portraits(192, 96), 6, index).iuv().astype(float)
        rows, columns = np.nonzero(iuv[..., 2] == densepose.TORSO_FRONT)
        if len(rows) < 50:
            continue
        v, u = iuv[rows, columns, 0], iuv[rows, columns, 1]
        assert np.corrcoef(u, rows)[0, 1] > 0.9 and np.corrcoef(v, columns)[0, 1] < -0.8


def test_bodies_lie_inside_their_people():
    """The body is under the clothes: hardly any IUV pixel outside the drawn person (edges only)."""
    for index in range(20):
        picture = render(portraits(192, 96), 7, index)
        body = picture.iuv()[..., 2] > 0
        assert (body & (picture.owners == 0)).sum() / body.sum() < 0.06
