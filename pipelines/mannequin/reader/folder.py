"""Reading a folder of pictures, and the captions they were asked for."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

import numpy as np
import torch

from ...common.bad_samples import BadSample, BadSamples, caption, picture, read_json_lines
from ...common.errors import FiguraInputError
from .reading import Reader, Reading, is_upright

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp")


def picture_names(folder: Path) -> list[str]:
    """Names of the pictures in a folder, in order. Raises FiguraInputError where there is none."""
    if not folder.is_dir():
        came = f"'{folder.name}', which is " + ("a file" if folder.exists() else "not there")
        raise FiguraInputError("images", came, "a folder of pictures")
    names = sorted(path.name for path in folder.iterdir() if path.suffix.lower() in SUFFIXES)
    if not names:
        raise FiguraInputError(
            "images", f"the folder '{folder.name}' without pictures", f"files {', '.join(SUFFIXES)}"
        )
    return names


def read_folder(reader: Reader, folder: Path, bad: BadSamples | None = None) -> dict[str, Reading]:
    """Readings by file name, in the order of names; sizes may differ.

    Args:
        bad: counts broken pictures and those of another shape. All are looked at before its limit holds, so
            that its error names every one of them.
    """
    bad = BadSamples(what=folder.name) if bad is None else bad
    by_size: dict[tuple[int, int], dict[str, np.ndarray]] = defaultdict(dict)

    def take(name: str) -> None:
        image = np.asarray(picture(folder / name, least=8))
        height, width = image.shape[:2]
        if not is_upright(height, width):
            reason = f"a picture of {width} x {height} pixels (width x height)"
            raise BadSample(name, reason, "one twice as high as wide")
        by_size[(height, width)][name] = image

    bad.expect(len(bad.usable(picture_names(folder), take)))
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
