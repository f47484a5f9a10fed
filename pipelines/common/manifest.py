"""Checksums beside files: the only thing that notices a flipped bit, which weight formats load silently.

A manifest is a JSON file in a folder: ``{"files": {name: {"sha256": …, "bytes": …}}, "about": {…}}``.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from .errors import FiguraWeightsError
from .files import atomic_path

NAME = "manifest.json"
CHUNK = 1 << 20


def sha256(path: str | Path) -> str:
    """Return the SHA-256 of a file's bytes, as 64 hexadecimal digits."""
    digest = hashlib.sha256()
    try:
        with open(path, "rb") as file:
            while chunk := file.read(CHUNK):
                digest.update(chunk)
    except OSError as error:
        raise FiguraWeightsError(Path(path).name, f"no readable file ({error.strerror})", "a file") from error
    return digest.hexdigest()


def write_manifest(folder: str | Path, files: Iterable[str], about: Mapping[str, Any] | None = None) -> Path:
    """Write ``manifest.json`` over ``files`` (names inside ``folder``), last of all, whole or not at all.

    Args:
        about: anything JSON can hold, e.g. ``{"step": 1000}``.
    """
    folder = Path(folder)
    entries = {
        name: {"sha256": sha256(folder / name), "bytes": (folder / name).stat().st_size} for name in files
    }
    path = folder / NAME
    with atomic_path(path) as temporary:
        temporary.write_text(
            json.dumps({"files": entries, "about": dict(about or {})}, indent=1), encoding="utf-8"
        )
    return path


def verify_manifest(folder: str | Path) -> dict[str, Any]:
    """Check every file that the manifest of ``folder`` lists and return its ``about``.

    Raises:
        FiguraWeightsError: no manifest, a broken one, a listed file missing, of another length or content.
    """
    path = Path(folder) / NAME
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        files, about = dict(content["files"]), dict(content["about"])
        expected = {str(name): (str(entry["sha256"]), int(entry["bytes"])) for name, entry in files.items()}
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        raise FiguraWeightsError(
            Path(folder).name, f"no whole {NAME} ({type(error).__name__})", "a complete checkpoint",
            "It was probably interrupted while being saved; use an older one.",
        ) from error  # fmt: skip
    for name, (digest, size) in expected.items():
        _verify(path.parent, name, digest, size)
    return about


def _verify(folder: Path, name: str, digest: str, size: int) -> None:
    file = folder / name
    if Path(name).name != name or not file.is_file():
        raise FiguraWeightsError(folder.name, f"no file '{name}'", "every file its manifest lists")
    if file.stat().st_size != size:
        raise FiguraWeightsError(
            name, f"{file.stat().st_size:,} bytes", f"{size:,} bytes", "It was cut short."
        )
    if (found := sha256(file)) != digest:
        raise FiguraWeightsError(
            name, f"SHA-256 {found[:16]}…", f"{digest[:16]}…", "Its bytes were damaged; use another copy."
        )
