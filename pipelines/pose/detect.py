"""Poses of picture files, for the command line: which estimator to use, and where its files lie."""

import os
from functools import lru_cache
from pathlib import Path

from torch import Tensor

from ..common.errors import FiguraInputError
from ..common.images import read_image
from .estimators.estimate import DetectConfig, Detector, Estimator, estimate
from .estimators.load import backend_of, load_estimator, load_person_detector
from .pose import Pose

FOLDER = "FIGURA_POSE_ESTIMATORS"  # environment variable naming the folder of estimators
SUFFIXES = (".pth", ".safetensors", ".onnx", ".pt", ".bin", ".ckpt")


def detect_file(
    path: str | Path,
    backend: str = "auto",
    model: str | Path | None = None,
    detector: str | Path | None = None,
    config: DetectConfig | None = None,
) -> Pose:
    """The people of one picture file.

    Args:
        backend: one of ``estimate.BACKENDS``, or ``auto``: whatever the model is for.
        model: the estimator's file or folder; None takes the first that fits ``backend`` in the folder
            named by FIGURA_POSE_ESTIMATORS, else in models/pose_estimators here.
        detector: a folder of transformers that finds people, for estimators that need boxes; None takes the
            first one beside the estimator, and without any the whole picture is one person.
    """
    return picture_poses(read_image(path), model, backend, detector, config)[0]


def picture_poses(
    image: Tensor,
    model: str | Path | None = None,
    backend: str = "auto",
    detector: str | Path | None = None,
    config: DetectConfig | None = None,
) -> list[Pose]:
    """The people of every picture of an IMAGE batch [B, H, W, 3]; arguments as in ``detect_file``."""
    estimator = _estimator(backend, str(model or ""))
    finder = _detector(str(detector or "")) if estimator.needs_boxes else None
    return estimate(image, estimator, finder, config=config)


@lru_cache(maxsize=1)
def _estimator(backend: str, model: str) -> Estimator:
    if model:
        return load_estimator(backend, model)
    for path in estimator_files(estimator_folder()):
        try:
            fits = backend in ("auto", backend_of(path))
        except FiguraInputError:
            continue
        if fits:
            return load_estimator(backend, path)
    raise FiguraInputError(
        "pose estimator", f"none for '{backend}' in {estimator_folder().name}",
        "a ViTPose folder, a HigherHRNet .pth, or another estimator",
        f"Name it, or set {FOLDER} to the folder that holds it. Pose files need no estimator.",
    )  # fmt: skip


@lru_cache(maxsize=1)
def _detector(folder: str) -> Detector | None:
    if folder:
        return load_person_detector(folder)
    found = detector_folders(estimator_folder())
    return load_person_detector(found[0]) if found else None


def estimator_folder() -> Path:
    """Where estimators are looked for when none is named."""
    return Path(os.environ.get(FOLDER) or Path("models") / "pose_estimators")


def model_type(folder: Path) -> str:
    """What a folder of transformers holds, e.g. ``vitpose``; empty when it is none."""
    import json

    try:
        return str(json.loads((folder / "config.json").read_bytes()).get("model_type", ""))
    except (OSError, ValueError, AttributeError):
        return ""


def estimator_files(root: Path) -> list[Path]:
    """ViTPose folders first, then single files, by name."""
    if not root.is_dir():
        return []
    folders = [path for path in sorted(root.iterdir()) if path.is_dir() and model_type(path) == "vitpose"]
    return folders + sorted(path for path in root.iterdir() if path.suffix.lower() in SUFFIXES)


def detector_folders(root: Path) -> list[Path]:
    """Folders of transformers that hold anything but a ViTPose."""
    if not root.is_dir():
        return []
    return [
        path for path in sorted(root.iterdir()) if path.is_dir() and model_type(path) not in ("", "vitpose")
    ]
