"""Where skeletons come from: pose files, photographs, or skeleton pictures; one of them or a folder."""

import logging
from collections.abc import Iterator, Sequence
from math import inf
from pathlib import Path

import torch
from torch import Tensor

from ..common.errors import FiguraInputError
from ..common.files import check_folder
from ..common.images import read_image, write_png
from ..common.processes import find_device
from ..pose.canvas import canvas_for, fit_to
from ..pose.files import SUFFIXES as POSE_SUFFIXES
from ..pose.files import load_poses, save_poses
from ..pose.library import ready_pose
from ..pose.pose import Pose
from .canvas import check_size, on_canvas
from .configs import EstimatorConfig, GenerateConfig, SkeletonConfig
from .skeleton import draw_skeleton

log = logging.getLogger(__name__)
PICTURE_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp")


def drawn_poses(config: GenerateConfig) -> Iterator[tuple[str, Tensor]]:
    """Yield (name, skeleton IMAGE [1, H, W, 3]) for every pose that the command line names."""
    if config.skeleton is not None:
        for path in files(config.skeleton, PICTURE_SUFFIXES, "skeleton"):
            image = read_image(path)
            yield path.stem, on_canvas(image, path.name, _size(config, tuple(image.shape[1:3])))
        return
    for name, pose in _poses(config):
        yield name, draw(on_own_canvas(config, pose), config.detection_thresh, name)


def _poses(config: GenerateConfig) -> Iterator[tuple[str, Pose]]:
    if config.ready_pose is not None:
        yield config.ready_pose, ready_pose(config.ready_pose)
    elif config.pose_file is not None:
        yield from poses_of_files(config.pose_file)
    elif config.image is not None:
        yield from poses_of_pictures(config.image, config.pose_from, config.device)


def files(path: Path, suffixes: tuple[str, ...], what: str) -> list[Path]:
    """The file, or the files of a folder in the order of their names."""
    if path.is_file():
        return [path]
    if not path.is_dir():
        raise FiguraInputError(what, f"'{path.name}', which is not there", " or ".join(suffixes))
    found = sorted(child for child in path.iterdir() if child.suffix.lower() in suffixes)
    if not found:
        raise FiguraInputError(what, f"the folder '{path.name}' without such files", " or ".join(suffixes))
    return found


def poses_of_files(path: Path) -> Iterator[tuple[str, Pose]]:
    """Every pose of a pose file or a folder of them; several in one file are numbered."""
    for file in files(path, POSE_SUFFIXES, "pose file"):
        poses = load_poses(file)
        for index, pose in enumerate(poses):
            yield (file.stem if len(poses) == 1 else f"{file.stem}_{index:04}"), pose


def poses_of_pictures(
    path: Path, config: EstimatorConfig, device: str = "auto"
) -> Iterator[tuple[str, Pose]]:
    """The people in a photograph or a folder of them. The estimator is opened once."""
    yield from estimated(files(path, PICTURE_SUFFIXES, "image"), config, device)


def estimated(
    pictures: Sequence[Path], config: EstimatorConfig, device: str = "auto"
) -> Iterator[tuple[str, Pose]]:
    """(name, people) of each picture in turn."""
    from ..pose.estimators.estimate import DetectConfig, estimate
    from ..pose.estimators.load import load_estimator, load_person_detector

    if config.estimator is None:
        raise FiguraInputError(
            "estimator", "none", "weights of a pose estimator", "Give --estimator, or a --pose-file."
        )
    place = find_device(device)
    estimator = load_estimator(config.backend, config.estimator, config.mmpose_config, str(place))
    detector = load_person_detector(config.detector) if config.detector else None
    for module in [*estimator.modules, *(detector.modules if detector else [])]:
        module.to(place)
    for file in pictures:
        (pose,) = estimate(read_image(file), estimator, detector, config=DetectConfig(threshold=0.0))
        yield file.stem, pose


def check_threshold(threshold: float) -> None:
    """Refuse a least score that says nothing. Scores of some estimators go beyond 1."""
    if not 0 <= threshold < inf:
        raise FiguraInputError("detection_thresh", f"{threshold:g}", "a number from 0 up")


def draw_all(config: SkeletonConfig) -> Iterator[Path]:
    """Write <name>.png and <name>.npz for every photograph or pose file; yields the pictures' paths."""
    check_folder(config.save_path, "save_path")
    check_threshold(config.detection_thresh)
    source = config.source
    suffixes = (
        [child.suffix.lower() for child in source.iterdir()] if source.is_dir() else [source.suffix.lower()]
    )
    if any(suffix in POSE_SUFFIXES for suffix in suffixes):
        found = poses_of_files(source)
    else:
        found = poses_of_pictures(source, config.pose_from, config.device)
    for name, pose in found:
        pose = fit_to(pose, canvas_for(pose.size), "stretch")
        picture = config.save_path / f"{name}.png"
        write_png(picture, draw(pose, config.detection_thresh, name)[0])
        save_poses(config.save_path / name, [pose], "npz")
        yield picture


def on_own_canvas(config: GenerateConfig, pose: Pose) -> Pose:
    """The pose on the canvas to paint: the one given, else its own with the short side at 512."""
    size = _size(config, pose.size)
    return fit_to(pose, size, "contain" if config.image_H or config.image_W else "stretch")


def _size(config: GenerateConfig, own: tuple[int, ...]) -> tuple[int, int]:
    height, width = canvas_for((own[0], own[1]))
    height = height if config.image_H is None else config.image_H
    return check_size(height, width if config.image_W is None else config.image_W)


def draw(pose: Pose, threshold: float, name: str) -> Tensor:
    """Draw the people who count as IMAGE [1, H, W, 3]; nobody gives a black picture and a warning.

    A person whose own score is no more than the threshold is left out, as in the released demo.
    """
    people = pose.pick(~(pose.scores <= threshold))
    if not len(people):
        log.warning("%s: nobody scores above %g; the skeleton stays empty", name, threshold)
    picture = draw_skeleton(people.people, *pose.size, threshold)
    return torch.from_numpy(picture).float()[None] / 255
