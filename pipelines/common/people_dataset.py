"""CosmicMan's data set on disk: parquet label files, pictures and part maps.

A folder as ``figura mannequin write --format cosmicman`` makes it (``label/*.parquet``, ``data/…``), or label
files and pictures in two places, as released. Whatever cannot be used is counted by ``BadSamples``.
"""

from __future__ import annotations

import json
from collections.abc import Sequence, Sized
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from .bad_samples import BadSample, BadSamples, picture, read_parquet
from .dense_captions import Attributes, all_texts, join
from .errors import FiguraInputError
from .named_function import source_named

COLUMNS = ("path", "segm_path", "aa_text", "aa_ids", "person_type")
GROUPS = 20
CLASSES = 18  # of the part map; 0 is background
BODY = 1  # the group that is everything but background, whatever its ids say


@dataclass(frozen=True)
class Record:
    """One row of the label files."""

    path: str
    segm_path: str
    shot: str
    """full_body, upper_body …; anything else leaves the caption without a shot."""
    attributes: tuple[Attributes | None, ...]
    """20 groups."""
    classes: tuple[tuple[int, ...] | None, ...]
    """Classes of the part map that belong to each group, 20."""
    sentence: str = ""
    """A plain caption, where the files have a column ``caption``."""

    @property
    def caption(self) -> str:
        """The sentence, or the dense caption in its fixed order."""
        return self.sentence or join(all_texts(self.shot, self.attributes))


def label_order(path: Path) -> tuple[bool, int, str]:
    """Sorts label files as the released loader: ``laion1B-nolang…`` first, then by their number."""
    number = path.stem.split("_")[1] if "_" in path.stem else ""
    return not path.name.startswith("laion1B-nolang"), int(number) if number.isdigit() else -1, path.name


def read_records(labels: Path, bad: BadSamples, files: int = 0) -> list[Record]:
    """All usable rows of the parquet files in a folder, each path once.

    Args:
        files: how many label files to read, in their order; 0 for all (the released loader reads three).
    """
    paths = sorted(labels.glob("*.parquet"), key=label_order)
    if not paths:
        raise FiguraInputError(
            "label files", f"no .parquet file in {labels.name}", "CosmicMan's label files",
            "figura mannequin write --format cosmicman makes a set to try with.",
        )  # fmt: skip
    rows: list[dict[str, Any]] = []
    for path in paths[: files or None]:
        rows += _rows(path, bad)
    records = []
    for row in bad.rows(rows, name=lambda row: str(row["path"])):
        try:
            records.append(record_of(row))
        except BadSample as found:
            bad.skip(found.name, found.reason)
    return records


def _rows(path: Path, bad: BadSamples) -> list[dict[str, Any]]:
    """The rows of one file; its column ``caption`` is there or not."""
    return read_parquet(path, COLUMNS, bad, optional=("caption",))


def record_of(row: dict[str, Any]) -> Record:
    """A row of a label file as a record; raises BadSample."""
    name = str(row["path"])
    texts, ids = _groups(row["aa_text"], name, dict), _groups(row["aa_ids"], name, list)
    for values in ids:
        if values and not all(isinstance(v, int) and 0 <= v <= CLASSES for v in values):
            raise BadSample(name, "part classes outside 0 to 18", "aa_ids of the part map")
    record = Record(
        name, str(row["segm_path"]), str(row["person_type"] or ""), tuple(texts),
        tuple(tuple(values) if values is not None else None for values in ids),
        str(row.get("caption") or "").strip(),
    )  # fmt: skip
    if not record.caption.strip(", "):
        raise BadSample(name, "an empty caption", "attributes in aa_text, or a caption")
    return record


def _groups(text: object, name: str, kind: type) -> list[Any]:
    try:
        values = json.loads(text) if isinstance(text, str) else None
    except ValueError:
        values = None
    fits = isinstance(values, list) and len(values) == GROUPS
    if not fits or not all(value is None or isinstance(value, kind) for value in values or []):
        raise BadSample(name, "labels that are not a JSON list of 20 groups", "aa_text and aa_ids")
    return values or []


class People(Protocol):
    """What trainers ask of pictures with captions and part maps, on disk or not."""

    bad: BadSamples
    size: tuple[int, int]

    @property
    def records(self) -> Sequence[Record]:
        """What each picture shows."""
        ...

    def __len__(self) -> int: ...

    def read(self, index: int) -> tuple[int, np.ndarray, np.ndarray]:
        """(index of what was read, picture uint8 [H, W, 3], part map uint8 [H, W])."""
        ...

    def parts(self, index: int) -> np.ndarray:
        """The part map alone."""
        ...

    def check_lists(self) -> None:
        """Count what is named but not there."""
        ...


