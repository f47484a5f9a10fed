"""Latents on disk: ws as .safetensors with a few words of metadata, whole or not at all."""

import json
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from ..common.errors import FiguraInputError, FiguraWeightsError
from ..common.weights import FileKind, load_state_dict, read_metadata, save_state_dict, sniff
from .edit import Edit
from .latents import check_ws

KEY = "ws"


@dataclass(frozen=True)
class Latents:
    """ws [N, num_ws, w_dim]; the seeds, where they came from seeds; edits with their strengths, yet to be
    applied.
    """

    ws: Tensor
    seeds: tuple[int, ...] | None = None
    edits: tuple[tuple[Edit, float], ...] = ()


def save_latents(path: str | Path, latents: Latents) -> None:
    """Write ``latents`` to a .safetensors file."""
    ws = check_ws(latents.ws, latents.ws.shape[-2], latents.ws.shape[-1])
    seeds = ",".join(str(seed) for seed in latents.seeds or ())
    tensors = {KEY: ws.detach().cpu().clone()}
    for n, (edit, _) in enumerate(latents.edits):
        tensors |= {f"edit.{n}.style.{i}": vector.cpu().clone() for i, vector in edit.styles.items()}
        tensors |= {f"edit.{n}.row.{row}": vector.cpu().clone() for row, vector in edit.rows.items()}
    edits = json.dumps([[edit.name, strength] for edit, strength in latents.edits])
    save_state_dict(path, tensors, {"figura.ws": "1", "seeds": seeds, "edits": edits})


def load_latents(path: str | Path) -> Latents:
    """Read what ``save_latents`` wrote, or any .safetensors with a tensor named ``ws`` or ``w``."""
    path = Path(path)
    if not path.is_file() or sniff(path) is not FileKind.SAFETENSORS:
        raise FiguraWeightsError(path.name, "no .safetensors file", "a latent saved by StyleGAN Save Latent")
    state = load_state_dict(path)
    ws = state.get(KEY, state.get("w"))
    if ws is None:
        names = ", ".join(list(state)[:5])
        raise FiguraWeightsError(
            path.name, f"tensors {names}", "a tensor named ws", "This is no saved latent."
        )
    if ws.ndim != 3:
        raise FiguraInputError(path.name, f"ws of shape {list(ws.shape)}", "[batch, rows, width]")
    metadata = read_metadata(path)
    ws = check_ws(ws, ws.shape[1], ws.shape[2], path.name)
    return Latents(ws, _seeds(metadata, len(ws)), _edits(metadata, state, path.name))


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

    def vectors(n: int, kind: str) -> dict[int, Tensor]:
        prefix = f"edit.{n}.{kind}."
        return {
            int(key.removeprefix(prefix)): vector.float()
            for key, vector in state.items()
            if key.startswith(prefix) and key.removeprefix(prefix).isdecimal()
        }

    return tuple(
        (Edit(word, vectors(n, "style"), vectors(n, "row")), strength)
        for n, (word, strength) in enumerate(listed)
    )
