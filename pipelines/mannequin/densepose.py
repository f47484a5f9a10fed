"""Raw DensePose-like IUV of the bodies under the clothes.

Blue is the part 1..24 (0 = background), red is V and green is U, 0..255, as in Parts2Whole's pictures.
Which way U and V run on each part was read off two of the pictures published with Parts2Whole (standing
people seen from the front); the rear parts, which those do not show, mirror the front ones. Surfaces are
cylinders, so values are alike in kind to DensePose's, not equal to what the network would say.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import atan2, degrees
from typing import TYPE_CHECKING

import numpy as np

from . import body, heads
from .skeleton import Skeleton

if TYPE_CHECKING:
    from .scene import Picture

TORSO_BACK, TORSO_FRONT = 1, 2
HAND, FOOT = {"r": 3, "l": 4}, {"l": 5, "r": 6}
THIGH_BACK, THIGH_FRONT = {"r": 7, "l": 8}, {"r": 9, "l": 10}
SHIN_BACK, SHIN_FRONT = {"r": 11, "l": 12}, {"r": 13, "l": 14}
UPPER_ARM_INNER, UPPER_ARM_OUTER = {"l": 15, "r": 16}, {"l": 17, "r": 18}
FOREARM_INNER, FOREARM_OUTER = {"l": 19, "r": 20}, {"l": 21, "r": 22}
HEAD_RIGHT, HEAD_LEFT = 23, 24


@dataclass
class Surface:
    """One body segment on the picture: its ring, and the frame in which its pixels get coordinates."""

    kind: str
    side: str
    rings: list[body.Rows]
    start: np.ndarray
    end: np.ndarray
    yaw: float
    """Where the segment's own front points, degrees: 0 at us, + to the viewer's right."""


def draw_iuv(picture: Picture) -> np.ndarray:
    """IUV of everybody in the picture, nearer people over farther ones: uint8 [H, W, 3] as (V, U, I)."""
    import cv2

    height, width = picture.owners.shape
    numbers = np.zeros((height, width), np.uint16)
    drawn: list[tuple[Surface, float, np.ndarray]] = []
    for person in picture.people:
        for surface in surfaces(person.skeleton):
            drawn.append((surface, person.placement.scale, person.placement.offset))
            for left, right in surface.rings:
                ring = person.placement.pixels(np.concatenate([left, right[::-1]])) - 0.5
                points = np.round(np.clip(ring, -3e4, 3e4) * 16).astype(np.int32)
                cv2.fillPoly(numbers, [points], len(drawn), shift=4)
    iuv = np.zeros((height, width, 3), np.uint8)
    for number, (surface, scale, offset) in enumerate(drawn, 1):
        rows, columns = np.nonzero(numbers == number)
        if len(rows):
            points = (np.stack([columns, rows], 1) + 0.5 - offset) / scale
            iuv[rows, columns] = _coordinates(surface, points)
    return iuv


def surfaces(s: Skeleton) -> list[Surface]:
    """The segments of a body, farthest first, in the order in which figures are painted."""
    trunk_yaw = degrees(atan2(s.torso[0, 2], s.torso[2, 2]))
    hip_yaw = degrees(atan2(s.pelvis[0, 2], s.pelvis[2, 2]))
    depth = (s["neck"][2] + s["pelvis"][2]) / 2
    far, near = [], []
    for side in sorted("lr", key=lambda side: float(s[f"{side}_elbow"][2] + s[f"{side}_wrist"][2])):
        z = float(s[f"{side}_elbow"][2] + s[f"{side}_wrist"][2] * 1.5 + s[f"{side}_shoulder"][2] * 0.5) / 3
        (near if z - depth > -0.022 else far).extend(_arm(s, side, trunk_yaw))
    legs: list[Surface] = []
    for side in sorted("lr", key=lambda side: float(s[f"{side}_knee"][2] + 0.6 * s[f"{side}_ankle"][2])):
        legs += _leg(s, side, hip_yaw)
    trunk = Surface(
        "trunk", "", [body.trunk(s, "collar", "crotch")], s["neck"][:2], s["pelvis"][:2] * 1.0, trunk_yaw
    )
    trunk.end = s["neck"][:2] + (s["pelvis"] - s["neck"])[:2] * 1.17
    return [*far, *legs, trunk, _head(s), *near]


def _arm(s: Skeleton, side: str, yaw: float) -> list[Surface]:
    shoulder, elbow, wrist, hand = (
        s[f"{side}_{joint}"][:2] for joint in ("shoulder", "elbow", "wrist", "hand")
    )
    return [
        Surface("hand", side, body.hand(s, side), wrist, hand, yaw),
        Surface("forearm", side, [body.forearm(s, side)], elbow, wrist, yaw),
        Surface("upper arm", side, [body.upper_arm(s, side)], shoulder, elbow, yaw),
    ]


def _leg(s: Skeleton, side: str, yaw: float) -> list[Surface]:
    hip, knee, ankle, heel, toe = (
        s[f"{side}_{joint}"][:2] for joint in ("hip", "knee", "ankle", "heel", "toe")
    )
    return [
        Surface("foot", side, [body.shoe(s, side)], heel, toe, yaw),
        Surface("shin", side, [body.shin(s, side)], knee, ankle, yaw),
        Surface("thigh", side, [body.thigh(s, side)], hip, knee, yaw),
    ]


def _head(s: Skeleton) -> Surface:
    up = s.head[:2, 1] * s.build.head[1]
    yaw = degrees(atan2(s.head[0, 2], s.head[2, 2]))
    skull = s["skull"][:2]
    return Surface(
        "head", "", [body.neck(s), heads.Head(s).outline(1.03)], skull - up * 1.05, skull + up * 1.45, yaw
    )


def _coordinates(surface: Surface, points: np.ndarray) -> np.ndarray:
    """(V, U, I) uint8 [n, 3] of points [n, 2] on one segment."""
    axis = surface.end - surface.start
    length = max(1e-6, float(np.hypot(*axis)))
    u = axis / length if length > 0.01 else np.array((0.0, 1.0))
    offset = points - surface.start
    along = np.clip(offset @ u / length, 0, 1)
    across = offset @ np.array(
        (u[1], -u[0])
    )  # positive: to the right of a viewer for a segment that hangs down
    reach = np.maximum(1e-6, np.abs(across).max())
    seen = np.degrees(np.arcsin(np.clip(across / reach, -1, 1)))
    around = (seen - surface.yaw + 180) % 360 - 180  # 0 at the body's front, + towards its left
    part, u_value, v_value = _PARTS[surface.kind](surface.side, along, around)
    values = np.stack([np.clip(v_value, 0.02, 0.98) * 255, np.clip(u_value, 0.02, 0.98) * 255], 1)
    return np.concatenate([np.round(values), part[:, None]], 1).astype(np.uint8)


Values = tuple[np.ndarray, np.ndarray, np.ndarray]


def _back(around: np.ndarray) -> np.ndarray:
    """Degrees from the middle of the back, + towards the body's left."""
    return np.where(around >= 0, 180 - around, -180 - around)


