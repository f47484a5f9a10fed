"""Poses: conventions, POSE_KEYPOINT, files, and every change to them."""

import json
import pickle

import numpy as np
import pytest
from comfyui_figura.pipelines.common.errors import FiguraInputError
from comfyui_figura.pipelines.pose.canvas import canvas_for, fit_to
from comfyui_figura.pipelines.pose.conventions import COCO_MIRROR, PLACES, mirror_order, to_coco
from comfyui_figura.pipelines.pose.drawn import is_skeleton
from comfyui_figura.pipelines.pose.files import FORMATS, load_pose, load_poses, save_poses
from comfyui_figura.pipelines.pose.library import ready_pose
from comfyui_figura.pipelines.pose.limbs import Proportions, blend, proportions_of, retarget
from comfyui_figura.pipelines.pose.openpose import from_frames, to_frames
from comfyui_figura.pipelines.pose.openpose_drawing import PALETTE, draw_openpose
from comfyui_figura.pipelines.pose.pose import Pose, areas, empty
from comfyui_figura.pipelines.pose.transform import merge, mirror, pick_people, transform
from hypothesis import given, settings
from hypothesis import strategies as st


def other_packs_frame(body: int = 18) -> dict:
    """What a whole-body estimator of another pack writes: hands and face beside the body, some absent."""
    rng = np.random.default_rng(body)

    def flat(count: int) -> list[float]:
        points = rng.uniform(20, 480, (count, 3))
        points[:, 2] = rng.uniform(0.1, 1, count)
        points[count // 2] = 0
        return points.reshape(-1).tolist()

    first = {
        "pose_keypoints_2d": flat(body), "face_keypoints_2d": flat(70), "foot_keypoints_2d": flat(6),
        "hand_left_keypoints_2d": flat(21), "hand_right_keypoints_2d": None,
    }  # fmt: skip
    second = {"pose_keypoints_2d": flat(body), "person_id": [-1], "pose_keypoints_3d": []}
    return {"people": [first, second], "canvas_width": 512, "canvas_height": 768, "version": "ap10k"}


@pytest.mark.parametrize("body", sorted(PLACES))
def test_frames_of_other_packs_come_back_unchanged(body):
    frames = [other_packs_frame(body), {"people": [], "canvas_width": 64, "canvas_height": 32}]
    assert to_frames(from_frames(json.loads(json.dumps(frames)))) == frames


def test_frames_between_0_and_1_become_pixels_and_come_back():
    frame = other_packs_frame()
    for person in frame["people"]:
        for key, value in person.items():
            if key.endswith("2d") and value:
                array = np.array(value).reshape(-1, 3) / [512, 768, 1]
                person[key] = array.reshape(-1).tolist()
    pose = from_frames([frame])[0]
    assert pose.people[..., 0].max() > 100
    back = to_frames([pose], fractions=True)[0]
    for came, went in zip(frame["people"], back["people"], strict=True):
        assert np.allclose(came["pose_keypoints_2d"], went["pose_keypoints_2d"], atol=1e-12)


def test_a_single_dictionary_and_nobody_are_frames_too():
    frame = other_packs_frame()
    assert len(from_frames(frame)[0]) == 2
    for nobody in ([], None):
        assert len(from_frames({**frame, "people": nobody})[0]) == 0


def test_a_person_with_hands_only_is_kept():
    frame = {"people": [{"pose_keypoints_2d": None, "hand_left_keypoints_2d": [1.0, 2.0, 1.0] * 21}],
             "canvas_width": 64, "canvas_height": 64}  # fmt: skip
    assert to_frames(from_frames([frame])) == [frame]


@settings(max_examples=200, deadline=None)
@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=3),
        lambda inner: (
            st.lists(inner, max_size=4)
            | st.dictionaries(
                st.sampled_from(["people", "canvas_width", "canvas_height", "pose_keypoints_2d", "score"]),
                inner,
            )
        ),
        max_leaves=12,
    )
)
def test_any_value_is_a_pose_or_told(value):
    try:
        poses = from_frames(value)
    except FiguraInputError:
        return
    assert all(isinstance(pose, Pose) for pose in poses)
    json.dumps(to_frames(poses))


