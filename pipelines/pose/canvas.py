"""The canvas a pose stands on: the size HumanSD wants, and how joints follow when it changes.

HumanSD's own scripts drew joints in pixels of the source picture on a canvas of 512, so that most people
fell off. Here joints belong to a canvas of known size and are moved with it.
"""

from dataclasses import replace
from typing import Literal

import numpy as np

from ..common.errors import FiguraInputError
from .pose import Pose, Size, boxes, check_size
from .transform import moved

Fit = Literal["contain", "cover", "stretch", "people"]
FITS: tuple[Fit, ...] = ("contain", "cover", "stretch", "people")


def canvas_for(size: Size, side: int = 512, step: int = 64) -> Size:
    """The canvas HumanSD uses for a picture of ``size`` (height, width): shorter side ``side``, steps of 64.

    Each side is round(side * k / 64) * 64 with k = 512 / shorter side, halves rounded to even.
    """
    height, width = check_size(size)
    k = side / min(height, width)
    tall, wide = (max(step, round(length * k / step) * step) for length in (height, width))
    return tall, wide


def fit_to(pose: Pose, size: Size, fit: Fit = "contain", margin: float = 0.0) -> Pose:
    """Put a pose on another canvas.

    Args:
        size: the new canvas (height, width).
        fit: "contain" keeps all of the old canvas in view, "cover" fills the new one, "stretch" changes the
            proportions, "people" makes the people themselves fill the new canvas.
        margin: share of the new canvas left free on every side, 0..0.45; only for "contain" and "people".
    """
    size = check_size(size)
    if fit not in FITS:
        raise FiguraInputError("fit", f"'{fit}'", " or ".join(FITS))
    x0, y0, x1, y1 = _old_rectangle(pose, fit)
    sides = np.array([max(x1 - x0, 1e-6), max(y1 - y0, 1e-6)])
    free = 1 - 2 * float(np.clip(margin, 0, 0.45)) if fit in ("contain", "people") else 1.0
    factors = np.array([size[1], size[0]]) * free / sides
    if fit != "stretch":
        factors[:] = factors.max() if fit == "cover" else factors.min()
    offset = np.array([size[1], size[0]]) / 2 - factors * np.array([x0 + x1, y0 + y1]) / 2
    matrix = np.array([[factors[0], 0, offset[0]], [0, factors[1], offset[1]]])
    source = pose.source_size or pose.size
    return replace(moved(pose, matrix), size=size, source_size=source)


def _old_rectangle(pose: Pose, fit: Fit) -> tuple[float, float, float, float]:
    """What is fitted: the old canvas, or with "people" the rectangle around everyone's joints."""
    box = boxes(pose)
    box = box[(box[:, 2] > box[:, 0]) | (box[:, 3] > box[:, 1])]
    if fit == "people" and len(box):
        return (*box[:, :2].min(0).tolist(), *box[:, 2:].max(0).tolist())
    return 0.0, 0.0, float(pose.size[1]), float(pose.size[0])
