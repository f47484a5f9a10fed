"""The one door for weight files. Nothing in a file is ever executed.

Formats are told by content, not by suffix: some released files lie about theirs.
"""

from enum import Enum
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from .errors import FiguraWeightsError
from .files import atomic_path

StateDict = dict[str, Tensor]


class FileKind(Enum):
    """What the first bytes of a file say it is."""

    SAFETENSORS = "safetensors"
    TORCH_ZIP = "torch zip"
    PICKLE = "pickle"
    HTML = "web page"
    UNKNOWN = "unknown"


def sniff(path: str | Path) -> FileKind:
    """Tell a file's kind from its first bytes."""
    head = _open(path).read_bytes()[:64] if Path(path).stat().st_size < 64 else _head(path)
    if head[:4] == b"PK\x03\x04":
        return FileKind.TORCH_ZIP
    if head[:1] == b"\x80":
        return FileKind.PICKLE
    if len(head) > 8 and head[8:9] == b"{":
        return FileKind.SAFETENSORS
    if head.lstrip()[:1] == b"<":
        return FileKind.HTML
    return FileKind.UNKNOWN


def _head(path: str | Path) -> bytes:
    with open(path, "rb") as file:
        return file.read(64)


def _open(path: str | Path) -> Path:
    path = Path(path)
    if not path.is_file():
        raise FiguraWeightsError(path.name, "no such file", "an existing weight file")
    return path


def load_state_dict(path: str | Path, device: str = "cpu") -> StateDict:
    """Read every tensor of a .safetensors or torch file, under the names it has there."""
    path = _open(path)
    if sniff(path) is FileKind.SAFETENSORS:
        try:
            with safe_open(path, framework="pt", device=device) as file:
                return {name: file.get_tensor(name) for name in file.keys()}
        except SafetensorError as error:
            raise FiguraWeightsError(
                path.name, f"a damaged file ({error})", "a whole .safetensors file", "Download it again."
            ) from error
    state = torch.load(path, map_location=device, weights_only=True)
    return state.get("state_dict", state)


def save_state_dict(path: str | Path, state: StateDict, metadata: dict[str, str] | None = None) -> None:
    """Write tensors as .safetensors, whole or not at all."""
    with atomic_path(path) as temporary:
        save_file({name: tensor.contiguous() for name, tensor in state.items()}, temporary, metadata)