class PeopleDataset:
    """Records with their pictures and part maps, at one size. Reading is a function of the index alone."""

    def __init__(
        self, folder: Path, size: tuple[int, int], *, images: Path | None = None, labels: Path | None = None,
        bad: BadSamples | None = None, files: int = 0,
    ) -> None:  # fmt: skip
        """Args:
        folder: with ``label/`` and ``data/`` in it. images, labels: those two, where they lie elsewhere.
        size: height and width that every picture is cut and resized to.
        """
        self.bad = bad or BadSamples(what=folder.name or "data set")
        self.images, self.size = images or folder / "data", size
        if not self.images.is_dir():
            raise FiguraInputError("data", f"no folder {self.images.name} in {folder.name}", "the pictures")
        self.records = read_records(labels or folder / "label", self.bad, files)
        self.bad.expect(len(self.records))

    def __len__(self) -> int:
        return len(self.records)

    def read(self, index: int) -> tuple[int, np.ndarray, np.ndarray]:
        """(its own index, picture uint8 [H, W, 3], part map uint8 [H, W]); a broken one gives the next."""
        return self.bad.read(index, len(self), self._load)

    def _load(self, index: int) -> tuple[int, np.ndarray, np.ndarray]:
        from PIL import Image

        record = self.records[index]
        image = picture(self.images / record.path, record.path)
        pixels = np.asarray(fit(image, self.size, Image.Resampling.LANCZOS))
        return index, pixels, self.parts(index)

    def parts(self, index: int) -> np.ndarray:
        """The part map alone, uint8 [H, W]; raises BadSample."""
        from PIL import Image

        record = self.records[index]
        parts = picture(self.images / record.segm_path, record.path, mode="")
        if parts.mode not in ("P", "L"):
            raise BadSample(record.path, f"a part map of mode {parts.mode}", "a grey or palette PNG")
        labels = np.asarray(fit(parts, self.size, Image.Resampling.NEAREST))
        if labels.max() >= CLASSES:
            raise BadSample(record.path, f"class {labels.max()} in its part map", "classes 0 to 17")
        return labels

    def check_lists(self) -> None:
        """Count pictures and maps that are not there, before hours are spent. Looks at names alone."""
        for record in self.records:
            for path in (record.path, record.segm_path):
                if not (self.images / path).is_file():
                    self.bad.skip(record.path, f"no file {path}")
                    break


def fit(image: Any, size: tuple[int, int], filter: Any) -> Any:
    """Cut the middle of a PIL picture to the shape of ``size`` (height, width), and resize it."""
    from PIL import ImageOps

    height, width = size
    return image if image.size == (width, height) else ImageOps.fit(image, (width, height), filter)


def pixels_of(pictures: Sequence[np.ndarray]) -> Tensor:
    """uint8 [H, W, 3] each -> pixels float32 [B, 3, H, W] in [-1, 1]."""
    return torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2).float() / 127.5 - 1


def open_sets(places: Sequence[Path], size: tuple[int, int], bad_limit: float) -> list[People]:
    """The data sets of some places, with their lists checked; each counts bad samples for itself."""
    sets = [open_set(place, size, bad_limit) for place in places]
    for people in sets:
        people.check_lists()
    return sets


def open_set(place: Path, size: tuple[int, int], bad_limit: float = 0.01) -> People:
    """The data set in a folder, or the one that ``module:function,name=value`` makes when it is called with
    ``size``: .mannequin.stream:people draws its own."""
    source = source_named(place)
    if source is not None:
        return source(size)
    return PeopleDataset(place, size, bad=BadSamples(bad_limit, place.name))


def open_records(place: Path, size: tuple[int, int] = (128, 64)) -> Sequence[Record]:
    """The records alone of such a data set; no picture need be there."""
    source = source_named(place)
    return (
        read_records(place / "label", BadSamples(what=place.name)) if source is None else source(size).records
    )


def trained_on(people: Sized, held_out: int) -> int:
    """How many of a set's pictures are trained on: all but the last, but at least half of a small set."""
    return max(len(people) - held_out, (len(people) + 1) // 2)


def group_masks(labels: np.ndarray, record: Record) -> Tensor:
    """Masks float32 [21, H, W] in {0, 1} of a record's shot and its 20 groups."""
    return class_masks(labels, record.classes)


def class_masks(labels: np.ndarray, classes: Sequence[Sequence[int] | None]) -> Tensor:
    """Masks float32 [21, H, W] in {0, 1} of the shot and of 20 groups by their classes; shot and body shape
    are everybody."""
    masks = np.zeros((1 + GROUPS, *labels.shape), np.float32)
    masks[0] = masks[1 + BODY] = labels > 0
    for group, wanted in enumerate(classes):
        if wanted and group != BODY:
            masks[1 + group] = np.isin(labels, wanted)
    return torch.from_numpy(masks)
