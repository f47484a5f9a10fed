"""POSE_KEYPOINT, the type that pose nodes of all packs exchange: a list of frames as OpenPose writes them.

A frame is ``{"canvas_width", "canvas_height", "people": [{"pose_keypoints_2d": [x, y, score, ...], ...}]}``.
COCO's 17 joints travel exactly: OpenPose's 18 are the same ones in another order plus a neck. What other
packs put beside them (hands, face, feet) is kept and moved along. Two keys of our own, which others pass
over: a person's ``score`` and a frame's ``source_size`` [height, width].
"""

import logging
import math
from typing import Any

import numpy as np

from ..common.errors import FiguraInputError
from .conventions import PLACES, coco_to_openpose
from .pose import Pose, Size, check_size

log = logging.getLogger(__name__)
BODY = "pose_keypoints_2d"
_OURS = {"people", "canvas_width", "canvas_height", "source_size"}
_WANTED = "a list of frames as OpenPose writes them ({canvas_width, canvas_height, people})"


def from_frames(frames: Any, size: Size | None = None) -> list[Pose]:
    """Read POSE_KEYPOINT: one Pose for each frame.

    Coordinates between 0 and 1, which some packs write, are taken as fractions of the canvas.

    Args:
        frames: a list of frames, or one frame.
        size: (height, width) to use where a frame does not say its own; otherwise it is told from the joints.
    """
    if isinstance(frames, dict):
        frames = [frames]
    if not isinstance(frames, (list, tuple)) or not frames:
        raise FiguraInputError("pose", _came(frames), _WANTED, "Connect a node that gives POSE_KEYPOINT.")
    return [_read_frame(frame, index, size) for index, frame in enumerate(frames)]


def to_frames(poses: list[Pose], fractions: bool = False) -> list[dict[str, Any]]:
    """Write POSE_KEYPOINT, one frame for each Pose; with ``fractions``, coordinates between 0 and 1."""
    return [_write_frame(pose, fractions) for pose in poses]


def _came(value: Any) -> str:
    return f"an empty {type(value).__name__}" if value in ([], (), {}) else f"a {type(value).__name__}"


def _read_frame(frame: Any, index: int, size: Size | None) -> Pose:
    if not isinstance(frame, dict):
        raise FiguraInputError(f"pose, frame {index + 1}", _came(frame), _WANTED)
    people = frame.get("people") or []
    if not isinstance(people, (list, tuple)):
        raise FiguraInputError(f"pose, frame {index + 1}", f"people as {_came(people)}", _WANTED)
    details = [_read_person(person, f"frame {index + 1}, person {i + 1}") for i, person in enumerate(people)]
    joints = [_coco(person.get(BODY)) for person in details]
    canvas = _canvas(frame, size, joints)
    if joints and _are_fractions(joints, canvas):
        scale = np.array([canvas[1], canvas[0], 1.0])
        joints = [array * scale for array in joints]
        details = [{key: _scaled(value, scale) for key, value in person.items()} for person in details]
    scores = [float(person.pop("score", math.nan)) for person in details]
    source = frame.get("source_size")
    return Pose(
        np.array(joints).reshape(-1, 17, 3), canvas, np.array(scores),
        check_size(source, "source_size") if source is not None else None, tuple(details),
        {key: value for key, value in frame.items() if key not in _OURS},
    )  # fmt: skip


def _coco(body: np.ndarray | None) -> np.ndarray:
    return np.zeros((17, 3)) if body is None else body[PLACES[len(body)]]


def _read_person(person: Any, what: str) -> dict[str, Any]:
    if not isinstance(person, dict):
        raise FiguraInputError(f"pose, {what}", _came(person), "a dictionary with pose_keypoints_2d")
    read: dict[str, Any] = {}
    for key, value in person.items():
        points = key.endswith("_keypoints_2d") and value is not None
        read[key] = _read_points(value, f"pose, {what}, {key}") if points else value
    if not isinstance(read.get("score", 0.0), (int, float)):
        raise FiguraInputError(f"pose, {what}", f"a score of {read['score']!r}", "a number")
    body = read.get(BODY)
    if body is not None and len(body) == 0:
        read[BODY] = None
    elif body is not None and len(body) not in PLACES:
        raise FiguraInputError(
            f"pose, {what}", f"{len(body)} body joints", f"one of {sorted(PLACES)} joints, three numbers each"
        )
    return read


def _read_points(values: Any, what: str) -> np.ndarray:
    """[x, y, score, ...] -> float64 [K, 3]; already nested lists are accepted."""
    try:
        array = np.array(values, dtype=np.float64)
    except (TypeError, ValueError):
        raise FiguraInputError(what, "values that are not numbers", "x, y, score, x, y, score, …") from None
    if array.size % 3:
        raise FiguraInputError(
            what, f"{array.size} numbers", "x, y, score for each joint, so a multiple of 3"
        )
    array = array.reshape(-1, 3)
    return np.where(np.isfinite(array).all(-1, keepdims=True), array, 0.0)


def _canvas(frame: dict, size: Size | None, joints: list[np.ndarray]) -> Size:
    given = frame.get("canvas_height"), frame.get("canvas_width")
    if all(given):
        return check_size(given, "pose, canvas")  # pyright: ignore[reportArgumentType]
    if size is not None:
        return check_size(size)
    points = np.concatenate(joints)[:, :2] if joints else np.zeros((0, 2))
    if not len(points):
        return 512, 512
    width, height = (int(math.ceil(max(side, 1) / 64)) * 64 for side in points.max(0))
    log.warning("The pose does not say how large its picture is; taken as %d x %d", width, height)
    return height, width


def _are_fractions(joints: list[np.ndarray], canvas: Size) -> bool:
    """Whether joints are given as 0..1: no pixel pose has all its joints within 2 px of the corner."""
    points = np.concatenate(joints)
    points = points[points[:, 2] > 0][:, :2]
    return min(canvas) > 8 and len(points) > 0 and bool((np.abs(points) <= 2).all()) and bool(points.any())


def _scaled(value: Any, scale: np.ndarray) -> Any:
    return value * scale if isinstance(value, np.ndarray) else value


def _write_frame(pose: Pose, fractions: bool) -> dict[str, Any]:
    height, width = pose.size
    scale = np.array([1 / width, 1 / height, 1.0]) if fractions else np.ones(3)
    frame: dict[str, Any] = {
        **pose.extra,
        "people": [_write_person(pose, index, scale) for index in range(len(pose))],
        "canvas_height": height,
        "canvas_width": width,
    }
    if pose.source_size is not None:
        frame["source_size"] = list(pose.source_size)
    return frame


def _write_person(pose: Pose, index: int, scale: np.ndarray) -> dict[str, Any]:
    detail = dict(pose.details[index])
    if pose.people[index].any() or detail.get(BODY, ...) is not None:
        detail[BODY] = body_of(pose.people[index], detail.get(BODY))
    person: dict[str, Any] = {
        key: (value * scale).reshape(-1).tolist() if isinstance(value, np.ndarray) else value
        for key, value in detail.items()
    }
    if math.isfinite(pose.scores[index]):
        person["score"] = float(pose.scores[index])
    return person


def body_of(coco: np.ndarray, came: np.ndarray | None) -> np.ndarray:
    """The body array [K, 3] of a person: as it came, with the 17 joints put in their places."""
    if came is None:
        return coco_to_openpose(coco)
    body = came.copy()
    body[PLACES[len(body)]] = coco
    return body
