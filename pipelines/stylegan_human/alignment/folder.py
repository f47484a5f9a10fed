"""Aligning a folder of photos: one bad picture never stops the others, and every skipped one is named.

Beside the aligned pictures lie their masks and ``alignments.json``, from which edited people go back into
their photos.
"""

import json
import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor

from ...common.errors import FiguraInputError
from ...common.files import atomic_path
from ...common.images import read_image, write_png
from ...common.progress import Progress, silent
from ...pose.files import SUFFIXES as POSE_SUFFIXES
from ...pose.files import load_pose
from ...pose.pose import Pose
from .align import AlignConfig, Alignment, align, on_white
from .paste import PasteConfig, paste_back
from .person_mask import Segmenter, own_mask, read_mask

log = logging.getLogger(__name__)
SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp")
RECORDS, MASKS = "alignments.json", "masks"
FindPose = Callable[[Tensor], Pose]  # IMAGE [1, H, W, 3] -> its people


@dataclass
class Report:
    """What became of a folder: names of the pictures written, and why others were skipped."""

    written: list[str] = field(default_factory=list)
    skipped: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Sources:
    """Where masks and poses come from: folders of files named as the photos, or functions that find them.

    A photo's own transparency is its mask where there is no other.
    """

    masks: Path | None = None
    poses: Path | None = None
    segmenter: Segmenter | None = None
    find_pose: FindPose | None = None


def pictures_in(folder: str | Path) -> list[Path]:
    """The pictures of a folder, by name."""
    folder = Path(folder)
    if not folder.is_dir():
        raise FiguraInputError("images", f"'{folder.name}', which is no folder", "a folder of photos")
    found = sorted(path for path in folder.iterdir()
                   if path.suffix.lower() in SUFFIXES and not path.name.startswith("."))  # fmt: skip
    if not found:
        raise FiguraInputError("images", "a folder without pictures", "photos: " + ", ".join(SUFFIXES))
    return found


def align_folder(
    images: str | Path,
    out: str | Path,
    sources: Sources,
    config: AlignConfig | None = None,
    progress: Progress = silent,
) -> Report:
    """Align every photo of a folder; what cannot be aligned is in the report, and nothing else of it is
    written.
    """
    out, report, records = Path(out), Report(), _read_records(Path(out))
    photos = pictures_in(images)
    try:
        for number, path in enumerate(photos):
            try:
                if path.stem in report.written:
                    raise FiguraInputError(path.name, "a second picture of this name", "one of each name")
                records[path.stem] = _align_one(path, out, sources, config or AlignConfig())
                report.written.append(path.stem)
            except Exception as error:  # whatever one file holds, the others are still to be done
                report.skipped[path.name] = _reason(error)
                log.debug("%s was skipped", path.name, exc_info=True)
            progress(number + 1, len(photos))
    finally:
        if report.written:
            _write_json(out / RECORDS, records)
    return report


def _reason(error: Exception) -> str:
    return str(error) if isinstance(error, FiguraInputError) else f"{type(error).__name__}: {error}"


def _align_one(path: Path, out: Path, sources: Sources, config: AlignConfig) -> dict:
    image = read_image(path)
    mask = _mask_of(path, image, sources)
    pose = _pose_of(path, image, mask, sources)
    aligned, record = align(image, mask, pose, config, path.name)
    write_png(out / MASKS / f"{path.stem}.png", (mask[0].clamp(0, 1) * 255).round().to(torch.uint8).numpy())
    write_png(out / f"{path.stem}.png", aligned[0])
    return {
        "photo": path.name, "box": list(record.box), "source_size": list(record.source_size),
        "size": list(record.size), "whitened": record.whitened,
    }  # fmt: skip


def _mask_of(path: Path, image: Tensor, sources: Sources) -> Tensor:
    if sources.masks is not None:
        return read_mask(_beside(path, sources.masks, SUFFIXES, "mask"))
    mask = own_mask(path)
    if mask is not None:
        return mask
    if sources.segmenter is not None:
        return sources.segmenter(image)
    raise FiguraInputError(
        f"{path.name}, mask", "none", "a mask of the person",
        "Name a folder of masks (--masks) or a segmenter (--segmenter), or use transparent pictures.",
    )  # fmt: skip


