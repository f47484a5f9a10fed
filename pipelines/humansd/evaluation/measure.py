"""Pictures in a folder against the poses that were asked for, and against real pictures."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ...common.errors import FiguraInputError
from ...common.feature_distances import (
    Moments,
    draw_subsets,
    feature_network,
    frechet_distance,
    kernel_distances,
)
from ...common.images import read_image, to_pixels
from ...common.processes import find_device
from ...common.progress import Progress, silent
from ...pose.canvas import canvas_for, fit_to
from ...pose.pose import Pose
from ..poses import PICTURE_SUFFIXES, check_threshold, estimated, files, poses_of_files
from .configs import MeasureConfig
from .pose_metrics import PoseScores, pose_scores

SKELETON = "_skeleton"  # figura humansd generate puts the skeletons beside the pictures


def measured(config: MeasureConfig, progress: Progress = silent) -> dict[str, Any]:
    """AP and CAP with their variants, PCE, and FID and KID where real pictures are given.

    Raises:
        FiguraInputError: no pictures, a picture without its pose, an estimator or a detector that is none.
    """
    config.check()
    check_threshold(config.detection_thresh)
    scores = scored_poses(config, progress)
    found: dict[str, Any] = {"pictures": len(pictures_of(config.pictures)), **asdict(scores)}
    if config.real is not None:
        found |= likeness(config)
    return found


def scored_poses(config: MeasureConfig, progress: Progress = silent) -> PoseScores:
    """The poses found in every picture against those asked for."""
    wanted = dict(poses_of_files(config.poses))
    paths = pictures_of(config.pictures)
    for path in paths:
        pose_of(path, wanted)  # before hours are spent
    asked, found, sure = [], [], []
    people = estimated(paths, config.pose_from, config.device)
    for done, (path, (_, seen)) in enumerate(zip(paths, people, strict=True), 1):
        asked.append(as_asked(pose_of(path, wanted), seen.size, config.detection_thresh))
        found.append(seen.people)
        sure.append(np.where(np.isnan(seen.scores), seen.people[..., 2].mean(1), seen.scores))
        progress(done, len(paths))
    return pose_scores(asked, found, sure, config.released)


def pictures_of(folder: Path, what: str = "pictures") -> list[Path]:
    """The pictures of a folder, without the skeletons beside them."""
    paths = [path for path in files(folder, PICTURE_SUFFIXES, what) if not path.stem.endswith(SKELETON)]
    if not paths:
        raise FiguraInputError(what, f"only skeletons in '{folder.name}'", "pictures")
    return paths


def pose_of(path: Path, poses: dict[str, Pose]) -> Pose:
    """The pose of the picture's name, or of the name before its seed."""
    for name in (path.stem, path.stem.rpartition("_")[0]):
        if name in poses:
            return poses[name]
    raise FiguraInputError(
        path.name, "a picture without its pose", f"a pose named {path.stem}",
        "Give --poses the folder that --pose-file had when the pictures were made.",
    )  # fmt: skip


def as_asked(pose: Pose, size: tuple[int, int], threshold: float) -> np.ndarray:
    """Joints [P, 17, 3] on a picture of ``size``, as generating put them there; what was not drawn has score
    0."""
    people = fit_to(pose, size, "stretch" if canvas_for(pose.size) == size else "contain").people.copy()
    people[people[..., 2] <= threshold] = (-1, -1, 0)
    return people[(people[..., 2] > 0).any(1)]


def likeness(config: MeasureConfig) -> dict[str, float]:
    """FID and KID (mean and deviation over subsets), as the released script: covariances divide by N - 1."""
    network: Any = feature_network(config.detector)
    device = find_device(config.device)
    if hasattr(network, "to"):
        network = network.to(device)
    assert config.real is not None
    real, fake = (
        features_of(network, paths, device)
        for paths in (pictures_of(config.real, "real"), pictures_of(config.pictures))
    )
    if min(len(real), len(fake)) < 2:
        raise FiguraInputError(
            "pictures", f"{len(fake)} against {len(real)} real ones", "two or more of each"
        )
    moments = (Moments.of(features, unbiased=True) for features in (real, fake))
    subsets = draw_subsets(len(fake), len(real), np.random.RandomState(0), size=config.kid_subset)
    kid = kernel_distances(real, fake, subsets)
    return {"fid": frechet_distance(*moments), "kid": float(kid.mean()), "kid_deviation": float(kid.std())}


@torch.no_grad()
def features_of(network: Any, paths: list[Path], device: torch.device) -> np.ndarray:
    """Features [N, D] of pictures, which may differ in size."""
    rows = [network.features(to_pixels(read_image(path)).to(device)).cpu().numpy() for path in paths]
    return np.concatenate(rows)
