"""Strips: the one primitive everything is drawn with.

A strip is a ribbon between two rows of points, ``left`` and ``right`` [SAMPLES, 2], so that it can be
narrowed and shifted towards the light (shading), cut across (stripes) and addressed by (along, across)
(dots, buttons).
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from .palette import Color

SAMPLES = 16
_ANGLES = np.radians((90, 62, 30))
_T = np.concatenate([np.zeros(3), np.linspace(0, 1, SAMPLES - 6), np.ones(3)])
_CAP_START = np.concatenate([-np.sin(_ANGLES), np.zeros(SAMPLES - 3)])
_CAP_END = np.concatenate([np.zeros(SAMPLES - 3), np.sin(_ANGLES[::-1])])
_WIDTH = np.concatenate([np.cos(_ANGLES), np.ones(SAMPLES - 6), np.cos(_ANGLES[::-1])])
_BULGE = np.sin(np.pi * _T) * (1 - 0.5 * _T) * 1.5  # a muscle: thickest at about a third


@dataclass
class Shape:
    """A strip with its paint and its labels.

    ``label`` is the class of the part map (see classes.py), ``part`` the name of the body part for
    visibility.
    ``label`` None draws without touching the label maps (buttons, eyes, folds).
    """

    left: np.ndarray
    right: np.ndarray
    color: Color
    label: int | None
    part: str = ""
    tones: bool = True
    """Shaded round (False: one even tone)."""
    outline: bool = True
    group: str = ""
    """Neighbours of one group are painted tone by tone together, so that no seam shows where they join."""
    open_start: bool = False
    """The first end grows out of what lies under it (a shoulder, a hip): no edge is painted there."""

    def evenly(self, shares: np.ndarray) -> np.ndarray:
        """Shares 0..1 of the true length -> places 0..1 along the samples (which lie closer at the ends)."""
        steps = np.sqrt((np.diff(self.middle, axis=0) ** 2).sum(1))
        length = np.concatenate([[0.0], np.cumsum(steps)])
        return np.interp(shares, length / max(1e-9, length[-1]), _UNIT)

    @property
    def middle(self) -> np.ndarray:
        """Centre line [SAMPLES, 2]."""
        return (self.left + self.right) / 2

    def at(self, along: float, across: float) -> np.ndarray:
        """The point [2] at ``along`` 0..1 of the length and ``across`` -1 (left) .. 1 (right)."""
        position = along * (len(self.left) - 1)
        i = min(len(self.left) - 2, max(0, int(position)))
        f = position - i
        left = self.left[i] * (1 - f) + self.left[i + 1] * f
        right = self.right[i] * (1 - f) + self.right[i + 1] * f
        return (left + right) / 2 + (right - left) / 2 * across


_FLAT = np.array((0.25, 0.92, 1.0))
_BLUNT_END = np.concatenate([np.zeros(SAMPLES - 3), 0.22 * _CAP_END[SAMPLES - 3 :]])
_BLUNT_WIDTH = np.concatenate([_WIDTH[: SAMPLES - 3], _FLAT[::-1]])
# a limb is linear in (first radius, second radius, length) and (first, second radius, bulge): one row each
_ALONG = {False: np.stack([_CAP_START, _CAP_END, _T]), True: np.stack([_CAP_START, _BLUNT_END, _T])}
_ACROSS = {
    blunt: np.stack([(1 - _T) * width, _T * width, _BULGE * width])
    for blunt, width in ((False, _WIDTH), (True, _BLUNT_WIDTH))
}


def limb(
    start: np.ndarray, end: np.ndarray, r0: float, r1: float, bulge: float = 0.0, blunt: bool = False
) -> tuple[np.ndarray, np.ndarray]:
    """A tapered ribbon from ``start`` to ``end`` [2], its left and right rows; round ends, or a ``blunt``
    far one."""
    x, y = float(start[0]), float(start[1])
    dx, dy = float(end[0]) - x, float(end[1]) - y
    length = (dx * dx + dy * dy) ** 0.5
    ux, uy = (dx / length, dy / length) if length > 1e-6 else (0.0, 1.0)
    along = np.array((r0, r1, length)) @ _ALONG[blunt]
    width = np.array((r0, r1, bulge * r0)) @ _ACROSS[blunt]
    center = np.multiply.outer(along, (ux, uy)) + (x, y)
    offset = np.multiply.outer(width, (uy, -ux))
    return center - offset, center + offset


@lru_cache(maxsize=32)
def _spline_matrix(points: int) -> np.ndarray:
    """Catmull-Rom weights [SAMPLES, points] that carry control points to SAMPLES points on a smooth curve."""
    matrix = np.zeros((SAMPLES, points))
    for row, t in enumerate(np.linspace(0, points - 1, SAMPLES)):
        i = min(points - 2, int(t))
        f = t - i
        weights = (
            -0.5 * f + f**2 - 0.5 * f**3,
            1 - 2.5 * f**2 + 1.5 * f**3,
            0.5 * f + 2 * f**2 - 1.5 * f**3,
            -0.5 * f**2 + 0.5 * f**3,
        )
        for k, weight in enumerate(weights):
            matrix[row, min(points - 1, max(0, i - 1 + k))] += weight
    return matrix


def smooth(points: np.ndarray) -> np.ndarray:
    """A smooth curve [SAMPLES, 2] through control points [n, 2]."""
    return _spline_matrix(len(points)) @ points


def ribbon(left: np.ndarray, right: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Two smooth rows from two rows of control points."""
    return smooth(left), smooth(right)


def blob(center: np.ndarray, rx: float, ry: float, turn: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """An ellipse as a strip, from its top to its bottom; ``turn`` in radians, clockwise."""
    if not turn:
        return center[:2] + _ROUND * (-rx, ry), center[:2] + _ROUND * (rx, ry)
    c, s = np.cos(turn), np.sin(turn)
    x, y = _ROUND[:, 0] * rx, _ROUND[:, 1] * ry
    right = np.stack([x * c - y * s, x * s + y * c], 1)
    left = np.stack([-x * c - y * s, -x * s + y * c], 1)
    return center[:2] + left, center[:2] + right


_ROUND = np.stack([np.sin(np.linspace(0, np.pi, SAMPLES)), -np.cos(np.linspace(0, np.pi, SAMPLES))], 1)


_UNIT = np.linspace(0, 1, SAMPLES)


def cut(shape: Shape, start: float, end: float) -> tuple[np.ndarray, np.ndarray]:
    """The piece of a strip between two places (0..1) along it, again SAMPLES long."""
    position = (start + _UNIT * (end - start)) * (SAMPLES - 1)
    i = np.minimum(SAMPLES - 2, position.astype(int))
    f = (position - i)[:, None]
    return (
        shape.left[i] * (1 - f) + shape.left[i + 1] * f,
        shape.right[i] * (1 - f) + shape.right[i + 1] * f,
    )
