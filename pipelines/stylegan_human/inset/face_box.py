"""Where the face is: the square that FFHQ's faces fill, from landmarks, from a pose, or by experience.

FFHQ's rule (Karras et al. 2019, its data set's alignment script): a square around the eyes, whose half side
is the larger of twice the distance of the eyes and 1.8 times the distance from eyes to mouth. Boxes are
x0, y0, x1, y1 in whole pixels, upright and not clamped, as InsetGAN takes them.
"""

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
from torch import Tensor

from ...common.errors import FiguraInputError, FiguraMissingPackage
from ...common.images import to_image, to_uint8
from ...pose.conventions import COCO_NAMES
from ...pose.pose import Pose, areas
from .losses import Box

MOUTH = 1.8  # from eyes to mouth, in distances from eyes to the tip of the nose; the average face's
ALIGNED_CENTRE, ALIGNED_SIDE = (0.5, 0.11), 0.118  # of width and height; side of the height
FEATURES = (0.2, 0.25, 0.8, 0.85)  # brows to chin in a face that FFHQ's rule framed
LANDMARKS = "face_keypoints_2d"


def ffhq_box(left_eye: np.ndarray, right_eye: np.ndarray, mouth: np.ndarray) -> Box:
    """The square of FFHQ's rule; points are (x, y), "left" is left in the picture."""
    eyes, between = (left_eye + right_eye) / 2, right_eye - left_eye
    down = mouth - eyes
    axis = between + np.array([down[1], -down[0]])
    length = np.hypot(*axis)
    if not length > 0:
        raise FiguraInputError("face", "eyes and mouth at one point", "a face with some size")
    axis = axis / length * max(2.0 * np.hypot(*between), 1.8 * np.hypot(*down))
    across = np.array([-axis[1], axis[0]])
    centre = eyes + 0.1 * down
    corners = np.stack([centre + i * axis + j * across for i in (-1, 1) for j in (-1, 1)])
    (x0, y0), (x1, y1) = corners.min(axis=0), corners.max(axis=0)
    return math.floor(x0), math.floor(y0), math.ceil(x1), math.ceil(y1)


def box_of_landmarks(points: np.ndarray) -> Box:
    """From iBUG's 68 landmarks, [68 or more, 2 or more]: eyes 36-41, 42-47, mouth corners 48 and 54."""
    points = np.asarray(points, np.float64)[:, :2]
    return ffhq_box(points[36:42].mean(axis=0), points[42:48].mean(axis=0), (points[48] + points[54]) / 2)


def box_of_pose(pose: Pose) -> Box:
    """From the largest person: by face landmarks where the pose has them, else by eyes and nose.

    Without landmarks the mouth is put 1.8 times as far from the eyes as the nose, square to them.
    """
    if not len(pose):
        raise FiguraInputError("pose", "nobody", "a person whose face is seen")
    index = int(areas(pose).argmax())
    points = pose.details[index].get(LANDMARKS)
    if isinstance(points, np.ndarray) and len(points) >= 68 and (points[36:55, 2] > 0).all():
        return box_of_landmarks(points)
    named = dict(zip(COCO_NAMES, pose.people[index], strict=True))
    missing = [name for name in ("left eye", "right eye", "nose") if named[name][2] <= 0]
    if missing:
        raise FiguraInputError(
            "pose", f"no {' and no '.join(missing)}", "both eyes and the nose",
            "The face must look towards the camera.",
        )  # fmt: skip
    left, right, nose = (named[name][:2] for name in ("right eye", "left eye", "nose"))
    return ffhq_box(
        left, right, (left + right) / 2 + MOUTH * _square_to(right - left, nose - (left + right) / 2)
    )


def _square_to(axis: np.ndarray, vector: np.ndarray) -> np.ndarray:
    """The part of ``vector`` at right angles to ``axis``; all of it where the axis has no length."""
    length = np.dot(axis, axis)
    return vector if length < 1e-9 else vector - axis * (np.dot(axis, vector) / length)


def box_by_experience(size: tuple[int, int]) -> Box:
    """Where faces are in aligned full-body pictures of ``size`` (height, width): top middle."""
    height, width = size
    half = max(2, round(ALIGNED_SIDE * height / 2))
    x, y = round(ALIGNED_CENTRE[0] * width), max(half, round(ALIGNED_CENTRE[1] * height))
    return x - half, y - half, x + half, y + half


def features_box(size: tuple[int, int]) -> Box:
    """Brows to chin in a face picture of ``size`` (height, width)."""
    height, width = size
    x0, y0, x1, y1 = FEATURES
    return round(x0 * width), round(y0 * height), round(x1 * width), round(y1 * height)


def found_box(pose: Pose) -> Box | None:
    """``box_of_pose``, or None where no face is seen."""
    try:
        return box_of_pose(pose)
    except FiguraInputError:
        return None


def pose_finder(model: str | Path) -> Callable[[Tensor], Box | None]:
    """Find faces by a pose estimator: pixels [1, 3, H, W] in [-1, 1] -> the box of the face, or None."""
    from ...pose.detect import picture_poses
    from ...pose.estimators.estimate import DetectConfig

    config = DetectConfig(threshold=0.1, max_people=1, order="area")
    return lambda pixels: found_box(picture_poses(to_image(pixels.detach()).cpu(), model, config=config)[0])


def dlib_finder(predictor: str | Path, detector: str | Path | None = None) -> Callable[[Tensor], Box | None]:
    """Find faces with dlib: pixels [1, 3, H, W] in [-1, 1] -> the box of the first face, or None.

    Args:
        predictor: shape_predictor_68_face_landmarks.dat.
        detector: mmod_human_face_detector.dat, as the published script uses; None: dlib's small detector.
    """
    try:
        import dlib  # pyright: ignore[reportMissingImports]
    except ImportError as error:
        raise FiguraMissingPackage("dlib", "finding faces with dlib", "pip install dlib") from error
    for path in filter(None, (predictor, detector)):
        if not Path(path).is_file():
            raise FiguraInputError(Path(path).name, "no such file", "a .dat file of dlib")
    shape = dlib.shape_predictor(str(predictor))
    find = dlib.cnn_face_detection_model_v1(str(detector)) if detector else dlib.get_frontal_face_detector()

    def find_face(pixels: Tensor) -> Box | None:
        picture = to_uint8(pixels[:1].detach())[0]
        faces = find(picture, 1)
        if not len(faces):
            return None
        found = getattr(faces[0], "rect", faces[0])
        return box_of_landmarks(np.array([(point.x, point.y) for point in shape(picture, found).parts()]))

    return find_face
