"""Latents on disk: ws as .safetensors with a few words of metadata, whole or not at all."""

from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from ..common.errors import FiguraInputError, FiguraWeightsError
from ..common.weights import FileKind, load_state_dict, read_metadata, save_state_dict, sniff
from .latents import check_ws

KEY = "ws"


@dataclass(frozen=True)
class Latents:
    """ws [N, num_ws, w_dim] and, where they came from seeds, those seeds."""

    ws: Tensor
    seeds: tuple[int, ...] | None = None


def save_latents(path: str | Path, latents: Latents) -> None:
    """Write ``latents`` to a .safetensors file."""
    ws = check_ws(latents.ws, latents.ws.shape[-2], latents.ws.shape[-1])
    seeds = ",".join(str(seed) for seed in latents.seeds or ())
    save_state_dict(path, {KEY: ws.detach().cpu().clone()}, {"figura.ws": "1", "seeds": seeds})


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
    return Latents(check_ws(ws, ws.shape[1], ws.shape[2], path.name), _seeds(read_metadata(path), len(ws)))


def _seeds(metadata: dict[str, str], count: int) -> tuple[int, ...] | None:
    """The seeds noted in the file, if there is one for each latent."""
    words = [word for word in metadata.get("seeds", "").split(",") if word.isdecimal()]
    return tuple(int(word) for word in words) if len(words) == count else None
