"""Samples of a data set that cannot be used: counted and named, skipped up to a limit, then one error.

bad = BadSamples(limit=0.01)
rows = bad.rows(read_parquet(path, COLUMNS, bad), name=lambda row: row["path"])     # no name twice
bad.expect(len(rows))
def batch(indices):                 # a pure function of the indices: a bad sample's place is taken by
    return [bad.read(i, len(rows), load) for i in indices]       # the next usable one
def load(i):
    pixels = picture(root / rows[i]["path"], name=rows[i]["path"])
    return pixels, caption(rows[i]["text"], name=rows[i]["path"])
"""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from .errors import FiguraInputError, FiguraMissingPackage

if TYPE_CHECKING:
    from PIL.Image import Image

log = logging.getLogger(__name__)

T = TypeVar("T")
LISTED = 20  # names in the message of an error; the error's ``samples`` holds all


class BadSample(FiguraInputError):
    """One sample cannot be used. ``name`` says which, ``reason`` why, in a few words."""

    def __init__(self, name: str, reason: str, wanted: str = "a usable sample") -> None:
        self.name, self.reason, self.wanted_of = name, reason, wanted
        super().__init__(name, reason, wanted)

    def __reduce__(self) -> tuple[Any, ...]:
        return BadSample, (self.name, self.reason, self.wanted_of)


class TooManyBadSamples(FiguraInputError):
    """More samples than the limit allows cannot be used. ``samples``: reason by name, of all found so far."""

    def __init__(self, what: str, samples: dict[str, str], total: int, limit: float) -> None:
        self.samples, self.origin = dict(samples), (what, dict(samples), total, limit)
        listed = [f"{name}: {reason}" for name, reason in list(samples.items())[:LISTED]]
        rest = [f"and {len(samples) - LISTED} more"] if len(samples) > LISTED else []
        super().__init__(
            what,
            f"{len(samples)} unusable of {total} samples ({'; '.join(listed + rest)})",
            f"at most {limit * 100:g} % of them",
            "Mend or remove them, or raise the limit of bad samples.",
        )

    def __reduce__(self) -> tuple[Any, ...]:
        return TooManyBadSamples, self.origin


class BadSamples:
    """Keeps count over a whole run. Each name counts once, however often it is met. Safe between threads.

    Args:
        limit: share of the data set that may be skipped, 0 to 1.
        what: the data set in the user's words, for the error.
    """

    def __init__(self, limit: float = 0.01, what: str = "data set") -> None:
        if not 0 <= limit <= 1:
            raise FiguraInputError("limit of bad samples", str(limit), "a share from 0 to 1")
        self.limit, self.what = limit, what
        self.samples: dict[str, str] = {}
        """Reason by name, in the order in which they were found."""
        self._usable: int | None = None
        self._lost = 0
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self.samples)

    def __bool__(self) -> bool:
        return True  # an empty count is still this count: ``bad or BadSamples()`` must keep it

    def expect(self, usable: int) -> None:
        """Say how many samples are left after listing; from here on the limit is watched.

        Raises:
            FiguraInputError: none is left.
            TooManyBadSamples: the listing itself lost too many.
        """
        if usable < 1:
            if self.samples:
                raise TooManyBadSamples(self.what, self.samples, len(self.samples), self.limit)
            raise FiguraInputError(self.what, "no samples", "at least one")
        with self._lock:
            self._lost, self._usable = len(self.samples), usable
        self._check()

    def skip(self, name: str, reason: str) -> None:
        """Count one sample. Raises TooManyBadSamples when it is one too many."""
        with self._lock:
            known = name in self.samples
            self.samples.setdefault(name, reason)
        if not known:
            log.warning("%s: skipped %s: %s", self.what, name, reason)
            self._check()

    def _check(self) -> None:
        with self._lock:
            if self._usable is None:
                return
            total, found = self._usable + self._lost, dict(self.samples)
        if len(found) > self.limit * total:
            raise TooManyBadSamples(self.what, found, total, self.limit)

    def rows(self, rows: Iterable[T], name: Callable[[T], str]) -> list[T]:
        """Keep the first row of each name; the others are counted as duplicates (``name (again, row 7)``)."""
        kept: dict[str, T] = {}
        for number, row in enumerate(rows):
            key = name(row)
            if key in kept:
                self.skip(f"{key} (again, row {number})", "an id that another sample has")
            else:
                kept[key] = row
        return list(kept.values())

    def usable(self, items: Iterable[T], check: Callable[[T], object]) -> list[T]:
        """The items for which ``check`` does not raise BadSample."""
        kept = []
        for item in items:
            try:
                check(item)
                kept.append(item)
            except BadSample as bad:
                self.skip(bad.name, bad.reason)
        return kept

    def read(self, index: int, length: int, load: Callable[[int], T]) -> T:
        """``load(index)``, or of the next index that does not raise BadSample (after the last comes the
        first)."""
        for step in range(length):
            try:
                return load((index + step) % length)
            except BadSample as bad:
                self.skip(bad.name, bad.reason)
        raise TooManyBadSamples(self.what, self.samples, length, self.limit)

    def report(self) -> str:
        """A line for the end of a run: how many were skipped, and the first of them."""
        if not self.samples:
            return f"{self.what}: every sample was usable"
        first = "; ".join(f"{name}: {reason}" for name, reason in list(self.samples.items())[:LISTED])
        return f"{self.what}: {len(self.samples)} samples skipped ({first})"


