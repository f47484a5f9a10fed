"""Direction files as edits: our own .safetensors, and the layouts that directions were released in.

- ``style_vect_mean_0.pkl``, ``…_1.pkl``, … in one folder: a shift for every style (StyleGAN-Human's
InterFaceGAN), perhaps with ``statis.csv`` of one layer: how much each channel counts (StyleSpace);
- ``.pt``, ``.pkl``, ``.npy`` or ``.safetensors`` with one vector of w: [w_dim] or [1, w_dim] (SeFa,
InterFaceGAN).
"""

import csv
import re
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ...common.door import told
from ...common.errors import FiguraInputError, FiguraWeightsError
from ...common.files import atomic_path, check_file, check_folder
from ...common.network_pickle import load_pickled_arrays
from ...common.opcodes import write_array, write_tensor
from ...common.weights import FileKind, load_state_dict, read_metadata, save_state_dict, sniff
from ..choices import DIRECTION_SUFFIXES
from ..latents.edit import SEFA_ROWS, Edit, direction_in_styles, direction_in_w

WANTED = "a direction: one vector of w, or style_vect_mean_*.pkl beside each other"
SERIES = re.compile(r"style_vect_mean_\d+\.pkl")
MARK = "figura.direction"
MAX_CHANNELS = 1 << 16


def load_direction(path: str | Path, rows: list[int] | None = None) -> Edit:
    """The edit in ``path``; of a series of style vectors, any one file stands for all of its folder.

    ``rows``: which rows of ws a vector of w moves. When None: those that a file of our own names, else 4 to
    7, as the released SeFa edits do.
    """
    path = Path(path)
    if SERIES.fullmatch(path.name):
        files = sorted(
            path.parent.glob("style_vect_mean_*.pkl"), key=lambda file: int(file.stem.split("_")[-1])
        )
        return direction_in_styles(
            [_vector(file) for file in files if SERIES.fullmatch(file.name)], path.parent.name
        )
    if path.is_file() and sniff(path) is FileKind.SAFETENSORS and MARK in (words := read_metadata(path)):
        return _own(path, words, rows)
    return direction_in_w(_vector(path), SEFA_ROWS if rows is None else rows, path.stem)


def _own(path: Path, words: dict[str, str], rows: list[int] | None) -> Edit:
    edit = Edit.of_tensors(words.get("name") or path.stem, load_state_dict(path))
    if not edit.styles and not edit.rows:
        raise FiguraWeightsError(path.name, "a direction without vectors", "a saved direction")
    vector = _one_vector(edit)
    if vector is None or rows is None:
        return edit
    return direction_in_w(vector, rows, edit.name)


def _one_vector(edit: Edit) -> Tensor | None:
    """The vector of w that all rows of ``edit`` share, if it is no more than that."""
    vectors = list(edit.rows.values())
    alike = bool(vectors) and not edit.styles and all(torch.equal(v, vectors[0]) for v in vectors[1:])
    return vectors[0] if alike else None


def check_direction_file(path: Path) -> None:
    """Refuse a place or a suffix that a direction cannot be saved under. Raises: FiguraInputError."""
    check_file(path, "direction file") if path.suffix else check_folder(path, "direction folder")
    if path.suffix not in ("", ".safetensors", ".pt", ".npy"):
        raise FiguraInputError("direction file", f"the suffix '{path.suffix}'", ", ".join(DIRECTION_SUFFIXES))


def save_direction(path: str | Path, edit: Edit) -> None:
    """Write ``edit`` as the suffix says, whole or not at all.

    .safetensors holds any edit. The released layouts hold parts: .pt (as SeFa's) and .npy (as InterFaceGAN's)
    one vector of w [1, w_dim], a path without suffix becomes a folder of ``style_vect_mean_<i>.pkl``.
    """
    path = Path(path)
    check_direction_file(path)
    if path.suffix == ".safetensors":
        return save_state_dict(path, edit.tensors(), {MARK: "1", "name": edit.name})
    try:
        if path.suffix == "":
            return _save_series(path, edit)
        _save_vector(path, edit)
    except OSError as error:
        raise FiguraWeightsError(
            path.name, f"a disk that did not take the file ({error})", "room for it"
        ) from error


def _save_vector(path: Path, edit: Edit) -> None:
    vector = _one_vector(edit)
    if vector is None:
        raise FiguraInputError(
            f"edit '{edit.name}'", "more than one vector of w", f"one, for a {path.suffix}",
            "Save it as .safetensors.",
        )  # fmt: skip
    if path.suffix == ".pt":
        return write_tensor(path, vector[None])
    with atomic_path(path) as temporary, open(temporary, "wb") as file:
        np.save(file, vector[None].numpy(), allow_pickle=False)


def _save_series(folder: Path, edit: Edit) -> None:
    if edit.rows or set(edit.styles) != set(range(len(edit.styles))) or not edit.styles:
        raise FiguraInputError(
            f"edit '{edit.name}'", f"vectors for styles {sorted(edit.styles)} and rows {sorted(edit.rows)}",
            "one for each style from 0 on, for a folder of style_vect_mean files", "Save it as .safetensors.",
        )  # fmt: skip
    for i, vector in edit.styles.items():
        write_array(folder / f"style_vect_mean_{i}.pkl", vector[None].numpy())


def load_importance(path: str | Path, channels: int) -> Tensor:
    """Importance [channels] of one layer's channels, from a released ``statis.csv`` (channel, strength)."""
    path = Path(path)
    wanted = f"a table of {channels} channels with the columns channel and strength"
    with told(path, wanted), open(path, encoding="utf-8", newline="") as file:
        lines = [(int(line["channel"]), float(line["strength"])) for line in csv.DictReader(file)]
    if sorted(channel for channel, _ in lines) != list(range(channels)):
        raise FiguraWeightsError(path.name, f"{len(lines)} channels", wanted, "It is of another layer.")
    return torch.tensor([strength for _, strength in sorted(lines)])


def _vector(path: Path) -> Tensor:
    """The only tensor of a file, as a vector."""
    value = _read(path)
    if isinstance(value, dict):
        value = next(iter(value.values())) if len(value) == 1 else None
    if isinstance(value, np.ndarray):
        value = torch.from_numpy(value.astype(np.float32))
    if not isinstance(value, Tensor) or value.numel() == 0 or value.numel() != max(value.shape, default=0):
        came = f"shape {list(value.shape)}" if isinstance(value, Tensor) else type(value).__name__
        raise FiguraWeightsError(path.name, came, WANTED)
    return value.float().flatten()


def _read(path: Path):
    if path.suffix == ".npy":
        with told(path, WANTED):
            return np.load(path, allow_pickle=False)
    if path.is_file() and sniff(path) is FileKind.PICKLE and path.suffix == ".pkl":
        return load_pickled_arrays(path)
    return load_state_dict(path)
