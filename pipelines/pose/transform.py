"""Changes to where people are: mirror, move, scale, rotate, pick, merge. Missing joints stay missing."""

from dataclasses import replace
from typing import Any, Literal

import numpy as np

from ..common.errors import FiguraInputError
from .conventions import COCO_MIRROR, mirror_order
from .openpose import BODY
from .pose import Pose, areas, boxes

Order = Literal["area", "score", "left to right"]
ORDERS: tuple[Order, ...] = ("area", "score", "left to right")
_PAIRS = {
    "hand_left_keypoints_2d": "hand_right_keypoints_2d",
    "hand_right_keypoints_2d": "hand_left_keypoints_2d",
}


def moved(pose: Pose, matrix: np.ndarray) -> Pose:
    """Apply an affine map [2, 3] to every seen joint and detail; scores stay."""
    details = tuple(
        {
            key: _mapped(value, matrix) if isinstance(value, np.ndarray) else value
            for key, value in one.items()
        }
        for one in pose.details
    )
    return replace(pose, people=_mapped(pose.people, matrix), details=details)


def _mapped(points: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    out = points.copy()
    here = points[..., 2] > 0
    out[here, :2] = points[here, :2] @ matrix[:, :2].T + matrix[:, 2]
    return out


def mirror(pose: Pose, swap: bool = True) -> Pose:
    """Flip left to right as the picture would be. ``swap``: the person's left becomes their right, as it must
    for the flipped person to stand the same way; without it only the drawing is flipped.
    """
    flipped = moved(pose, np.array([[-1.0, 0, pose.size[1] - 1], [0, 1.0, 0]]))
    if not swap:
        return flipped
    details = tuple(_swapped(one) for one in flipped.details)
    return replace(flipped, people=flipped.people[:, COCO_MIRROR], details=details)


def _swapped(detail: dict[str, Any]) -> dict[str, Any]:
    out = {_PAIRS.get(key, key): value for key, value in detail.items()}
    for key, value in out.items():
        if isinstance(value, np.ndarray):
            out[key] = value[_mirror_points(key, len(value))]
    return out


def _mirror_points(key: str, count: int) -> np.ndarray:
    if key == BODY and count == 133:  # feet, face of 68, left hand, right hand behind the body
        hands = np.r_[112:133, 91:112]
        return np.r_[mirror_order(17), 20:23, 17:20, 23 + _face_mirror(68), hands]
    if key == BODY:
        return mirror_order(count)
    if key.startswith("face") and count in (68, 70):
        return _face_mirror(count)
    if key.startswith("foot") and count == 6:
        return np.r_[3:6, 0:3]
    return np.arange(count)


def _face_mirror(count: int) -> np.ndarray:
    """The 68 landmarks of iBUG (two eye centres may follow): jaw, brows, nose, eyes, mouth."""
    pairs = [
        *((i, 16 - i) for i in range(8)), *((17 + i, 26 - i) for i in range(5)), (31, 35), (32, 34),
        (36, 45), (37, 44), (38, 43), (39, 42), (40, 47), (41, 46), (48, 54), (49, 53), (50, 52),
        (55, 59), (56, 58), (60, 64), (61, 63), (65, 67), *([(68, 69)] if count == 70 else []),
    ]  # fmt: skip
    order = np.arange(count)
    for a, b in pairs:
        order[a], order[b] = b, a
    return order


def transform(
    pose: Pose, scale: float = 1.0, degrees: float = 0.0, x: float = 0.0, y: float = 0.0, each: bool = False
) -> Pose:
    """Scale and turn (clockwise) about a centre, then move by ``x``, ``y`` canvas widths and heights.

    Args:
        each: about each person's own middle instead of the middle of the canvas.
    """
    if not np.isfinite([scale, degrees, x, y]).all() or scale <= 0:
        raise FiguraInputError("scale", f"{scale}", "a number above 0")
    shift = np.array([x * pose.size[1], y * pose.size[0]])
    if not each:
        return moved(pose, _about(np.array([pose.size[1], pose.size[0]]) / 2, scale, degrees, shift))
    box = boxes(pose)
    parts = [
        moved(pose.pick([i]), _about((box[i, :2] + box[i, 2:]) / 2, scale, degrees, shift))
        for i in range(len(pose))
    ]
    return merge(parts) if parts else pose


def _about(centre: np.ndarray, scale: float, degrees: float, shift: np.ndarray) -> np.ndarray:
    angle = np.deg2rad(degrees)
    linear = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return np.concatenate([linear, (centre - linear @ centre + shift)[:, None]], 1)


def pick_people(
    pose: Pose, count: int = 0, order: Order = "area", threshold: float = 0.0, least: int = 1
) -> Pose:
    """Keep the first ``count`` people (0: all) in the given order, of those with ``least`` joints seen."""
    if order not in ORDERS:
        raise FiguraInputError("order", f"'{order}'", " or ".join(ORDERS))
    pose = pose.pick((pose.people[..., 2] > threshold).sum(1) >= least)
    if order == "area":
        ranks = -areas(pose, threshold)
    elif order == "score":
        ranks = -np.where(np.isfinite(pose.scores), pose.scores, pose.people[..., 2].mean(1))
    else:
        ranks = boxes(pose)[:, [0, 2]].mean(1)
    indices = np.argsort(ranks, kind="stable")
    return pose.pick(indices[:count] if count > 0 else indices)


def merge(poses: list[Pose]) -> Pose:
    """Everyone of several poses on the canvas of the first, whose size all must share."""
    if not poses:
        raise FiguraInputError("pose", "none", "at least one pose")
    for pose in poses[1:]:
        if pose.size != poses[0].size:
            raise FiguraInputError(
                "pose", f"canvases of {poses[0].size[::-1]} and {pose.size[::-1]}", "one size for all",
                "Put them on one canvas with Fit Pose to Canvas first.",
            )  # fmt: skip
    return replace(
        poses[0],
        people=np.concatenate([pose.people for pose in poses]),
        scores=np.concatenate([pose.scores for pose in poses]),
        details=tuple(detail for pose in poses for detail in pose.details),
    )
