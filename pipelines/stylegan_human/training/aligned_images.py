"""StyleGAN-Human's data set on disk: pictures of one size in a folder or .zip, labels in ``dataset.json``.

Unusable pictures are counted, named and left out (``common/bad_samples.py``). Sets that fit are held in
memory as bytes, so that training reads each file once.
"""

import io
import json
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ...common.bad_samples import BadSample, BadSamples
from ...common.errors import FiguraInputError
from ...common.named_function import source_named
from .image_set import WANTED, DrawnImages, ImageSet, common_size, subset_of

SUFFIXES = {".png", ".jpg", ".jpeg", ".webp", ".bmp"}
LABELS = "dataset.json"


class AlignedImages(ImageSet):
    """Pictures of a folder or .zip.

    Args:
        path: folder (searched to any depth) or .zip.
        square: pictures are as high as wide; False: twice as high.
        cond: read labels.
        subset, seed: keep so many pictures, chosen by the seed.
        max_bad: share that may be unusable.

    Raises:
        FiguraInputError: nothing to read, sizes that no network has, no labels where ``cond`` asks for them.
        TooManyBadSamples: more unusable pictures than ``max_bad`` allows.
    """

    def __init__(
        self, path: Path, square: bool = False, cond: bool = False, mirror: bool = False,
        subset: int | None = None, seed: int = 0, max_bad: float = 0.01,
    ) -> None:  # fmt: skip
        self.bad = BadSamples(max_bad, "training pictures")
        self._files = _open(Path(path))
        entries = self._files.names()
        self.labels_by_name = self._read_labels() if cond else {}
        names = self._listed(entries) if cond else entries
        sizes = self._sizes(names)
        self.size = common_size(sizes, square)
        names = [name for name in names if name in sizes and self._fits(name, sizes[name])]
        self.bad.expect(len(names))
        super().__init__(self.size, subset_of(names, subset, seed), mirror, self.bad)
        if cond:
            self.labels = self._label_matrix()
        self._pixels = self._load() if self._fits_memory() else None

    def _picture(self, index: int) -> np.ndarray:
        if self._pixels is not None:
            return self._pixels[index]
        return self.bad.read(index, self.count, self._decode)

    def _decode(self, index: int) -> np.ndarray:
        """uint8 [3, H, W]."""
        from PIL import Image

        name = self.names_used[index]
        try:
            with Image.open(io.BytesIO(self._files.read(name))) as image:
                pixels = np.asarray(image.convert("RGB"))
        except (OSError, SyntaxError, ValueError, EOFError, KeyError) as error:
            raise BadSample(name, f"damaged picture ({type(error).__name__})", "PNG, JPEG or WebP") from error
        return np.ascontiguousarray(pixels.transpose(2, 0, 1))

    def _load(self) -> np.ndarray:
        """All pictures; the place of an unreadable one is taken by the next that can be read."""
        pixels = np.empty((self.count, 3, *self.size), np.uint8)
        for index in range(self.count):
            pixels[index] = self.bad.read(index, self.count, self._decode)
        return pixels

    def _sizes(self, names: list[str]) -> dict[str, tuple[int, int]]:
        """(height, width) of every file whose header can be read."""
        from PIL import Image

        sizes = {}
        for name in names:
            try:
                with Image.open(io.BytesIO(self._files.read(name))) as image:
                    sizes[name] = (image.height, image.width)
            except (OSError, SyntaxError, ValueError, EOFError, Image.DecompressionBombError) as error:
                self.bad.skip(name, f"not a readable picture ({type(error).__name__})")
        return sizes

    def _fits(self, name: str, size: tuple[int, int]) -> bool:
        if size != self.size:
            self.bad.skip(
                name, f"{size[0]} x {size[1]} pixels (height x width), not {self.size[0]} x {self.size[1]}"
            )
        return size == self.size

    def _read_labels(self) -> dict[str, Any]:
        """Label by file name; names that come twice are counted."""
        rows = _label_rows(self._files)
        kept = self.bad.rows(rows, name=lambda row: str(row[0]))
        return {str(name).replace("\\", "/"): label for name, label in kept}

    def _listed(self, names: list[str]) -> list[str]:
        """Pictures that are there and have a label; the others are counted."""
        there = set(names)
        for name in self.labels_by_name:
            if name not in there:
                self.bad.skip(name, "no such file")
        for name in names:
            if name not in self.labels_by_name:
                self.bad.skip(name, f"no label in {LABELS}")
        return [name for name in names if name in self.labels_by_name]

    def _label_matrix(self) -> Tensor:
        labels = [self.labels_by_name[name] for name in self.names_used]
        if all(isinstance(label, int) for label in labels):
            classes = 1 + max(label for label in self.labels_by_name.values() if isinstance(label, int))
            return torch.nn.functional.one_hot(torch.tensor(labels), classes).float()
        try:
            return torch.tensor(labels, dtype=torch.float32)
        except (TypeError, ValueError) as error:
            raise FiguraInputError(
                LABELS, "labels of several kinds", "class numbers, or lists of one length"
            ) from error


def _label_rows(files: "_Folder | _Zip") -> list:
    try:
        rows = json.loads(files.read(LABELS))["labels"]
    except KeyError as error:
        raise FiguraInputError(
            LABELS, "no labels", "a file with 'labels'", "Leave out --cond to train without."
        ) from error
    except (OSError, ValueError, TypeError) as error:
        raise FiguraInputError(LABELS, f"no readable file ({error})", "JSON with 'labels'") from error
    if not isinstance(rows, list) or not all(isinstance(row, list) and len(row) == 2 for row in rows):
        raise FiguraInputError(LABELS, "labels of another form", "a list of [file name, label]")
    return rows


def open_images(
    path: Path, square: bool = False, cond: bool = False, mirror: bool = False, subset: int | None = None,
    seed: int = 0, max_bad: float = 0.01,
) -> ImageSet:  # fmt: skip
    """The pictures of a folder or .zip, or of ``module:function,name=value``. Arguments and errors as for
    AlignedImages."""
    source = source_named(path)
    if source is None:
        return AlignedImages(path, square, cond, mirror, subset, seed, max_bad)
    if cond:
        raise FiguraInputError(
            "--cond", f"pictures drawn by '{path}'", "a folder with labels", "Leave it out."
        )
    return DrawnImages(source(), square, mirror, subset, seed)


def _open(path: Path) -> "_Folder | _Zip":
    if path.is_dir():
        return _Folder(path)
    if path.is_file() and zipfile.is_zipfile(path):
        return _Zip(path)
    raise FiguraInputError("--data", f"no folder or .zip at '{path.name}'", WANTED)


def _pictures(names: Iterator[str]) -> list[str]:
    return sorted(name for name in names if Path(name).suffix.lower() in SUFFIXES)


class _Folder:
    """Files of a folder, named relative to it."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def names(self) -> list[str]:
        return _pictures(p.relative_to(self.root).as_posix() for p in self.root.rglob("*") if p.is_file())

    def read(self, name: str) -> bytes:
        return (self.root / name).read_bytes()


class _Zip:
    """Members of a .zip; read from one thread at a time."""

    def __init__(self, path: Path) -> None:
        self.archive = zipfile.ZipFile(path)

    def names(self) -> list[str]:
        return _pictures(iter(self.archive.namelist()))

    def read(self, name: str) -> bytes:
        return self.archive.read(name)
