"""Orders of joints: COCO's 17 inside the pack, OpenPose's 18 and 25, and the larger sets that begin with
COCO.

COCO-17: nose, eyes, ears, shoulders, elbows, wrists, hips, knees, ankles, each pair left before right
("left" is the person's own left). OpenPose-18 is the same joints in another order with a neck; BODY_25 has
besides a middle of the hips and six foot points. Halpe-26 and COCO-WholeBody-133 begin with COCO-17.
"""

import numpy as np

from ..common.errors import FiguraInputError

COCO_NAMES = (
    "nose", "left eye", "right eye", "left ear", "right ear", "left shoulder", "right shoulder", "left elbow",
    "right elbow", "left wrist", "right wrist", "left hip", "right hip", "left knee", "right knee",
    "left ankle", "right ankle",
)  # fmt: skip
COCO_MIRROR = np.array([0, 2, 1, 4, 3, 6, 5, 8, 7, 10, 9, 12, 11, 14, 13, 16, 15])
NECK, MID_HIP = 1, 8  # in OpenPose's orders (the middle of the hips in BODY_25 only)

# Where each COCO joint stands in a set of K joints.
_OPENPOSE_18 = (0, 15, 14, 17, 16, 5, 2, 6, 3, 7, 4, 11, 8, 12, 9, 13, 10)
_BODY_25 = (0, 16, 15, 18, 17, 5, 2, 6, 3, 7, 4, 12, 9, 13, 10, 14, 11)
PLACES: dict[int, np.ndarray] = {
    17: np.arange(17), 18: np.array(_OPENPOSE_18), 25: np.array(_BODY_25),
    26: np.arange(17), 133: np.arange(17),
}  # fmt: skip


def to_coco(joints: np.ndarray, what: str = "pose") -> np.ndarray:
    """Take COCO's 17 joints out of any known set: [..., K, 3] -> [..., 17, 3]."""
    count = joints.shape[-2]
    if count not in PLACES:
        raise FiguraInputError(
            what, f"{count} joints for each person",
            "17 (COCO), 18 or 25 (OpenPose), 26 (Halpe) or 133 (COCO-WholeBody) joints",
        )  # fmt: skip
    return joints[..., PLACES[count], :]


def neck_of(coco: np.ndarray) -> np.ndarray:
    """The point between the shoulders, [..., 17, 3] -> [..., 3]; its score is their mean, 0 if one is 0."""
    left, right = coco[..., 5, :], coco[..., 6, :]
    neck = (left + right) / 2
    both = (left[..., 2] > 0) & (right[..., 2] > 0)
    return np.where(both[..., None], neck, 0)


def coco_to_openpose(coco: np.ndarray) -> np.ndarray:
    """COCO [..., 17, 3] -> OpenPose-18 [..., 18, 3], same dtype."""
    joints = np.zeros((*coco.shape[:-2], 18, 3), coco.dtype)
    joints[..., PLACES[18], :] = coco
    joints[..., NECK, :] = neck_of(coco)
    return joints


def mirror_order(count: int) -> np.ndarray:
    """The permutation that swaps left and right in a set of K body joints."""
    order = np.arange(count)
    if count in PLACES:
        order[PLACES[count]] = PLACES[count][COCO_MIRROR]
    if count == 25:  # feet: big toe, small toe, heel, left then right
        order[19:25] = [22, 23, 24, 19, 20, 21]
    if count == 26:  # head, neck, hip, then toes and heels in pairs
        order[20:26] = [21, 20, 23, 22, 25, 24]
    return order
