"""Reading a folder of pictures, and the captions they were asked for."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

import numpy as np
import torch

from ...common.bad_samples import BadSamples, caption, picture, read_json_lines
from ...common.errors import FiguraInputError
from .reading import Reader, Reading

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp")


def read_folder(reader: Reader, folder: Path, limit: float = 0.01) -> dict[str, Reading]:
    """Readings by file name, in the order of names; sizes may differ. Broken pictures are skipped up to
    ``limit``."""
    if not folder.is_dir():
        raise FiguraInputError("images", f"no folder {folder.name}", "a folder of pictures")
    bad = BadSamples(limit, what=folder.name)
    names = sorted(path.name for path in folder.iterdir() if path.suffix.lower() in SUFFIXES)
    bad.expect(len(names))
    by_size: dict[tuple[int, int], dict[str, np.ndarray]] = defaultdict(dict)

    def take(name: str) -> None:
        image = np.asarray(picture(folder / name, least=8))
        by_size[(image.shape[0], image.shape[1])][name] = image

    bad.usable(names, take)
    readings: dict[str, Reading] = {}
    for images in by_size.values():
        pixels = torch.from_numpy(np.stack(list(images.values()))).permute(0, 3, 1, 2).float() / 127.5 - 1
        readings |= dict(zip(images, reader.read(pixels), strict=True))
    return dict(sorted(readings.items()))


def read_captions(path: Path, names: list[str], limit: float = 0.01) -> dict[str, str]:
    """Captions by file name from JSON lines {"file", "caption"}, for those of ``names`` that have one."""
    bad = BadSamples(limit, what=path.name)
    rows = bad.rows(read_json_lines(path, ("file", "caption"), bad), lambda row: str(row["file"]))
    rows = bad.usable(rows, lambda row: caption(row["caption"], str(row["file"])))
    bad.expect(len(rows))
    known = {str(row["file"]): row["caption"].strip() for row in rows}
    found = {name: known[name] for name in names if name in known}
    if not found:
        raise FiguraInputError(path.name, "captions for other files", f"some for {names[0]} …")
    return found
