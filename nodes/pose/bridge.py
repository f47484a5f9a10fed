"""Poses in ComfyUI: estimators in its model folders and under its model management, pose files in its
folders.
"""

from pathlib import Path

import folder_paths
import numpy as np
import torch
from torch import Tensor

from ...pipelines.common.errors import FiguraInputError
from ...pipelines.common.images import check_image
from ...pipelines.humansd.skeleton import PALETTE as HUMANSD_PALETTE
from ...pipelines.humansd.skeleton import draw_skeleton
from ...pipelines.pose.canvas import fit_to
from ...pipelines.pose.detect import model_type
from ...pipelines.pose.drawn import is_skeleton
from ...pipelines.pose.estimators.estimate import DetectConfig, Detector, Estimator, estimate
from ...pipelines.pose.estimators.load import load_estimator, load_person_detector
from ...pipelines.pose.files import SUFFIXES
from ...pipelines.pose.openpose_drawing import PALETTE as OPENPOSE_PALETTE
from ...pipelines.pose.openpose_drawing import draw_openpose
from ...pipelines.pose.pose import Pose
from .. import host

FOLDER = "pose_estimators"
WHOLE_PICTURE = "whole picture"
OUTPUT = " [output]"
STYLES = {"humansd": draw_skeleton, "openpose18": draw_openpose}
DRAWN_PALETTES = [
    np.array(HUMANSD_PALETTE),
    np.concatenate([np.array(OPENPOSE_PALETTE), np.array(OPENPOSE_PALETTE) * 0.6]),
]
_loaded: dict[str, tuple[str, object]] = {}  # at most one estimator and one detector are kept


def estimator_names() -> list[str]:
    """Estimators in models/pose_estimators: ViTPose folders, then single files."""
    files = [name for name in folder_paths.get_filename_list(FOLDER) if not _model_folder(name)]
    return _folders(lambda kind: kind == "vitpose") + files


def detector_names() -> list[str]:
    """Where people are looked for: everywhere, or by a detector's folder."""
    return [WHOLE_PICTURE, *_folders(lambda kind: kind not in ("", "vitpose"))]


def _folders(wanted) -> list[str]:
    found = {folder for name in folder_paths.get_filename_list(FOLDER) if (folder := _model_folder(name))}
    return sorted(name for name in found if wanted(model_type(_folder_path(name))))


def _model_folder(name: str) -> str:
    """The folder of a listed file when it belongs to a model of transformers, else nothing."""
    folder = Path(name.replace("\\", "/")).parent
    return folder.as_posix() if folder.name and model_type(_folder_path(folder.as_posix())) else ""


def _folder_path(name: str) -> Path:
    roots = [Path(root) for root in folder_paths.get_folder_paths(FOLDER)]
    return next((root / name for root in roots if (root / name / "config.json").is_file()), roots[0] / name)


def estimator_path(name: str) -> Path:
    """Resolve a combo's name; only listed names are accepted, so no path can escape."""
    if name not in estimator_names() + detector_names()[1:]:
        raise FiguraInputError(
            "model", f"'{name}', which is not in models/{FOLDER}", "a ViTPose folder, a checkpoint or an "
                                                                   ".onnx",
            "Put it there, then press R.",
        )  # fmt: skip
    if model_type(_folder_path(name)):
        return _folder_path(name)
    return Path(folder_paths.get_full_path_or_raise(FOLDER, name))


def detect(
    image: Tensor,
    backend: str,
    name: str,
    detector: str,
    boxes: np.ndarray | None,
    config: DetectConfig,
    mmpose_config: str,
) -> list[Pose]:
    """Find people, with the weights on ComfyUI's device, a bar that moves for each picture, and
    interruption.
    """
    check_image(image)
    if detector not in detector_names():
        raise FiguraInputError("detector", f"'{detector}'", " or ".join(detector_names()))
    estimator = _estimator(backend, name, mmpose_config)
    finder = None if detector == WHOLE_PICTURE or boxes is not None else _detector(detector)
    modules = [*estimator.modules, *(finder.modules if finder else [])]
    if modules:  # in a list, since ComfyUI writes ``device`` onto what it wraps, which transformers forbids
        host.on_device(host.as_patcher(torch.nn.ModuleList(modules)))
    return estimate(image, estimator, finder, boxes, config, host.NodeProgress(len(image)))


