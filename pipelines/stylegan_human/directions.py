"""Direction files in the layouts they were released in, as edits.

- ``style_vect_mean_0.pkl``, ``…_1.pkl``, … in one folder: a shift for every style (StyleGAN-Human's
InterFaceGAN);
- ``.pt``, ``.pkl``, ``.npy`` or ``.safetensors`` with one vector of w: [w_dim] or [1, w_dim] (SeFa,
InterFaceGAN).
"""

import re
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ..common.door import told
from ..common.errors import FiguraWeightsError
from ..common.network_pickle import load_pickled_arrays
from ..common.weights import FileKind, load_state_dict, sniff
from .edit import SEFA_ROWS, Edit, direction_in_styles, direction_in_w

WANTED = "a direction: one vector of w, or style_vect_mean_*.pkl beside each other"
SERIES = re.compile(r"style_vect_mean_\d+\.pkl")


def load_direction(path: str | Path, rows: list[int] | None = None) -> Edit:
    """The edit in ``path``; of a series of style vectors, any one file stands for all of its folder.

    ``rows``: which rows of ws a vector of w moves; 4 to 7 when None, as the released SeFa edits do.
    """
    path = Path(path)
    if SERIES.fullmatch(path.name):
        files = sorted(
            path.parent.glob("style_vect_mean_*.pkl"), key=lambda file: int(file.stem.split("_")[-1])
        )
        return direction_in_styles(
            [_vector(file) for file in files if SERIES.fullmatch(file.name)], path.parent.name
        )
    return direction_in_w(_vector(path), SEFA_ROWS if rows is None else rows, path.stem)


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