def test_conventions_agree():
    """Nose, left and right shoulder, right wrist, left ankle in every set."""
    for count, places in PLACES.items():
        joints = np.zeros((count, 3))
        joints[:, 0] = np.arange(count)
        assert to_coco(joints)[:, 0].tolist() == places.tolist()
        order = mirror_order(count)
        assert (order[order] == np.arange(count)).all()
        assert (order[places] == places[COCO_MIRROR]).all()
    assert PLACES[18][[0, 5, 6, 10, 15]].tolist() == [0, 5, 2, 4, 13]
    assert PLACES[25][[0, 5, 6, 10, 15]].tolist() == [0, 5, 2, 4, 14]


def test_mirroring_twice_changes_nothing_and_hands_change_sides():
    pose = from_frames(other_packs_frame())[0]
    once = mirror(pose)
    assert once.details[0]["hand_left_keypoints_2d"] is None
    twice = mirror(once)
    assert np.allclose(twice.people, pose.people)
    for came, went in zip(pose.details, twice.details, strict=True):
        assert all(np.allclose(came[k], went[k]) for k in came if isinstance(came[k], np.ndarray))


def test_a_mirrored_person_still_faces_you():
    joints = mirror(ready_pose("standing")).people[0]
    assert joints[5, 0] > joints[6, 0]
    assert mirror(ready_pose("standing"), swap=False).people[0, 5, 0] < joints[6, 0] + 1


def test_missing_joints_stay_missing():
    pose = ready_pose("from_behind")
    for changed in (
        mirror(pose), transform(pose, 2, 30, 0.1, 0.1), fit_to(pose, (512, 512)),
        retarget(pose, Proportions(legs=2)), blend(pose, mirror(pose), 0.3),
    ):  # fmt: skip
        assert (changed.people[0, :3] == 0).all()


def test_transform_about_each_person_keeps_their_middles():
    pose = ready_pose("three_people")
    small = transform(pose, 0.5, each=True)
    assert np.allclose(areas(small), areas(pose) / 4)
    turned = transform(pose, 1, 90)
    assert np.allclose(transform(turned, 1, -90).people, pose.people)


def test_canvas_change_brings_joints_along():
    """The trap of HumanSD's demo: joints of a large picture drawn on a canvas of 512."""
    large = Pose(ready_pose("standing").people * [4, 4, 1], (3072, 2048))
    fitted = fit_to(large, canvas_for(large.size), "contain")
    assert fitted.size == (768, 512) and fitted.source_size == (3072, 2048)
    assert np.allclose(fitted.people, ready_pose("standing").people)
    filled = fit_to(large, (400, 300), "people", margin=0.1)
    points = filled.people[0, :, :2]
    assert np.isclose(points[:, 1].min(), 40) and np.isclose(points[:, 1].max(), 360)


def test_pick_people():
    pose = ready_pose("group")
    pose = merge([pose, Pose(np.zeros((1, 17, 3)), pose.size, np.array([0.9]))])
    assert len(pick_people(pose)) == 5
    assert areas(pick_people(pose, 2)).tolist() == sorted(areas(pose))[::-1][:2]
    left = pick_people(pose, order="left to right").people[:, 0, 0]
    assert (np.diff(left) > 0).all()


def bone(joints: np.ndarray, a: int, b: int) -> np.ndarray:
    return joints[b, :2] - joints[a, :2]


def test_retarget_changes_lengths_and_keeps_angles():
    pose = ready_pose("dancing")
    changed = retarget(pose, Proportions(legs=1.5, arms=0.5))
    for a, b, factor in ((11, 13, 1.5), (14, 16, 1.5), (5, 7, 0.5), (8, 10, 0.5), (5, 6, 1.0)):
        before, after = bone(pose.people[0], a, b), bone(changed.people[0], a, b)
        assert np.allclose(after, before * factor)
    assert np.isclose(changed.people[0, :, 1].max(), pose.people[0, :, 1].max()), "stands on the same ground"


def test_proportions_of_a_reference_are_met():
    plain = ready_pose("standing")
    child = retarget(plain, Proportions(legs=0.7, arms=0.8, head=1.3))
    given = proportions_of(plain.people[0], child.people[0])
    assert np.allclose(retarget(plain, given).people, child.people)


