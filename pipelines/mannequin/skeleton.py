"""Joint angles to joints in space. Units are statures (1 = a standard person), x to the viewer's right,
y down, z towards the viewer; the pelvis is the origin, projection is orthographic."""

from dataclasses import dataclass
from math import cos, radians, sin, sqrt

import numpy as np

from .looks import Look
from .poses import Arm, Leg, Pose

CAMERA_PITCH = 9.0  # degrees; seen a little from above, so that feet and laps show


@dataclass(frozen=True)
class Build:
    """Sizes of one body in statures: lengths of bones, half-widths of flesh."""

    head: tuple[float, float, float]
    """Half-width, half-height, half-depth of the head."""
    neck: float
    spine: float
    shoulder: float
    """Half distance of the shoulder joints."""
    hip: float
    upper_arm: float
    forearm: float
    hand: float
    thigh: float
    shin: float
    foot: float
    girth: float
    """Factor on the thickness of limbs and trunk."""
    chest: float
    waist: float
    pelvis: float
    feet: float = 1.0
    """Factor on the thickness of shoes."""


def build_of(look: Look, big: float = 1.0) -> Build:
    """Proportions for gender, body shape and stature. A little over six heads high, hands and feet not
    small; ``big`` scales head, hands and shoes."""
    size, female = look.stature, look.gender == "female"
    girth = {"slim": 0.9, "fit": 1.0, "plump": 1.22}[look.body]
    wide = 1 + (girth - 1) * 0.75
    waist = 0.062 if female else 0.071
    return Build(
        head=(0.054 * big, 0.073 * big, 0.062 * big),
        neck=0.040 * size,
        spine=0.300 * size,
        shoulder=(0.083 if female else 0.096) * (0.97 + 0.03 * girth),
        hip=(0.047 if female else 0.044) * wide,
        upper_arm=0.158 * size,
        forearm=0.138 * size,
        hand=0.064 * size * (0.6 + 0.4 * big),
        thigh=0.222 * size,
        shin=0.218 * size,
        foot=0.112 * size * (0.5 + 0.5 * big),
        girth=girth * (0.93 if female else 1.04),
        chest=(0.079 if female else 0.089) * wide,
        waist=waist * (1 + (girth - 1) * (1.25 if look.body == "plump" else 0.8)),
        pelvis=(0.086 if female else 0.080) * wide,
        feet=big,
    )


@dataclass(frozen=True)
class Skeleton:
    """Joints [3] by name (``l_`` and ``r_`` are the person's own sides) and the frames of trunk and head."""

    joints: dict[str, np.ndarray]
    torso: np.ndarray
    """Rotation [3, 3]: columns are the trunk's left, down and forward directions."""
    pelvis: np.ndarray
    head: np.ndarray
    build: Build

    def __getitem__(self, name: str) -> np.ndarray:
        return self.joints[name]

    @property
    def ground(self) -> float:
        """The y of the lowest point of the feet."""
        return (
            max(self.joints[f"{s}_{j}"][1] for s in "lr" for j in ("heel", "toe")) + 0.018 * self.build.feet
        )


def rotation(axis: str, degrees: float) -> np.ndarray:
    """Rotation matrix [3, 3] about x, y or z."""
    c, s = cos(radians(degrees)), sin(radians(degrees))
    rows = {
        "x": ((1, 0, 0), (0, c, -s), (0, s, c)),
        "y": ((c, 0, s), (0, 1, 0), (-s, 0, c)),
        "z": ((c, -s, 0), (s, c, 0), (0, 0, 1)),
    }[axis]
    return np.array(rows, dtype=np.float64)


def _unit(v: np.ndarray) -> np.ndarray:
    return v / max(1e-9, sqrt(float(v @ v)))


