"""Latents on disk: ws as .safetensors with a few words of metadata, whole or not at all.

The reference's files come and go as well: .pt (one tensor, as its inversion writes ``0.pt``) and .npz (array
``w``, as its projector writes). They hold ws alone, without seeds and edits.
"""

import json
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ...common.door import told
from ...common.errors import FiguraInputError, FiguraWeightsError
from ...common.files import atomic_path, check_file
from ...common.opcodes import write_tensor
from ...common.weights import FileKind, load_state_dict, read_metadata, save_state_dict, sniff
from ..choices import LATENT_SUFFIXES
from .edit import Edit
from .latents import check_ws

KEY = "ws"
KEYS = (
    KEY,
    "w",
    "projected_w",
    "latent",
    "tensor",
)  # in which files keep them; the last is a .pt of one tensor
WANTED = "a latent: ws [batch, rows, width] in a .safetensors, .pt or .npz"
MAX_BYTES = 4 << 30  # of one unpacked .npz


@dataclass(frozen=True)
class Latents:
    """ws [N, num_ws, w_dim]; the seeds, where they came from seeds; edits with their strengths, yet to be
    applied.
    """

    ws: Tensor
    seeds: tuple[int, ...] | None = None
    edits: tuple[tuple[Edit, float], ...] = ()


def check_latent_file(path: Path) -> None:
    """Refuse a place or a suffix that latents cannot be saved under. Raises: FiguraInputError."""
    check_file(path, "latent file")
    if path.suffix not in LATENT_SUFFIXES:
        raise FiguraInputError("latent file", f"the suffix '{path.suffix}'", ", ".join(LATENT_SUFFIXES))


def save_latents(path: str | Path, latents: Latents) -> None:
    """Write ``latents`` as the suffix says: .safetensors with seeds and edits, .pt or .npz with ws alone."""
    path, ws = Path(path), check_ws(latents.ws, latents.ws.shape[-2], latents.ws.shape[-1])
    ws = ws.detach().cpu().clone()
    check_latent_file(path)
    if path.suffix != ".safetensors" and latents.edits:
        raise FiguraInputError(
            "latent", f"{len(latents.edits)} edits, which a {path.suffix} cannot hold", ".safetensors"
        )
    if path.suffix == ".safetensors":
        return _save_safetensors(path, ws, latents)
    try:
        _save_plain(path, ws)
    except OSError as error:
        raise FiguraWeightsError(
            path.name, f"a disk that did not take the file ({error})", f"room for {ws.nbytes:,} bytes"
        ) from error


def _save_plain(path: Path, ws: Tensor) -> None:
    if path.suffix == ".pt":
        return write_tensor(path, ws)
    with atomic_path(path) as temporary, open(temporary, "wb") as file:
        np.savez(file, w=ws.numpy())


def _save_safetensors(path: Path, ws: Tensor, latents: Latents) -> None:
    tensors = {KEY: ws}
    for n, (edit, _) in enumerate(latents.edits):
        tensors |= {f"edit.{n}.{name}": vector for name, vector in edit.tensors().items()}
    seeds = ",".join(str(seed) for seed in latents.seeds or ())
    edits = json.dumps([[edit.name, strength] for edit, strength in latents.edits])
    save_state_dict(path, tensors, {"figura.ws": "1", "seeds": seeds, "edits": edits})


def load_latents(path: str | Path) -> Latents:
    """Read what ``save_latents`` wrote, the reference's .pt or .npz, or a tensor named ``ws`` or ``w``."""
    path = Path(path)
    kind = sniff(path)
    metadata = read_metadata(path)
    state = _arrays(path) if kind is FileKind.TORCH_ZIP and _is_npz(path) else load_state_dict(path)
    name = next((name for name in KEYS if name in state), None)
    if name is None:
        words = ", ".join(list(state)[:5])
        raise FiguraWeightsError(path.name, f"tensors {words}", WANTED, "This is no saved latent.")
    ws = state[name]
    if ws.ndim != 3 or not ws.is_floating_point():
        raise FiguraInputError(
            path.name, f"ws of shape {list(ws.shape)}", "[batch, rows, width]",
            "A latent has one row for every place where a style enters; one vector of w is a direction.",
        )  # fmt: skip
    ws = check_ws(ws, ws.shape[1], ws.shape[2], path.name)
    return Latents(ws, _seeds(metadata, len(ws)), _edits(metadata, state, path.name))


def _is_npz(path: Path) -> bool:
    with told(path, WANTED), zipfile.ZipFile(path) as archive:
        names = archive.namelist()
    return bool(names) and all(name.endswith(".npy") for name in names)


def _arrays(path: Path) -> dict[str, Tensor]:
    """The arrays of numbers in an .npz; nothing in it is executed."""
    with told(path, WANTED):
        with zipfile.ZipFile(path) as archive:
            size = sum(entry.file_size for entry in archive.infolist())
        if size > MAX_BYTES:
            raise FiguraWeightsError(path.name, f"arrays of {size:,} bytes", f"at most {MAX_BYTES:,}")
        with np.load(path, allow_pickle=False) as arrays:
            found = {name: arrays[name] for name in KEYS if name in arrays}
            if not found:
                raise FiguraWeightsError(path.name, f"arrays {', '.join(arrays.files[:5])}", WANTED)
        return {name: torch.from_numpy(array.astype(np.float32)) for name, array in found.items()}


def _seeds(metadata: dict[str, str], count: int) -> tuple[int, ...] | None:
    """The seeds noted in the file, if there is one for each latent."""
    words = [word for word in metadata.get("seeds", "").split(",") if word.isdecimal()]
    return tuple(int(word) for word in words) if len(words) == count else None


def _edits(metadata: dict[str, str], state: dict[str, Tensor], name: str) -> tuple[tuple[Edit, float], ...]:
    try:
        listed = [
            (str(word), float(strength)) for word, strength in json.loads(metadata.get("edits") or "[]")
        ]
    except (ValueError, TypeError) as error:
        raise FiguraWeightsError(name, f"a broken list of edits ({error})", "a saved latent") from error
    return tuple(
        (Edit.of_tensors(word, state, f"edit.{n}."), strength) for n, (word, strength) in enumerate(listed)
    )
