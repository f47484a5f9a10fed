"""Files that appear whole or not at all."""

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


@contextmanager
def atomic_path(path: str | Path) -> Iterator[Path]:
    """Yield a temporary path beside ``path``; rename it when the block ends well, else remove it.

    A process killed inside the block leaves at most a hidden ``.name.*.tmp`` file; an earlier ``path`` stays.
    """
    path = Path(path)
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
