"""Poses on disk. Nothing in a file is executed, and a file appears whole or not at all.

Read: our own .npz (``keypoints`` [N, 17, 3], ``scores`` [N], ``size`` [2] and ``source_size`` [2] as
height, width: no objects), HumanSD's .npz (a pickled array of one dict per person, read as data), .json
with POSE_KEYPOINT frames or OpenPose's own output, a list of HumanSD's person dicts, or annotations as COCO
and Human-Art write them.
"""

import json
import zipfile
from pathlib import Path
from typing import Any, Literal

import numpy as np

from ..common.errors import FiguraInputError
from ..common.files import atomic_path
from ..common.pose_file import load_pose_npz, save_pose_npz
from .openpose import from_frames, to_frames
from .pose import Pose, Size, areas, check_size

PoseFormat = Literal["json", "npz", "npz (HumanSD)"]
FORMATS: tuple[PoseFormat, ...] = ("json", "npz", "npz (HumanSD)")
SUFFIXES = (".json", ".npz")
MAX_BYTES = 64 << 20


def load_poses(path: str | Path, size: Size | None = None) -> list[Pose]:
    """Read every pose of a file; which kind of file it is, is told by its content.

    Args:
        size: (height, width) of the picture that the joints belong to, for files that do not say it
            (HumanSD's). Without it the joints' own extent is taken, rounded up to steps of 64.
    """
    path = Path(path)
    if not path.is_file():
        raise FiguraInputError(path.name, "no such file", "a pose file (.json or .npz)")
    if path.stat().st_size > MAX_BYTES:
        raise FiguraInputError(path.name, "a file over 64 MB", "a pose file (.json or .npz)")
    if zipfile.is_zipfile(path):
        return [_load_npz(path, size)]
    try:
        data = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise FiguraInputError(
            path.name, f"neither .npz nor valid JSON ({str(error)[:80]})", "a pose file (.json or .npz)"
        ) from None
    return _read_json(data, path.name, size)


def load_pose(path: str | Path, size: Size | None = None) -> Pose:
    """Read the first pose of a file; see ``load_poses``."""
    return load_poses(path, size)[0]


def save_poses(path: str | Path, poses: list[Pose], kind: PoseFormat = "json") -> list[Path]:
    """Write poses and return the files made: one .json for all, or one .npz for each pose.

    "json" is POSE_KEYPOINT as other packs read it, "npz" our own form, "npz (HumanSD)" the layout of
    HumanSD's data sets (for its scripts; it holds a pickle, which only careful readers open safely).
    """
    path = Path(path)
    if kind not in FORMATS:
        raise FiguraInputError("format", f"'{kind}'", " or ".join(FORMATS))
    if kind == "json":
        return [_save_json(path.with_name(path.name + ".json"), poses)]
    names = [path.name] if len(poses) == 1 else [f"{path.name}_{index:04}" for index in range(len(poses))]
    files = [path.with_name(name + ".npz") for name in names]
    for file, pose in zip(files, poses, strict=True):
        (_save_npz if kind == "npz" else _save_humansd)(file, pose)
    return files


def _save_json(path: Path, poses: list[Pose]) -> Path:
    text = json.dumps(to_frames(poses), allow_nan=False)
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
    return path


def _save_npz(path: Path, pose: Pose) -> None:
    arrays = {
        "keypoints": pose.people.astype(np.float32),
        "scores": pose.scores.astype(np.float32),
        "size": np.array(pose.size, np.int64),
    }
    if pose.source_size is not None:
        arrays["source_size"] = np.array(pose.source_size, np.int64)
    with atomic_path(path) as temporary, open(temporary, "wb") as file:
        np.savez(file, **arrays)  # pyright: ignore[reportArgumentType]


def _save_humansd(path: Path, pose: Pose) -> None:
    scores = np.where(np.isfinite(pose.scores), pose.scores, pose.people[..., 2].mean(1))
    people = zip(pose.people, scores, areas(pose), strict=True)
    save_pose_npz(path, [{"keypoints": k, "score": float(s), "area": float(a)} for k, s, a in people])


