"""One interface for all estimators: a batch of pictures in, a Pose for each picture out."""

from dataclasses import dataclass
from math import inf
from typing import Protocol

import numpy as np
from torch import Tensor, nn

from ...common.errors import FiguraInputError
from ...common.images import check_image
from ...common.progress import Progress, silent
from ..pose import Pose
from ..transform import Order, pick_people

BACKENDS = ("vitpose", "higherhrnet", "mmpose", "rtmlib")
Found = tuple[np.ndarray, np.ndarray]  # joints [N, K >= 17, 3] in pixels of the picture, scores [N]


class Estimator(Protocol):
    """Finds people in one picture, on the device its weights are on."""

    backend: str
    modules: list[nn.Module]  # the networks to bring to a device; empty when the backend sees to it itself
    needs_boxes: (
        bool  # top-down: works person by person, and takes the whole picture as one person without boxes
    )

    def __call__(self, picture: np.ndarray, boxes: np.ndarray | None = None) -> Found:
        """Args: picture: uint8 RGB [H, W, 3]. boxes: [N, 4] as x0, y0, x1, y1, for top-down ones."""
        ...


class Detector(Protocol):
    """Finds where people stand."""

    modules: list[nn.Module]

    def __call__(self, picture: np.ndarray) -> np.ndarray:
        """uint8 RGB [H, W, 3] -> boxes [N, 4] as x0, y0, x1, y1, most certain first."""
        ...


@dataclass(frozen=True)
class DetectConfig:
    """What counts as found.

    Attributes:
        threshold: a joint that scores less is dropped.
        person_threshold: a person whose score is less is dropped.
        max_people: keep so many of them (0: all).
        order: which ones, and the order of the result.
        least_joints: a person needs so many joints.
    """

    threshold: float = 0.3
    person_threshold: float = 0.0
    max_people: int = 0
    order: Order = "score"
    least_joints: int = 3

    def __post_init__(self) -> None:
        for name, value in (("threshold", self.threshold), ("person threshold", self.person_threshold)):
            if not 0 <= value < inf:
                raise FiguraInputError(name, f"{value:g}", "a number from 0 up")


def estimate(
    image: Tensor,
    estimator: Estimator,
    detector: Detector | None = None,
    boxes: np.ndarray | None = None,
    config: DetectConfig | None = None,
    progress: Progress = silent,
) -> list[Pose]:
    """Find the people of every picture of an IMAGE batch [B, H, W, C].

    Args:
        detector: tells a top-down estimator where people are; without it and without ``boxes`` the whole
            picture is taken as one person.
        boxes: [N, 4] as x0, y0, x1, y1 in pixels, used for every picture instead of the detector.
    """
    config = config or DetectConfig()
    pictures = (check_image(image) * 255).round().clamp(0, 255).byte().cpu().numpy()
    poses = []
    for index, picture in enumerate(pictures):
        where = boxes
        if where is None and detector is not None and estimator.needs_boxes:
            where = detector(picture)
        poses.append(_find(picture, estimator, where, config))
        progress(index + 1, len(pictures))
    return poses


def _find(picture: np.ndarray, estimator: Estimator, boxes: np.ndarray | None, config: DetectConfig) -> Pose:
    size = picture.shape[:2]
    if boxes is not None and estimator.needs_boxes:
        boxes = _clipped(boxes, size)
        if not len(boxes):
            return Pose(np.zeros((0, 17, 3)), size, source_size=size)
    people, scores = estimator(picture, boxes)
    people = np.asarray(people, np.float64)
    pose = Pose(people.reshape(-1, *people.shape[-2:])[:, :17], size, np.asarray(scores), size)
    pose.people[pose.people[..., 2] <= config.threshold] = 0
    pose = pose.pick(np.where(np.isfinite(pose.scores), pose.scores, 1) >= config.person_threshold)
    return pick_people(pose, config.max_people, config.order, 0.0, config.least_joints)


def _clipped(boxes: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    boxes = np.asarray(boxes, np.float32).reshape(-1, 4).copy()
    boxes[:, [0, 2]] = boxes[:, [0, 2]].clip(0, size[1])
    boxes[:, [1, 3]] = boxes[:, [1, 3]].clip(0, size[0])
    return boxes[((boxes[:, 2:] - boxes[:, :2]) >= 1).all(1)]


def read_boxes(text: str) -> np.ndarray | None:
    """Boxes that a user typed, one "x y width height" in pixels a line, as [N, 4] corners; None without
    any.
    """
    lines = [line.replace(",", " ").split() for line in text.splitlines() if line.strip()]
    if not lines:
        return None
    try:
        boxes = np.array(lines, dtype=np.float32)
        good = boxes.shape[1] == 4 and np.isfinite(boxes).all() and (boxes[:, 2:] > 0).all()
    except ValueError:
        good = False
    if not good:
        raise FiguraInputError(
            "boxes", f"'{text.strip()[:60]}'", "a line 'x y width height' in pixels for each person"
        )
    boxes[:, 2:] += boxes[:, :2]
    return boxes