def _trunk(side: str, along: np.ndarray, around: np.ndarray) -> Values:
    front = np.abs(around) <= 90
    part = np.where(front, TORSO_FRONT, TORSO_BACK)
    return part, along, 0.5 - np.where(front, around, _back(around)) / 270


def _head_values(side: str, along: np.ndarray, around: np.ndarray) -> Values:
    left = around >= 0
    return np.where(left, HEAD_LEFT, HEAD_RIGHT), np.where(left, around / 180, 1 + around / 180), 1 - along


def _lateral(side: str, around: np.ndarray) -> np.ndarray:
    """Degrees from the limb's front towards the outside of the body."""
    return around if side == "l" else -around


def _split(side: str, around: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Whether a point is on the inner surface of an arm, and its angle from the front, outward positive."""
    angle = _lateral(side, around)
    return (angle < 25) & (angle > -155), angle


def _upper_arm(side: str, along: np.ndarray, around: np.ndarray) -> Values:
    inner, angle = _split(side, around)
    v_inner = 0.5 + (angle + 90) / 115 * 0.4
    v_outer = 0.95 - (np.where(angle < -155, angle + 360, angle) - 25) / 180 * 0.85
    part = np.where(inner, UPPER_ARM_INNER[side], UPPER_ARM_OUTER[side])
    return part, along, np.where(inner, v_inner, v_outer)


def _forearm(side: str, along: np.ndarray, around: np.ndarray) -> Values:
    inner, angle = _split(side, around)
    part = np.where(inner, FOREARM_INNER[side], FOREARM_OUTER[side])
    u_value = np.where(inner, 0.94 - 0.78 * along, 0.15 + 0.80 * along)
    return part, u_value, np.where(inner, 0.5 - (angle + 90) / 115 * 0.4, 0.92 - 0.56 * along)


def _limb_values(
    front: dict[str, int], back: dict[str, int], side: str, along: np.ndarray, around: np.ndarray
) -> Values:
    """Legs: U falls from hip to ankle, V from the inside to the outside of the front."""
    ahead = np.abs(around) <= 90
    turn = _lateral(side, np.where(ahead, around, _back(around)))
    part = np.where(ahead, front[side], back[side])
    return part, 0.92 - 0.78 * along, 0.58 - turn / 90 * 0.34


def _thigh(side: str, along: np.ndarray, around: np.ndarray) -> Values:
    return _limb_values(THIGH_FRONT, THIGH_BACK, side, along, around)


def _shin(side: str, along: np.ndarray, around: np.ndarray) -> Values:
    return _limb_values(SHIN_FRONT, SHIN_BACK, side, along, around)


def _hand(side: str, along: np.ndarray, around: np.ndarray) -> Values:
    return np.full(len(along), HAND[side]), 0.3 + 0.4 * along, 0.15 + 0.6 * along


def _foot(side: str, along: np.ndarray, around: np.ndarray) -> Values:
    return np.full(len(along), FOOT[side]), along, 0.5 + around / 400


_PARTS = {
    "trunk": _trunk, "head": _head_values, "upper arm": _upper_arm, "forearm": _forearm, "hand": _hand,
    "thigh": _thigh, "shin": _shin, "foot": _foot,
}  # fmt: skip