def _pose_of(path: Path, image: Tensor, mask: Tensor, sources: Sources) -> Pose:
    size = image.shape[1], image.shape[2]
    if sources.poses is not None:
        return load_pose(_beside(path, sources.poses, POSE_SUFFIXES, "pose"), size)
    if sources.find_pose is None:
        raise FiguraInputError(
            f"{path.name}, pose", "none", "a pose file or a pose estimator", "Name --poses or --pose-model."
        )
    if mask.shape[1:] == image.shape[1:3]:  # other people in the photo are then not there
        alone = on_white(image[0].numpy(), mask[0].numpy())
        image = torch.from_numpy(alone)[None].float() / 255
    return sources.find_pose(image)


def _beside(path: Path, folder: Path, suffixes: tuple[str, ...], what: str) -> Path:
    """The file in ``folder`` with the photo's name and one of the suffixes."""
    places = [folder / f"{path.stem}{suffix}" for suffix in suffixes]
    found = next((place for place in places if place.is_file()), None)
    if found is None:
        raise FiguraInputError(f"{path.name}, {what}", "no file of this name", f"{path.stem}{suffixes[0]}")
    return found


def paste_folder(
    photos: str | Path,
    aligned: str | Path,
    edited: str | Path,
    out: str | Path,
    config: PasteConfig | None = None,
    progress: Progress = silent,
) -> Report:
    """Paste the pictures of ``edited`` back into the photos that ``aligned`` (``align_folder``'s folder)
    records. An edited picture is named as its photo, or begins with that name and an underscore.
    """
    photos, aligned, out, report = Path(photos), Path(aligned), Path(out), Report()
    records = _read_records(aligned)
    if not records:
        raise FiguraInputError("aligned", f"a folder without {RECORDS}", "a folder written by stylegan align")
    pictures = pictures_in(edited)
    for number, path in enumerate(pictures):
        try:
            name = _photo_of(path.stem, records)
            record = _alignment(records[name], read_mask(aligned / MASKS / f"{name}.png"), path.name)
            photo = read_image(photos / str(records[name]["photo"]))
            write_png(
                out / f"{path.stem}.png", paste_back(photo, read_image(path), record, config=config).image[0]
            )
            report.written.append(path.stem)
        except Exception as error:
            report.skipped[path.name] = _reason(error)
        progress(number + 1, len(pictures))
    return report


def _photo_of(stem: str, records: dict) -> str:
    names = [name for name in records if stem == name or stem.startswith(name + "_")]
    if not names:
        raise FiguraInputError(
            f"{stem}", "a name of no aligned photo", f"one of {', '.join(list(records)[:5])}"
        )
    return max(names, key=len)


def _alignment(record: dict, mask: Tensor, what: str) -> Alignment:
    try:
        box = tuple(float(side) for side in record["box"])
        source, size = (tuple(int(side) for side in record[name]) for name in ("source_size", "size"))
        if (len(box), len(source), len(size)) != (4, 2, 2) or tuple(mask.shape[1:]) != source:
            raise ValueError("sizes that do not fit")
        return Alignment(box, source, size, mask[0], bool(record["whitened"]))  # pyright: ignore[reportArgumentType]
    except (KeyError, TypeError, ValueError) as error:
        raise FiguraInputError(
            what, f"a damaged record in {RECORDS} ({error})", "what stylegan align wrote"
        ) from None


def _read_records(folder: Path) -> dict:
    try:
        records = json.loads((folder / RECORDS).read_bytes())
    except OSError:
        return {}
    except ValueError as error:
        raise FiguraInputError(RECORDS, f"no valid JSON ({error})", "what stylegan align wrote") from None
    return records if isinstance(records, dict) else {}


def _write_json(path: Path, value: dict) -> None:
    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps(value, indent=1) + "\n", encoding="utf-8")