def _load_npz(path: Path, size: Size | None) -> Pose:
    with zipfile.ZipFile(path) as archive:
        ours = "keypoints.npy" in archive.namelist()
        bytes_inside = sum(entry.file_size for entry in archive.infolist())
    if bytes_inside > MAX_BYTES:
        raise FiguraInputError(path.name, "more than 64 MB when unpacked", "a pose file")
    if not ours:
        return _from_persons(load_pose_npz(path), path.name, size)
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        keypoints = arrays["keypoints"].astype(np.float64)
        own = arrays.get("size")
    except (ValueError, KeyError, TypeError, OSError, EOFError, zipfile.BadZipFile) as error:
        raise FiguraInputError(path.name, f"a damaged file ({str(error)[:80]})", "a pose .npz") from None
    if keypoints.ndim != 3 or keypoints.shape[2] != 3:
        raise FiguraInputError(path.name, f"keypoints of shape {list(keypoints.shape)}", "[people, 17, 3]")
    canvas = check_size(tuple(own.tolist()), path.name) if own is not None else size or extent_of(keypoints)
    source = arrays.get("source_size")
    return Pose(
        keypoints, canvas, arrays.get("scores", np.zeros(0)),
        None if source is None else check_size(tuple(source.tolist()), path.name),
    )  # fmt: skip


def extent_of(people: np.ndarray) -> Size:
    """The smallest canvas in steps of 64 that holds every seen joint; 512 x 512 without joints."""
    points = people[people[..., 2] > 0][:, :2] if people.size else np.zeros((0, 2))
    points = points[np.isfinite(points).all(-1)]
    if not len(points):
        return 512, 512
    width, height = (int(np.ceil(np.clip(side, 1, 16000) / 64)) * 64 for side in points.max(0))
    return height, width


def _from_persons(persons: list[dict[str, Any]], name: str, size: Size | None) -> Pose:
    """HumanSD's person dicts: ``keypoints`` [K, 3] in pixels of the source picture, and ``score``."""
    try:
        joints = [np.asarray(person["keypoints"], np.float64).reshape(-1, 3) for person in persons]
        scores = np.array([float(person.get("score", np.nan)) for person in persons])
        people = np.stack(joints) if joints else np.zeros((0, 17, 3))
    except (KeyError, TypeError, ValueError, AttributeError):
        raise FiguraInputError(
            name, "people without proper keypoints", "keypoints of [17, 3] numbers for each person"
        ) from None
    canvas = size or extent_of(people)
    return Pose(people, canvas, scores, canvas)


def _read_json(data: Any, name: str, size: Size | None) -> list[Pose]:
    if isinstance(data, dict) and isinstance(data.get("annotations"), list):
        return _read_coco(data, name, size)
    if isinstance(data, list) and data and all(isinstance(x, dict) and "keypoints" in x for x in data):
        return [_from_persons(data, name, size)]
    try:
        return from_frames(data, size)
    except FiguraInputError as error:
        raise FiguraInputError(f"{name}, {error.what}", error.got, error.wanted, error.hint) from None


def _read_coco(data: dict[str, Any], name: str, size: Size | None) -> list[Pose]:
    """Annotations as COCO and Human-Art write them: one Pose for each picture that has people, by picture
    id.
    """
    try:
        pictures = {entry["id"]: entry for entry in data.get("images", [])}
        grouped: dict[Any, list[dict[str, Any]]] = {}
        for entry in data["annotations"]:
            if entry.get("keypoints"):
                grouped.setdefault(entry["image_id"], []).append(entry)
        return [
            _from_persons(grouped[key], name, _picture_size(pictures.get(key, {})) or size)
            for key in sorted(grouped)
        ] or _nobody(name)
    except (KeyError, TypeError, AttributeError):
        raise FiguraInputError(name, "annotations of an unknown form", "COCO keypoint annotations") from None


def _picture_size(entry: dict[str, Any]) -> Size | None:
    return check_size((entry["height"], entry["width"])) if entry.get("height") else None


def _nobody(name: str) -> list[Pose]:
    raise FiguraInputError(name, "annotations without keypoints", "at least one person with keypoints")