def _estimator(backend: str, name: str, mmpose_config: str) -> Estimator:
    path = estimator_path(name)
    token = f"{backend} {path} {mmpose_config} {host.path_state(estimator_path, name)}"
    return _kept("estimator", token, lambda: load_estimator(backend, path, mmpose_config, _onnx_device()))


def _detector(name: str) -> Detector:
    path = estimator_path(name)
    return _kept("detector", f"{path}", lambda: load_person_detector(path))


def _kept(kind: str, token: str, load):
    """The one of ``kind`` that was used last, or a newly loaded one in its place."""
    if _loaded.get(kind, ("",))[0] != token:
        _loaded.pop(kind, None)
        with torch.inference_mode(False), torch.no_grad():
            _loaded[kind] = token, load()
    return _loaded[kind][1]


def _onnx_device() -> str:
    return "cuda" if host.management.get_torch_device().type == "cuda" else "cpu"


def draw(poses: list[Pose], style: str, threshold: float) -> Tensor:
    """Draw one picture for each pose, IMAGE; poses of another size are fitted to the first one's canvas."""
    if style not in STYLES:
        raise FiguraInputError("style", f"'{style}'", " or ".join(STYLES))
    size = poses[0].size
    poses = [pose if pose.size == size else fit_to(pose, size) for pose in poses]
    pictures = np.stack([STYLES[style](pose.people, *size, threshold) for pose in poses])
    return host.result(torch.from_numpy(pictures).float() / 255)


def already_drawn(image: Tensor) -> bool:
    """Whether every picture of the batch is a skeleton in HumanSD's or OpenPose's colours."""
    pictures = (check_image(image) * 255).round().byte().cpu().numpy()
    return all(is_skeleton(picture, DRAWN_PALETTES) for picture in pictures)


def pose_files() -> list[str]:
    """Pose files in ComfyUI's input folder, and those in its output folder marked [output]."""
    given = _files(Path(folder_paths.get_input_directory()))
    return given + [name + OUTPUT for name in _files(Path(folder_paths.get_output_directory()))]


def _files(root: Path) -> list[str]:
    return sorted(
        path.relative_to(root).as_posix()
        for path in root.rglob("*")
        if path.suffix.lower() in SUFFIXES and path.is_file()
    )


def pose_path(name: str) -> Path:
    """Resolve a name that ``pose_files`` offers; any other is refused, so no path can escape."""
    names = pose_files()
    if name not in names:
        raise FiguraInputError(
            "pose file", f"'{name}', which is not in the input or output folder",
            ", ".join(names[:5]) or "a .json or .npz file", "Put it into ComfyUI's input folder, then "
                                                            "press R.",
        )  # fmt: skip
    root = folder_paths.get_output_directory if name.endswith(OUTPUT) else folder_paths.get_input_directory
    return Path(root()) / name.removesuffix(OUTPUT)


def save_stem(prefix: str) -> Path:
    """Folder and name without suffix of the next free file, inside ComfyUI's output folder."""
    root = folder_paths.get_output_directory()
    inside = Path(root).resolve()
    if not prefix.strip() or "\0" in prefix or not (inside / prefix).resolve().is_relative_to(inside):
        raise FiguraInputError("filename prefix", repr(prefix[:80]), "a name inside ComfyUI's output folder")
    folder, name, _, _, _ = folder_paths.get_save_image_path(prefix, root)
    counter = 1
    while list(Path(folder).glob(f"{_literal(name)}_{counter:05}*")):
        counter += 1
    return Path(folder) / f"{name}_{counter:05}"


def _literal(name: str) -> str:
    """A name whose brackets and stars mean themselves to glob."""
    import glob

    return glob.escape(name)
