"""Files that appear whole or not at all."""

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from .errors import FiguraInputError


def check_folder(path: str | Path, what: str = "out") -> None:
    """Refuse an output folder that cannot be one, before any work: call it first.

    Raises:
        FiguraInputError: it or a folder above it is a file, may not be written to, or has an impossible name.
    """
    path = Path(path).absolute()
    try:
        there = next(place for place in (path, *path.parents) if place.exists())
    except OSError as error:  # a name that is too long
        raise FiguraInputError(what, f"'{path.name[:80]}' ({error.strerror})", "another name") from None
    if not there.is_dir():
        raise FiguraInputError(what, f"'{there.name}', which is a file", "a folder", "Choose another name.")
    if not os.access(there, os.W_OK | os.X_OK):
        raise FiguraInputError(what, f"the folder '{there.name}', which is read-only", "one to write to")


def check_file(path: str | Path, what: str = "out") -> None:
    """Refuse an output file that cannot be one, as ``check_folder`` does a folder."""
    path = Path(path)
    check_folder(path.parent, what)
    if path.is_dir():
        raise FiguraInputError(what, f"'{path.name}', which is a folder", "a file", "Choose another name.")


@contextmanager
def atomic_path(path: str | Path) -> Iterator[Path]:
    """Yield a temporary path beside ``path``; rename it when the block ends well, else remove it.

    A process killed inside the block leaves at most a hidden ``.name.*.tmp`` file; an earlier ``path`` stays.

    Raises:
        FiguraInputError: ``path`` cannot be a file; see ``check_file``.
    """
    path = Path(path)
    check_file(path, path.name[:80])
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.parent / f".{path.name[:80]}.{secrets.token_hex(4)}.tmp"
    try:
        temporary.touch(exist_ok=False)
        rights = temporary.stat().st_mode  # those that the user's files usually have
        yield temporary
        temporary.chmod(rights)  # safetensors makes a file of its own, for its owner alone
        _flush(temporary)
        os.replace(temporary, path)
        _flush_folder(path.parent)
    except BaseException:
        with suppress(OSError):
            temporary.unlink()
        raise


def _flush(path: Path) -> None:
    """Force the bytes to the disk before the rename, so that a power cut cannot leave an empty file."""
    with open(path, "rb+") as file:
        os.fsync(file.fileno())


def _flush_folder(folder: Path) -> None:
    """Force the rename itself to the disk, where the system can (Windows cannot)."""
    with suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
