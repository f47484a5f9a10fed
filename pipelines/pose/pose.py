"""The Pose: people in a picture, their joints in pixels of one canvas."""

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from ..common.errors import FiguraInputError
from .conventions import to_coco

Size = tuple[int, int]  # height, width
MAX_SIDE = 16384


@dataclass(frozen=True)
class Pose:
    """People in one picture.

    Attributes:
        people: float64 [N, 17, 3], COCO joints as x, y (pixels of the canvas) and score. A joint with score
            0 or less is missing; its x and y mean nothing.
        size: the canvas that x and y belong to, as (height, width).
        scores: float64 [N], how sure the estimator was of each person; NaN where nobody said.
        source_size: (height, width) of the picture the people were found in, before any resizing; None if
            unknown.
        details: what besides the 17 joints came with each person: arrays [K, 3] under OpenPose's names (body
            with neck and feet, hands, face), and other entries as they came. The arrays follow every move.
        extra: entries of the frame that are not ours to understand; handed on.
    """

    people: np.ndarray
    size: Size
    scores: np.ndarray = field(default_factory=lambda: np.zeros(0))
    source_size: Size | None = None
    details: tuple[dict[str, Any], ...] = ()
    extra: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        people = np.asarray(self.people, np.float64)
        people = to_coco(people) if people.size else np.zeros((0, 17, 3))
        if people.ndim != 3 or people.shape[2] != 3:
            raise FiguraInputError("pose", f"joints of shape {list(people.shape)}", "[people, joints, 3]")
        count = len(people)
        scores = np.asarray(self.scores, np.float64).reshape(-1)
        scores = scores if len(scores) == count else np.full(count, np.nan)
        details = self.details if len(self.details) == count else tuple({} for _ in range(count))
        object.__setattr__(self, "people", _without_broken_joints(people))
        object.__setattr__(self, "size", check_size(self.size))
        object.__setattr__(self, "scores", scores)
        object.__setattr__(self, "details", details)

    def __len__(self) -> int:
        return len(self.people)

    def pick(self, order: Any) -> "Pose":
        """The same canvas with only these people, in this order (indices or a mask [N])."""
        order = np.asarray(order)
        indices = np.flatnonzero(order) if order.dtype == bool else order.astype(int)
        return replace(
            self,
            people=self.people[indices],
            scores=self.scores[indices],
            details=tuple(self.details[index] for index in indices),
        )

    def with_people(self, people: np.ndarray) -> "Pose":
        """The same people with other joints [N, 17, 3]; without details, which did not make that change."""
        return replace(self, people=people, details=())


def empty(size: Size) -> Pose:
    """Nobody, on a canvas of ``size``."""
    return Pose(np.zeros((0, 17, 3)), size)


def seen(people: np.ndarray, threshold: float = 0.0) -> np.ndarray:
    """Which joints count, [..., 17] bool: score above ``threshold``."""
    return people[..., 2] > threshold


def boxes(pose: Pose, threshold: float = 0.0) -> np.ndarray:
    """The rectangle around each person's seen joints, float64 [N, 4] as x0, y0, x1, y1; zeros without
    joints.
    """
    out = np.zeros((len(pose), 4))
    for index, joints in enumerate(pose.people):
        points = joints[seen(joints, threshold), :2]
        if len(points):
            out[index] = [*points.min(0), *points.max(0)]
    return out


def areas(pose: Pose, threshold: float = 0.0) -> np.ndarray:
    """The area of each person's rectangle in px², [N]."""
    box = boxes(pose, threshold)
    return (box[:, 2] - box[:, 0]) * (box[:, 3] - box[:, 1])


def check_size(size: Size, what: str = "canvas") -> Size:
    """Return (height, width) as whole numbers, or say what is wrong with them."""
    try:
        height, width = (int(side) for side in size)
    except (TypeError, ValueError, OverflowError):
        raise FiguraInputError(what, f"a size of {size!r}", "height and width in pixels") from None
    if not (1 <= height <= MAX_SIDE and 1 <= width <= MAX_SIDE):
        raise FiguraInputError(what, f"{width} x {height} pixels", f"1 to {MAX_SIDE} pixels a side")
    return height, width


def _without_broken_joints(people: np.ndarray) -> np.ndarray:
    return np.where(np.isfinite(people).all(-1, keepdims=True), people, 0.0)
