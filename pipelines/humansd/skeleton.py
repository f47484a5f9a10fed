"""The skeleton picture that HumanSD was trained on, to the pixel.

Sixteen bones of COCO's 17 joints, each a line 10 px thick with a disc at both ends, in sixteen hues of one
lightness, painted over each other person by person on black (the paper's section 4.1 and figure 2).
"""

import colorsys

import numpy as np

from ..common.errors import FiguraInputError
from ..pose.strokes import SHIFT, Colour, line_polygons, whole_pixels

BONES = (
    (0, 1), (0, 2), (1, 3), (2, 4), (3, 5), (4, 6), (5, 7), (6, 8),
    (7, 9), (8, 10), (5, 11), (6, 12), (11, 13), (12, 14), (13, 15), (14, 16),
)  # fmt: skip
WIDTH = 10
THRESHOLD = 0.05


def _colour(bone: int) -> Colour:
    red, green, blue = colorsys.hls_to_rgb((bone / len(BONES) + 0.01) % 1, 0.6, 0.65)
    return int(255 * red), int(255 * green), int(255 * blue)


PALETTE = tuple(_colour(bone) for bone in range(len(BONES)))
_STARTS, _ENDS = np.array(BONES).T


def draw_skeleton(people: np.ndarray, height: int, width: int, threshold: float = THRESHOLD) -> np.ndarray:
    """Draw people as HumanSD saw them in training: uint8 RGB [height, width, 3].

    Args:
        people: [N, 17, 3], COCO joints as x, y (pixels of this canvas) and score. A joint that is not finite
            counts as missing. A person whose numbers sum to 0 or less is left out, as in training.
        threshold: a bone is drawn when both its joints score more than this.
    """
    picture = np.zeros((height, width, 3), np.uint8)
    people = np.asarray(people, np.float32)
    if people.size == 0:
        return picture
    if people.ndim != 3 or people.shape[1:] != (17, 3):
        raise FiguraInputError("pose", f"joints of shape {list(people.shape)}", "COCO joints [people, 17, 3]")
    people = np.where(np.isfinite(people).all(-1, keepdims=True), people, 0)
    people = people[people.sum((1, 2)) > 0]
    points = whole_pixels(people[..., :2])
    bands = line_polygons(points[:, _STARTS], points[:, _ENDS], WIDTH)
    seen = people[..., 2] > np.float32(threshold)
    drawn = seen[:, _STARTS] & seen[:, _ENDS]
    for joints, bones, bands_of_one in zip(points.tolist(), drawn, bands, strict=True):
        _paint_person(picture, joints, np.flatnonzero(bones).tolist(), bands_of_one)
    return picture


def _paint_person(picture: np.ndarray, joints: list, bones: list[int], bands: np.ndarray) -> None:
    """Paint bone by bone; of the discs on a joint only the last, which covers the others exactly."""
    import cv2

    last = {joint: bone for bone in bones for joint in BONES[bone]}
    for bone in bones:
        colour = PALETTE[bone]
        cv2.fillConvexPoly(picture, bands[bone], colour, cv2.LINE_8, SHIFT)
        for joint in BONES[bone]:
            if last[joint] == bone:
                cv2.circle(picture, joints[joint], WIDTH // 2, colour, cv2.FILLED)