def picture(path: str | Path, name: str = "", least: int = 8, mode: str = "RGB") -> Image:
    """Read a whole picture as PIL image of ``mode`` (``""``: as it is), turned as its EXIF says.

    Raises:
        BadSample: the file is missing, damaged, cut off, or a side is under ``least`` pixels.
    """
    from PIL import Image, ImageOps

    path, name = Path(path), name or Path(path).name
    if not path.is_file():
        raise BadSample(name, "no such file", "a picture")
    try:
        with Image.open(path) as opened:
            opened.load()  # a file that was cut off fails here, not at open
            image = ImageOps.exif_transpose(opened)
            image = image.convert(mode) if mode and image.mode != mode else image.copy()
    except (OSError, SyntaxError, ValueError, EOFError, Image.DecompressionBombError) as error:
        reason = f"damaged picture ({error})".replace(str(path), path.name)
        raise BadSample(name, reason, "PNG, JPEG or WebP") from error
    if min(image.size) < least:
        width, height = image.size
        raise BadSample(name, f"a picture of {width} x {height} pixels", f"at least {least} pixels a side")
    return image


def caption(text: object, name: str) -> str:
    """The text without outer blanks. Raises BadSample when there is none."""
    if not isinstance(text, str):
        raise BadSample(name, f"a caption that is no text ({type(text).__name__})", "a caption")
    if not text.strip():
        raise BadSample(name, "an empty caption", "a caption")
    return text.strip()


def path_text(value: object, name: str) -> str:
    """A file's path in a label file. Raises BadSample when there is none."""
    if not isinstance(value, str) or not value.strip():
        raise BadSample(name, f"{value!r} in the place of a path", "the path of a file")
    return value


def read_parquet(
    path: str | Path, columns: Sequence[str], bad: BadSamples, optional: Sequence[str] = ()
) -> list[dict[str, Any]]:
    """The rows of a parquet file, only ``columns`` and those of ``optional`` that it has.

    A file that lacks one of ``columns``, or cannot be read, counts as one bad sample per row (one, if the
    rows cannot be counted) and gives none.
    """
    pq, path = _parquet(), Path(path)
    count, reason = 1, ""
    try:
        file = pq.ParquetFile(path)
        count = max(1, file.metadata.num_rows)
        lacking = [column for column in columns if column not in file.schema_arrow.names]
        if not lacking:
            more = [column for column in optional if column in file.schema_arrow.names]
            return file.read(columns=[*columns, *more]).to_pylist()
        reason = f"no column {', '.join(lacking)} (it has {', '.join(file.schema_arrow.names)})"
    except (OSError, ValueError) as error:  # pyarrow's own errors are among these
        reason = "no such file" if not path.is_file() else f"not a readable parquet file ({error})"
    for row in range(count):
        bad.skip(path.name if count == 1 else f"{path.name}, row {row}", reason)
    return []


def read_json_lines(path: str | Path, keys: Sequence[str], bad: BadSamples) -> list[dict[str, Any]]:
    """The objects of a JSON-lines file; lines that are no object with ``keys`` are counted and left out."""
    path = Path(path)
    rows = []
    for number, line in enumerate(_text(path).splitlines(), 1):
        if not line.strip():
            continue
        name = f"{path.name}, line {number}"
        try:
            row = json.loads(line)
        except ValueError:
            bad.skip(name, "not JSON")
            continue
        reason = _lacking(row, keys)
        bad.skip(name, reason) if reason else rows.append(row)
    return rows


def read_mapping(path: str | Path, keys: Sequence[str], bad: BadSamples) -> dict[str, dict[str, Any]]:
    """A mapping file: a JSON object of objects. Entries without ``keys``, and ids that come twice, are
    counted and left out."""
    path = Path(path)
    try:
        pairs = json.loads(_text(path), object_pairs_hook=list)
    except ValueError as error:
        raise FiguraInputError(path.name, f"a file that is not JSON ({error})", "a mapping file") from error
    if not isinstance(pairs, list) or not all(isinstance(p, tuple) and len(p) == 2 for p in pairs):
        raise FiguraInputError(path.name, "JSON of another form", "an object that maps ids to entries")
    found: dict[str, dict[str, Any]] = {}
    for number, (key, value) in enumerate(pairs):
        if key in found:
            bad.skip(f"{key} (again, entry {number})", "an id that another sample has")
            continue
        entry = dict(value) if _are_pairs(value) else value
        reason = _lacking(entry, keys)
        if reason:
            bad.skip(key, reason)
        else:
            found[key] = entry
    return found


def _are_pairs(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(item, tuple) and len(item) == 2 for item in value)


def _lacking(row: object, keys: Sequence[str]) -> str:
    if not isinstance(row, dict):
        return f"no object but {type(row).__name__}"
    lacking = [key for key in keys if key not in row]
    return f"no {', '.join(lacking)}" if lacking else ""


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise FiguraInputError(path.name, "no readable file", "a label file") from error
    except UnicodeDecodeError as error:
        raise FiguraInputError(path.name, "a file that is not UTF-8 text", "a label file") from error


def _parquet() -> Any:
    try:
        import pyarrow.parquet as pq
    except ImportError as error:
        raise FiguraMissingPackage("pyarrow", "parquet label files", "pip install pyarrow") from error
    return pq