def _arm_directions(arm: Arm, side: int) -> tuple[np.ndarray, np.ndarray]:
    """Upper arm and forearm as unit vectors in the trunk's frame; side +1 = left."""
    a, f, e = radians(arm.abduct), radians(arm.flex), radians(arm.elbow)
    upper = np.array((side * sin(a), cos(a) * cos(f), cos(a) * sin(f) if arm.abduct < 90 else sin(f)))
    upper = _unit(upper)
    out, down, forward = arm.bend
    bend = np.array((side * out, down, forward))
    bend = _unit(bend - (bend @ upper) * upper)
    return upper, cos(e) * upper + sin(e) * bend


def _leg_directions(leg: Leg, side: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Thigh, shin and foot as unit vectors in the pelvis' frame."""
    a, f, k = radians(leg.abduct), radians(leg.flex), radians(leg.knee)
    thigh = np.array((side * sin(a), cos(a) * cos(f), cos(a) * sin(f)))
    back = np.array(
        (0.0, sin(f), -cos(f))
    )  # where the heel goes: square to the thigh, in the plane of its swing
    shin = cos(k) * thigh + sin(k) * back
    forward = np.array((side * 0.30, 0.0, 1.0))
    foot = _unit(forward - 0.75 * (forward @ shin) * shin)
    return thigh, shin, foot


def solve(pose: Pose, build: Build) -> Skeleton:
    """Forward kinematics: where every joint of ``build`` is in ``pose``."""
    view = rotation("x", CAMERA_PITCH)
    turned = view @ rotation("y", pose.yaw)
    pelvis = turned @ rotation("z", pose.hip_tilt)
    torso = turned @ rotation("x", pose.bow) @ rotation("y", pose.twist) @ rotation("z", pose.lean)
    girdle = torso @ rotation("z", pose.shoulder_tilt)
    head = view @ rotation("y", pose.yaw + pose.head_yaw) @ rotation("x", pose.head_pitch + pose.bow * 0.3)
    head = head @ rotation("z", pose.head_roll)
    joints = {"pelvis": np.zeros(3)}
    joints["neck"] = joints["pelvis"] - torso[:, 1] * build.spine
    joints["skull"] = (
        joints["neck"] - torso[:, 1] * build.neck - head[:, 1] * build.head[1] * 0.86 + head[:, 2] * 0.012
    )
    for name, side in (("l", 1), ("r", -1)):
        _hang_arm(joints, name, side, pose.left_arm if side > 0 else pose.right_arm, girdle, build)
        _hang_leg(joints, name, side, pose.left_leg if side > 0 else pose.right_leg, pelvis, build)
    return Skeleton(joints, torso, pelvis, head, build)


def _hang_arm(
    joints: dict[str, np.ndarray], name: str, side: int, arm: Arm, girdle: np.ndarray, b: Build
) -> None:
    upper, lower = (girdle @ direction for direction in _arm_directions(arm, side))
    rise = max(0.0, arm.abduct - 60) / 110  # the shoulder goes up and in with a raised arm
    joints[f"{name}_shoulder"] = joints["neck"] + girdle @ np.array(
        (side * b.shoulder * (1 - 0.14 * rise), 0.045 - 0.044 * rise, 0)
    )
    joints[f"{name}_elbow"] = joints[f"{name}_shoulder"] + upper * b.upper_arm
    joints[f"{name}_wrist"] = joints[f"{name}_elbow"] + lower * b.forearm
    joints[f"{name}_hand"] = joints[f"{name}_wrist"] + lower * b.hand


def _hang_leg(
    joints: dict[str, np.ndarray], name: str, side: int, leg: Leg, pelvis: np.ndarray, b: Build
) -> None:
    thigh, shin, foot = (pelvis @ direction for direction in _leg_directions(leg, side))
    joints[f"{name}_hip"] = pelvis @ np.array((side * b.hip, 0.012, 0))
    joints[f"{name}_knee"] = joints[f"{name}_hip"] + thigh * b.thigh
    joints[f"{name}_ankle"] = joints[f"{name}_knee"] + shin * b.shin
    joints[f"{name}_heel"] = joints[f"{name}_ankle"] + shin * 0.026 - foot * b.foot * 0.20
    joints[f"{name}_toe"] = joints[f"{name}_ankle"] + shin * 0.030 + foot * b.foot * 0.72
