"""Writing thousands of files so that a kill or a full disk leaves a usable set, never half a file."""

from __future__ import annotations

import errno
import json
import logging
import os
import shutil
import tempfile
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from ..common.errors import FiguraInputError
from ..common.files import atomic_path
from ..common.progress import Progress, silent

log = logging.getLogger(__name__)

Files = dict[str, bytes]
Row = dict[str, Any]
RESERVE = 64 << 20  # bytes left free on the disk
FLUSH = 500  # label files are brought up to date after so many pictures


@dataclass
class Encoded:
    """One item: its files by relative path, and its row in the label files."""

    files: Files = field(default_factory=dict)
    row: Row = field(default_factory=dict)


class Format(Protocol):
    """A system's data set format: items one by one, and the label files over all rows so far."""

    name: str

    def encode(self, index: int) -> Encoded:
        """Item ``index``, whole in memory."""
        ...

    def labels(self, rows: Sequence[Row]) -> Files:
        """The label files that list ``rows`` (from the first item on); they only name files already
        written."""
        ...

    def describe(self) -> Row:
        """What makes this set: kept in world.json, so that a run is never mixed with another one."""
        ...


def write_set(layout: Format, out: Path, count: int, progress: Progress = silent) -> Path:
    """Write ``count`` items under ``out``.

    Pictures go first, label files after them, each file whole or not at all; running the same command again
    completes a set that was cut off. A folder that holds something else is refused.
    """
    if isinstance(count, bool) or not isinstance(count, int) or not 1 <= count <= 10_000_000:
        raise FiguraInputError("count", repr(count), "a whole number from 1 to 10000000")
    _claim(out, layout.describe() | {"format": layout.name, "count": count})
    rows: list[Row] = []
    for index in range(count):
        item = layout.encode(index)
        if index == 0:
            check_space(out, sum(map(_on_disk, item.files.values())) * count)
        for name, data in item.files.items():
            _guard(out, lambda path=out / name, data=data: write_whole(path, data))
        rows.append(item.row)
        if (index + 1) % FLUSH == 0 or index + 1 == count:
            for name, data in layout.labels(rows).items():
                _guard(out, lambda path=out / name, data=data: _write_durable(path, data))
        progress(index + 1, count)
    return out


def _on_disk(data: bytes) -> int:
    return -(-len(data) // 4096) * 4096


def check_space(out: Path, needed: int) -> None:
    """Raise FiguraInputError unless ``needed`` bytes (and a reserve) are free where ``out`` lies."""
    free = shutil.disk_usage(out).free
    if needed + RESERVE > free:
        raise FiguraInputError(
            "disk",
            f"{free >> 20} MiB free for a set of about {needed >> 20} MiB",
            f"{(needed + RESERVE) >> 20} MiB free",
            "Write fewer or smaller pictures, or choose another folder.",
        )


def _claim(out: Path, world: Row) -> None:
    """Make ``out`` ours: new, empty, or begun earlier by the same command."""
    marker = out / "world.json"
    text = json.dumps(world, indent=1, sort_keys=True)
    if out.exists() and not out.is_dir():
        raise FiguraInputError("out", f"the file {out.name}", "a folder")
    if marker.is_file():
        if marker.read_text() != text:
            raise FiguraInputError(
                "out",
                f"a folder with another set ({marker.name} differs)",
                "a new folder, or the same command again",
            )
        log.info("completing the set in %s", out)
        return
    if out.is_dir() and any(not entry.name.startswith(".") for entry in out.iterdir()):
        raise FiguraInputError("out", f"a folder that is not empty ({out.name})", "a new or an empty folder")
    _guard(out, lambda: _write_durable(marker, text.encode()))


def _guard(out: Path, action: Callable[[], None]) -> None:
    try:
        action()
    except OSError as error:
        if error.errno not in (
            errno.ENOSPC,
            errno.EDQUOT,
            errno.EACCES,
            errno.EPERM,
            errno.EROFS,
            errno.ENOTDIR,
        ):
            raise
        raise FiguraInputError(
            "out",
            f"{os.strerror(error.errno or 0).lower()} in {out.name}",
            "a folder that can be written to",
            "What is written so far is whole; run the same command again to complete it.",
        ) from error


def write_whole(path: Path, data: bytes) -> None:
    """Write a file by rename: visible whole or not at all. Not forced to the disk (label files are)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".tmp", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        os.replace(name, path)
    except BaseException:
        with suppress(OSError):
            os.unlink(name)
        raise


def _write_durable(path: Path, data: bytes) -> None:
    with atomic_path(path) as temporary:
        temporary.write_bytes(data)