def test_blends_keep_limbs_long():
    """Halfway from arms down to arms up, a straight mean would shorten the arms; turning does not."""
    first, second = ready_pose("standing"), fit_to(ready_pose("arms_raised"), (768, 512))
    half = blend(first, second, 0.5)
    lengths = [np.linalg.norm(bone(pose.people[0], 5, 7)) for pose in (first, half, second)]
    assert np.isclose(lengths[1], (lengths[0] + lengths[2]) / 2)
    assert blend(first, second, 0) is first and blend(first, second, 1) is second
    assert len(blend(ready_pose("three_people"), ready_pose("two_people"), 0.4)) == 3
    assert len(blend(ready_pose("three_people"), ready_pose("two_people"), 0.6)) == 2


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("name", ["standing", "group", "nobody"])
def test_files_come_back(tmp_path, kind, name):
    pose = ready_pose(name) if name != "nobody" else empty((64, 96))
    [path] = save_poses(tmp_path / "p", [pose], kind)
    loaded = load_pose(path, pose.size)
    assert loaded.size == pose.size
    assert np.allclose(loaded.people, pose.people, atol=1e-4)  # npz keeps float32
    assert [entry.name for entry in tmp_path.iterdir()] == [path.name]


def test_several_frames_in_files(tmp_path):
    poses = [ready_pose("standing"), ready_pose("walking")]
    assert len(load_poses(save_poses(tmp_path / "a", poses)[0])) == 2
    assert len(save_poses(tmp_path / "b", poses, "npz")) == 2


def test_no_pickle_is_executed(tmp_path):
    class Evil:
        def __reduce__(self):
            return open, (str(tmp_path / "canary"), "w")

    for name, arrays in {
        "object": {"keypoints": np.array([Evil()], object)},
        "humansd": {"arr_0": np.array([{"keypoints": Evil()}], object)},
    }.items():
        path = tmp_path / f"{name}.npz"
        np.savez(path, **arrays)
        with pytest.raises(FiguraInputError, match=path.name):
            load_poses(path)
    assert pickle.loads(pickle.dumps(Evil())).name.endswith("canary")  # noqa: S301  the bait works
    (tmp_path / "canary").unlink()
    with pytest.raises(FiguraInputError):
        load_poses(tmp_path / "humansd.npz")
    assert not (tmp_path / "canary").exists()


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b"[1]", b"null", b'"x"', b"PK\x03\x04", b"\xff\xfe", b"[" * 5000,
                b'{"people": 1}', b'{"annotations": [1]}', b'[{"keypoints": "x"}]',
                b'[{"keypoints": [1, 2]}]']
)  # fmt: skip
def test_broken_files_are_told(tmp_path, content):
    path = tmp_path / "broken.json"
    path.write_bytes(content)
    with pytest.raises(FiguraInputError, match="broken.json"):
        load_poses(path)


def test_coco_annotations_give_a_pose_for_each_picture(tmp_path):
    joints = ready_pose("standing").people[0].reshape(-1).tolist()
    path = tmp_path / "coco.json"
    annotations = [{"image_id": 7, "keypoints": joints}, {"image_id": 3, "keypoints": joints},
                   {"image_id": 7, "keypoints": joints}]  # fmt: skip
    path.write_text(
        json.dumps({"images": [{"id": 7, "height": 800, "width": 600}], "annotations": annotations})
    )
    poses = load_poses(path)
    assert [len(pose) for pose in poses] == [1, 2] and poses[1].size == (800, 600)


def test_skeleton_pictures_are_told_from_photographs():
    palettes = [np.array(PALETTE), np.array(PALETTE) * 0.6]
    drawn = draw_openpose(ready_pose("two_people").people, 512, 768)
    assert is_skeleton(drawn, [np.concatenate(palettes)])
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 256, (64, 64, 3), np.uint8)
    night = np.zeros((64, 64, 3), np.uint8)
    night[20:40, 20:40] = noise[:20, :20]
    white = np.full((64, 64, 3), 255, np.uint8)
    for other in (noise, night, white, np.zeros_like(white)):
        assert not is_skeleton(other, palettes)
