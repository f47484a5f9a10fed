"""Face boxes: FFHQ's rule, from landmarks and from joints; dlib through its missing-package error."""

import builtins
import sys
import types

import numpy as np
import pytest
import torch
from comfyui_figura.pipelines.common.errors import FiguraInputError, FiguraMissingPackage
from comfyui_figura.pipelines.pose.pose import Pose
from comfyui_figura.pipelines.stylegan_human.inset.face_box import (
    LANDMARKS,
    box_by_experience,
    box_of_landmarks,
    box_of_pose,
    dlib_finder,
    features_box,
    ffhq_box,
)

SIZE = (1024, 512)


def landmarks(eyes=((100, 100), (140, 100)), mouth=(120, 150)) -> np.ndarray:
    """68 points: both eyes and the mouth's corners where asked, the rest at the mouth."""
    points = np.tile(np.array([*mouth, 1.0]), (68, 1))
    points[36:42, :2], points[42:48, :2] = eyes
    points[48, 0] -= 15
    points[54, 0] += 15
    return points


def upright(eye=40.0, down=50.0):
    """By hand for an upright face: half side max(2 eye, 1.8 down) around eyes + down / 10."""
    half = max(2 * eye, 1.8 * down)
    return half, np.array([120, 100 + 0.1 * down])


@pytest.mark.parametrize("down", [20.0, 50.0, 80.0])
def test_upright_face(down):
    half, centre = upright(down=down)
    x0, y0, x1, y1 = ffhq_box(np.array([100.0, 100]), np.array([140.0, 100]), np.array([120.0, 100 + down]))
    expected = [*(centre - half), *(centre + half)]
    assert np.abs(np.array([x0, y0, x1, y1]) - expected).max() <= 1
    assert x0 <= expected[0] and y1 >= expected[3], "outwards to whole pixels"


def test_a_tilted_face_needs_a_larger_upright_box():
    """A square turned by 45 degrees is sqrt 2 as wide."""
    turn = np.array([[1, -1], [1, 1]]) / np.sqrt(2)
    points = [np.array([100.0, 100]), np.array([140.0, 100]), np.array([120.0, 150])]
    plain, tilted = ffhq_box(*points), ffhq_box(*(turn @ point for point in points))
    ratio = (tilted[2] - tilted[0]) / (plain[2] - plain[0])
    assert ratio == pytest.approx(2**0.5, rel=0.02)


def test_landmarks_use_eyes_and_corners_of_the_mouth():
    left, right, mouth = np.array([100.0, 100]), np.array([140.0, 100]), np.array([120.0, 150])
    assert box_of_landmarks(landmarks()) == ffhq_box(left, right, mouth)


def person(nose=(120, 128), **changes) -> Pose:
    joints = np.ones((17, 3)) * 10
    joints[0, :2], joints[1, :2], joints[2, :2] = (
        nose,
        (140, 100),
        (100, 100),
    )  # left eye is right in the picture
    joints[11:, :2] = 120, 900
    for place, score in changes.get("scores", {}).items():
        joints[place, 2] = score
    details = ({LANDMARKS: changes["landmarks"]},) if "landmarks" in changes else ()
    return Pose(joints[None], SIZE, details=details)


def test_joints_guess_the_mouth():
    """Nose 28 below the eyes: mouth 1.8 times as far."""
    expected = ffhq_box(np.array([100.0, 100]), np.array([140.0, 100]), np.array([120.0, 100 + 1.8 * 28]))
    assert box_of_pose(person()) == expected
    assert box_of_pose(person(nose=(130, 128))) == expected, "a turned head: only the way down counts"


def test_landmarks_of_the_pose_are_better_than_joints():
    assert box_of_pose(person(landmarks=landmarks())) == box_of_landmarks(landmarks())
    unseen = landmarks()
    unseen[40, 2] = 0
    assert box_of_pose(person(landmarks=unseen)) == box_of_pose(person())


def test_the_largest_person_counts():
    small = person().people * [0.1, 0.1, 1]
    both = Pose(np.concatenate([small, person().people]), SIZE)
    assert box_of_pose(both) == box_of_pose(person())


@pytest.mark.parametrize("scores", [{0: 0}, {1: 0}, {2: 0}, {1: 0, 2: 0}])
def test_faces_not_seen_are_refused(scores):
    with pytest.raises(FiguraInputError, match="(eye|nose)"):
        box_of_pose(person(scores=scores))


def test_nobody_and_no_size_are_refused():
    with pytest.raises(FiguraInputError, match="nobody"):
        box_of_pose(Pose(np.zeros((0, 17, 3)), SIZE))
    point = np.array([5.0, 5.0])
    with pytest.raises(FiguraInputError, match="one point"):
        ffhq_box(point, point, point)


@pytest.mark.parametrize("size", [(1024, 512), (512, 256), (64, 32)])
def test_by_experience_the_face_is_top_middle(size):
    x0, y0, x1, y1 = box_by_experience(size)
    assert 0 <= y0 < y1 < size[0] / 4 and x0 + x1 == size[1] and (y1 - y0) == (x1 - x0) > 0
    fx0, fy0, fx1, fy1 = features_box((size[0], size[0]))
    assert 0 < fx0 < fx1 < size[0] and 0 < fy0 < fy1 < size[0]


def test_dlib_is_asked_for_by_name(monkeypatch):
    real = builtins.__import__

    def without(name, *args, **kwargs):
        if name == "dlib":
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.delitem(sys.modules, "dlib", raising=False)
    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(FiguraMissingPackage, match="pip install dlib"):
        dlib_finder("shape.dat")


def test_dlib_finds(monkeypatch, tmp_path):
    """A stand-in with dlib's interface: the box comes from the landmarks it gives."""
    points = [types.SimpleNamespace(x=x, y=y) for x, y, _ in landmarks()]
    answers = [[types.SimpleNamespace(rect="rectangle")], []]
    fake = types.SimpleNamespace(
        shape_predictor=lambda path: lambda picture, found: types.SimpleNamespace(parts=lambda: points),
        cnn_face_detection_model_v1=lambda path: lambda picture, up: answers.pop(0),
        get_frontal_face_detector=lambda: lambda picture, up: [],
    )
    monkeypatch.setitem(sys.modules, "dlib", fake)
    with pytest.raises(FiguraInputError, match=r"shape\.dat"):
        dlib_finder(tmp_path / "shape.dat")
    for name in ("shape.dat", "faces.dat"):
        (tmp_path / name).write_bytes(b"dlib")
    find = dlib_finder(tmp_path / "shape.dat", tmp_path / "faces.dat")
    picture = torch.zeros(1, 3, 256, 256)
    assert find(picture) == box_of_landmarks(landmarks()) and find(picture) is None
