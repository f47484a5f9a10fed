"""The skeleton drawing on input that no golden picture covers."""

import numpy as np
import pytest
from comfyui_figura.pipelines.common.errors import FiguraInputError
from comfyui_figura.pipelines.humansd.skeleton import BONES, PALETTE, WIDTH, draw_skeleton
from comfyui_figura.pipelines.pose.library import pose_names, ready_pose

cv2 = pytest.importorskip("cv2")


def slowly(people: np.ndarray, height: int, width: int, threshold: float) -> np.ndarray:
    """The drawing written down plainly: a thick line and both its discs for every bone."""
    picture = np.zeros((height, width, 3), np.uint8)
    for person in people:
        for (a, b), colour in zip(BONES, PALETTE, strict=True):
            if person[a, 2] > threshold and person[b, 2] > threshold:
                start, end = ((int(person[i, 0]), int(person[i, 1])) for i in (a, b))
                cv2.line(picture, start, end, colour, WIDTH)
                cv2.circle(picture, start, WIDTH // 2, colour, -1)
                cv2.circle(picture, end, WIDTH // 2, colour, -1)
    return picture


@pytest.mark.parametrize("seed", range(5))
def test_equals_the_plain_drawing_inside_the_picture(seed):
    """Inside the picture every OpenCV paints thick lines alike, so this holds whichever is installed."""
    rng = np.random.default_rng(seed)
    people = np.concatenate([rng.uniform(20, 280, (6, 17, 2)), rng.uniform(0, 0.2, (6, 17, 1))], -1)
    people = people.astype(np.float32)
    assert np.array_equal(draw_skeleton(people, 300, 310, 0.05), slowly(people, 300, 310, np.float32(0.05)))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_joints_that_are_no_numbers_are_missing(value):
    person = ready_pose("standing").people.astype(np.float32)
    expected = person.copy()
    expected[0, 9] = 0
    for axis in range(3):
        broken = person.copy()
        broken[0, 9, axis] = value
        assert np.array_equal(draw_skeleton(broken, 768, 512), draw_skeleton(expected, 768, 512))


def test_joints_far_outside_cost_nothing_and_break_nothing():
    person = ready_pose("standing").people.astype(np.float32)
    person[0, 9, :2] = 1e30, -1e30
    picture = draw_skeleton(person, 768, 512)
    assert picture.any() and picture.shape == (768, 512, 3)


def test_nobody_gives_black():
    assert not draw_skeleton(np.zeros((0, 17, 3)), 64, 48).any()
    assert not draw_skeleton([], 64, 48).any()  # pyright: ignore[reportArgumentType]
    assert not draw_skeleton(np.zeros((2, 17, 3)), 64, 48).any()


def test_later_people_cover_earlier_ones():
    person = ready_pose("standing").people
    doubled = np.concatenate([person, person])
    assert np.array_equal(draw_skeleton(doubled, 768, 512), draw_skeleton(person, 768, 512))


def test_the_input_is_not_written():
    people = ready_pose("group").people
    kept = people.copy()
    draw_skeleton(people, 512, 768)
    assert np.array_equal(people, kept)


@pytest.mark.parametrize("shape", [(1, 18, 3), (17, 3), (1, 17, 2)])
def test_other_shapes_are_told(shape):
    with pytest.raises(FiguraInputError, match="COCO"):
        draw_skeleton(np.ones(shape), 64, 64)


@pytest.mark.parametrize("name", pose_names())
def test_ready_poses_stand_inside_their_canvas(name):
    pose = ready_pose(name)
    seen = pose.people[..., 2] > 0
    points = pose.people[seen][:, :2]
    margin = WIDTH // 2
    assert (points >= margin).all()
    assert (points <= np.array([pose.size[1], pose.size[0]]) - margin).all()


def test_ready_poses_know_left_from_right():
    """Facing you, a person's left shoulder and hip are on the picture's right; from behind, on its left."""
    front = ready_pose("standing").people[0]
    back = ready_pose("from_behind").people[0]
    for left, right in ((5, 6), (11, 12), (15, 16)):
        assert front[left, 0] > front[right, 0] and back[left, 0] < back[right, 0]
    assert (back[:3, 2] == 0).all(), "no face from behind"
