"""The OpenPose picture of 18 joints that pose ControlNets and T2I-Adapters were trained on.

Drawn from COCO's 17 joints as HumanSD's comparison did: person by person, each limb an ellipse mixed in at
60 %, then a disc on every joint. The canvas keeps fractions and is cut to whole numbers once, at the end.
"""

import math

import numpy as np

from ..common.errors import FiguraInputError
from .conventions import NECK, coco_to_openpose
from .strokes import Colour, whole_pixels

LIMBS = (
    (1, 2), (1, 5), (2, 3), (3, 4), (5, 6), (6, 7), (1, 8), (8, 9), (9, 10), (1, 11), (11, 12), (12, 13),
    (1, 0), (0, 14), (14, 16), (0, 15), (15, 17),
)  # fmt: skip
PALETTE: tuple[Colour, ...] = (
    (255, 0, 0), (255, 85, 0), (255, 170, 0), (255, 255, 0), (170, 255, 0), (85, 255, 0), (0, 255, 0),
    (0, 255, 85), (0, 255, 170), (0, 255, 255), (0, 170, 255), (0, 85, 255), (0, 0, 255), (85, 0, 255),
    (170, 0, 255), (255, 0, 255), (255, 0, 170), (255, 0, 85),
)  # fmt: skip
HALF_WIDTH = 4
OPACITY = 0.6


def draw_openpose(people: np.ndarray, height: int, width: int, threshold: float = 0.05) -> np.ndarray:
    """Draw people as OpenPose does: uint8 RGB [height, width, 3] on black.

    Args:
        people: COCO joints [N, 17, 3] as x, y (pixels of this canvas), score; not finite means missing.
        threshold: joints scoring more are drawn; the neck needs both shoulders.
    """
    people = np.asarray(people, np.float32)
    if people.size and (people.ndim != 3 or people.shape[1:] != (17, 3)):
        raise FiguraInputError("pose", f"joints of shape {list(people.shape)}", "COCO joints [people, 17, 3]")
    canvas = np.zeros((height, width, 3))
    for joints in coco_to_openpose(people.reshape(-1, 17, 3)):
        joints = np.where(np.isfinite(joints).all(-1, keepdims=True), joints, 0)
        seen = joints[:, 2] > np.float32(threshold)
        seen[NECK] = seen[2] and seen[5]
        _paint_limbs(canvas, joints[:, :2], seen)
        _paint_joints(canvas, joints[:, :2], seen)
    return canvas.astype(np.uint8)


def _paint_limbs(canvas: np.ndarray, joints: np.ndarray, seen: np.ndarray) -> None:
    for limb, (start, end) in enumerate(LIMBS):
        if seen[start] and seen[end]:
            _mix(canvas, _ellipse(joints[start], joints[end]), PALETTE[limb])


def _ellipse(start: np.ndarray, end: np.ndarray) -> np.ndarray:
    """Corners int [n, 2] of the ellipse between two points, in whole pixels and degrees."""
    import cv2

    dx, dy = (end - start).astype(np.float64)
    centre = whole_pixels((start + end) / 2)
    half_length = int(min(math.hypot(dx, dy), 32000) / 2)
    angle = int(math.degrees(math.atan2(dy, dx)))
    return np.asarray(cv2.ellipse2Poly(centre.tolist(), (half_length, HALF_WIDTH), angle, 0, 360, 1))


def _mix(canvas: np.ndarray, corners: np.ndarray, colour: Colour) -> None:
    """Mix a polygon's colour into the canvas, looking only at the polygon's own rectangle."""
    import cv2

    low = corners.min(0).clip(0)
    high = np.minimum(corners.max(0) + 1, (canvas.shape[1], canvas.shape[0]))
    if (high <= low).any():
        return
    inside = np.zeros((high[1] - low[1], high[0] - low[0]), np.uint8)
    cv2.fillConvexPoly(inside, corners - low, 1)
    patch = canvas[low[1] : high[1], low[0] : high[0]]
    mixed = (1 - OPACITY) * patch + OPACITY * np.array(colour)
    np.copyto(patch, mixed, where=inside[..., None] > 0)


def _paint_joints(canvas: np.ndarray, joints: np.ndarray, seen: np.ndarray) -> None:
    import cv2

    centres = whole_pixels(joints).tolist()
    for joint in np.flatnonzero(seen).tolist():
        cv2.circle(canvas, centres[joint], HALF_WIDTH, PALETTE[joint], cv2.FILLED)
