"""Thick lines and discs, painted to the same pixels by every OpenCV.

Newer OpenCV (4.14, 5.0; not yet 4.11) cuts a thick line at the picture's edge before it widens it, and so
paints other pixels than the versions HumanSD was trained with. The polygon that a thick line is, and the
discs that end it, are painted alike by all. So they are asked for directly:
``cv2.fillConvexPoly(picture, corners, colour, cv2.LINE_8, SHIFT)``.
"""

import numpy as np

SHIFT = 16  # OpenCV's fixed point: 16 bits behind the point
FAR = 16000  # px; OpenCV's polygons take 16 bits before the point, sign included

Colour = tuple[int, int, int]  # red, green, blue


def line_polygons(starts: np.ndarray, ends: np.ndarray, thickness: int) -> np.ndarray:
    """Corners int32 [..., 4, 2] (fixed point) of the bands that OpenCV paints for even ``thickness``.

    Args:
        starts, ends: whole pixels, [..., 2], not further out than FAR.
    """
    delta = (starts - ends).astype(np.float64)
    length = np.hypot(delta[..., 0], delta[..., 1])
    scale = np.divide(thickness << (SHIFT - 1), length, out=np.zeros_like(length), where=length > 0)
    offset = np.stack([np.rint(-delta[..., 1] * scale), np.rint(delta[..., 0] * scale)], -1).astype(np.int64)
    a, b = starts.astype(np.int64) << SHIFT, ends.astype(np.int64) << SHIFT
    return np.stack([a + offset, a - offset, b - offset, b + offset], -2).astype(np.int32)


def whole_pixels(points: np.ndarray) -> np.ndarray:
    """Coordinates [..., 2] cut to whole pixels toward zero, as Python's ``int`` does, and kept within FAR."""
    return np.nan_to_num(points, nan=0.0, posinf=FAR, neginf=-FAR).clip(-FAR, FAR).astype(np.int64)
