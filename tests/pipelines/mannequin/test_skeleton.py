"""The joint-angle model: bones keep their length, joints their limits, sides their names."""

import random

import numpy as np
import pytest
from comfyui_figura.pipelines.mannequin.looks import draw_look
from comfyui_figura.pipelines.mannequin.poses import FAMILIES, draw_pose
from comfyui_figura.pipelines.mannequin.skeleton import build_of, solve

BONES = [
    ("shoulder", "elbow", "upper_arm"),
    ("elbow", "wrist", "forearm"),
    ("hip", "knee", "thigh"),
    ("knee", "ankle", "shin"),
]


@pytest.mark.parametrize("family", FAMILIES)
def test_bones_keep_their_length_in_every_family(family):
    for trial in range(20):
        rng = random.Random(trial)
        build = build_of(draw_look(rng))
        skeleton = solve(draw_pose(rng, (family,)), build)
        for side in "lr":
            for start, end, bone in BONES:
                length = np.linalg.norm(skeleton[f"{side}_{start}"] - skeleton[f"{side}_{end}"])
                assert length == pytest.approx(getattr(build, bone), abs=1e-9)


def test_knees_bend_backward_and_elbows_forward():
    for trial in range(200):
        rng = random.Random(trial)
        pose = draw_pose(rng)
        skeleton = solve(pose, build_of(draw_look(rng)))
        for side, leg in (("l", pose.left_leg), ("r", pose.right_leg)):
            thigh = skeleton[f"{side}_knee"] - skeleton[f"{side}_hip"]
            shin = skeleton[f"{side}_ankle"] - skeleton[f"{side}_knee"]
            turn = np.cross(thigh, shin) @ skeleton.pelvis[:, 0]  # about the body's left axis
            assert leg.knee < 1 or turn < 0
            assert 0 <= leg.knee <= 135
        for arm in (pose.left_arm, pose.right_arm):
            assert 4 <= arm.elbow <= 145 and 4 <= arm.abduct <= 172


def test_yaw_turns_the_face_to_the_viewers_right():
    rng = random.Random(0)
    pose = draw_pose(rng, ("walking",))
    skeleton = solve(pose, build_of(draw_look(rng)))
    assert np.sign(skeleton.torso[0, 2]) == np.sign(pose.yaw)


def test_feet_are_the_lowest_point_when_standing():
    for trial in range(50):
        rng = random.Random(trial)
        skeleton = solve(draw_pose(rng, ("standing", "upright")), build_of(draw_look(rng)))
        assert all(joint[1] <= skeleton.ground for joint in skeleton.joints.values())


def test_builds_differ_by_body_shape():
    looks = [draw_look(random.Random(trial)) for trial in range(60)]
    waist = {
        body: np.mean([build_of(x).waist for x in looks if x.body == body])
        for body in ("slim", "fit", "plump")
    }
    assert waist["slim"] < waist["fit"] < waist["plump"]
