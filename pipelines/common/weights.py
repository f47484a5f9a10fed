"""The one door for weight files. Nothing in a file is ever executed.

Formats are told by content, not by suffix: some released files lie about theirs. StyleGAN's network pickles
have a shape of their own and open in ``network_pickle.py``, beside this door.
"""

import json
from collections.abc import Iterable
from enum import Enum
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from .door import StateDict, opened, told
from .errors import FiguraWeightsError
from .files import atomic_path
from .rebuild import LazyTensor
from .torch_file import state_of, torch_root

__all__ = [
    "FileKind", "Header", "StateDict", "check_keys", "load_state_dict", "read_header", "read_metadata",
    "save_state_dict", "sniff", "weight_files",
]  # fmt: skip

Header = dict[str, tuple[torch.dtype, tuple[int, ...]]]
WANTED = "a weight file (.safetensors, or .ckpt, .pt, .pth, .bin written by torch.save)"
MAX_HEADER = 100 << 20  # the safetensors format's own limit
AGAIN = "Download it again."
DTYPES = {
    "F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16,
    "I64": torch.int64, "I32": torch.int32, "I16": torch.int16, "I8": torch.int8, "U8": torch.uint8,
    "BOOL": torch.bool, "F8_E4M3": torch.float8_e4m3fn, "F8_E5M2": torch.float8_e5m2,
}  # fmt: skip
# The names under which diffusers and transformers save a model in a folder of its own, best first.
FOLDER_NAMES = tuple(
    f"{stem}{variant}.{suffix}"
    for variant in ("", ".fp16", ".bf16")
    for suffix in ("safetensors", "bin")
    for stem in ("diffusion_pytorch_model", "model", "pytorch_model")
)


class FileKind(Enum):
    """What the first bytes of a file say it is."""

    SAFETENSORS = "safetensors"
    TORCH_ZIP = "torch zip"
    PICKLE = "pickle"
    HTML = "a web page"
    LFS_POINTER = "a git-lfs pointer"
    EMPTY = "an empty file"
    UNKNOWN = "a file of unknown format"


def sniff(path: str | Path) -> FileKind:
    """Tell a file's kind from its first bytes."""
    with opened(path, WANTED) as file:
        head = file.read(256)
    if len(head) > 8 and head[8:9] == b"{" and int.from_bytes(head[:8], "little") <= MAX_HEADER:
        return FileKind.SAFETENSORS  # first, since its length may begin with the bytes of a pickle
    if head[:4] == b"PK\x03\x04":
        return FileKind.TORCH_ZIP
    if head[:1] == b"\x80" and head[1:2] <= b"\x05":
        return FileKind.PICKLE
    if head.startswith(b"version https://git-lfs"):
        return FileKind.LFS_POINTER
    if head.lstrip()[:1] == b"<":
        return FileKind.HTML
    return FileKind.UNKNOWN if head else FileKind.EMPTY


def load_state_dict(path: str | Path, device: str = "cpu", prefix: str = "") -> StateDict:
    """Read the tensors of a weight file, or of a diffusers folder, under the names they have there.

    Torch files may keep them under ``state_dict``, ``g_ema`` and the like; those are looked through.

    Args:
        prefix: read only names that begin so (they keep it); the rest is not even loaded.

    Raises:
        FiguraWeightsError: missing, damaged, hostile, or without tensors.
    """
    path = Path(path)
    if path.is_dir():
        state: StateDict = {}
        for file in weight_files(path):
            state |= load_state_dict(file, device, prefix)
        return state
    if _refuse_others(path) is FileKind.SAFETENSORS:
        return _load_safetensors(path, device, prefix)
    with torch_root(path, WANTED) as root:
        storages: dict[int, Tensor] = {}
        return {
            name: tensor.materialise(storages).to(device)
            for name, tensor in state_of(root).items()
            if name.startswith(prefix)
        }


def read_header(path: str | Path) -> Header:
    """Return ``{name: (dtype, shape)}`` of a file's (or folder's) tensors without reading them."""
    path = Path(path)
    if path.is_dir():
        header: Header = {}
        for file in weight_files(path):
            header |= read_header(file)
        return header
    if _refuse_others(path) is FileKind.SAFETENSORS:
        return _safetensors_header(path)[0]
    with torch_root(path, WANTED) as root:
        return {name: _entry(tensor) for name, tensor in state_of(root).items()}


def read_metadata(path: str | Path) -> dict[str, str]:
    """Return the words that a .safetensors file carries beside its tensors; other files have none."""
    return _safetensors_header(path)[1] if sniff(path) is FileKind.SAFETENSORS else {}


def weight_files(folder: str | Path) -> list[Path]:
    """Return the weight files of a model saved by diffusers or transformers: one, or its shards in order."""
    folder = Path(folder)
    for name in FOLDER_NAMES:
        if (folder / name).is_file():
            return [folder / name]
        if (folder / f"{name}.index.json").is_file():
            return _shards(folder / f"{name}.index.json")
    inside = sorted(child.name for child in folder.iterdir())[:8] if folder.is_dir() else []
    raise FiguraWeightsError(
        folder.name, f"a folder without weights ({', '.join(inside) or 'empty'})",
        "a folder with config.json and diffusion_pytorch_model.safetensors (or model.safetensors)",
    )  # fmt: skip


def _shards(index: Path) -> list[Path]:
    try:
        names = sorted(set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()))
    except (ValueError, KeyError, AttributeError, TypeError) as error:
        raise FiguraWeightsError(index.name, "a damaged index", "a list of weight files", AGAIN) from error
    if any(not isinstance(name, str) or Path(name).name != name or "\\" in name for name in names):
        raise FiguraWeightsError(
            index.name, "an index that points outside its folder", "names of files beside it"
        )
    if missing := [name for name in names if not (index.parent / name).is_file()]:
        raise FiguraWeightsError(
            index.parent.name, f"{len(missing)} parts missing: {missing[:5]}", "all parts"
        )
    return [index.parent / name for name in names]


def _refuse_others(path: Path) -> FileKind:
    kind = sniff(path)
    if kind in (FileKind.SAFETENSORS, FileKind.TORCH_ZIP, FileKind.PICKLE):
        return kind
    hints = {
        FileKind.HTML: "The download gave a page (a login, an error?) instead of the file; fetch the file.",
        FileKind.LFS_POINTER: "Only the placeholder was cloned; run 'git lfs pull', or fetch the file.",
        FileKind.EMPTY: "The download was interrupted; fetch it again.",
    }
    raise FiguraWeightsError(path.name, kind.value, WANTED, hints.get(kind, ""))


def _entry(tensor: LazyTensor) -> tuple[torch.dtype, tuple[int, ...]]:
    return tensor.dtype(), tensor.size


def _load_safetensors(path: Path, device: str, prefix: str) -> StateDict:
    _safetensors_header(path)  # tells a cut download in plain words
    try:
        with told(path, WANTED), safe_open(path, framework="pt", device=device) as file:
            return {name: file.get_tensor(name) for name in file.keys() if name.startswith(prefix)}
    except SafetensorError as error:
        raise FiguraWeightsError(path.name, f"a damaged file ({error})", WANTED, AGAIN) from error


def _safetensors_header(path: str | Path) -> tuple[Header, dict[str, str]]:
    """Parse the header; refuse one that is no such JSON, and a file of another length than it tells."""
    path = Path(path)
    with opened(path, WANTED) as file:
        length = int.from_bytes(file.read(8), "little")
        size = path.stat().st_size
        if length > min(MAX_HEADER, size - 8):
            raise FiguraWeightsError(
                path.name, f"a .safetensors file cut short at {size:,} bytes", "it whole", AGAIN
            )
        entries: dict[str, Any] = json.loads(file.read(length))
        metadata = entries.pop("__metadata__", None) or {}
        header = {name: (DTYPES[entry["dtype"]], tuple(entry["shape"])) for name, entry in entries.items()}
        expected = 8 + length + max((entry["data_offsets"][1] for entry in entries.values()), default=0)
    if size != expected:
        raise FiguraWeightsError(
            path.name, f"a file of {size:,} bytes", f"{expected:,} bytes, as its own header tells", AGAIN
        )
    return header, {str(key): str(value) for key, value in metadata.items()}


def save_state_dict(path: str | Path, state: StateDict, metadata: dict[str, str] | None = None) -> None:
    """Write tensors as .safetensors, whole or not at all. Tensors that share memory are written twice.

    Raises:
        FiguraWeightsError: the disk is full or may not be written; an earlier file stays as it was.
        FiguraInputError: ``path`` cannot be a file.
    """
    try:
        with atomic_path(path) as temporary:
            save_file(_separate(state), temporary, metadata)
    except (OSError, SafetensorError) as error:
        size = sum(tensor.numel() * tensor.element_size() for tensor in state.values())
        raise FiguraWeightsError(
            Path(path).name, f"a disk that did not take the file ({error})", f"room for {size:,} bytes",
            "Free some space, or save elsewhere. An earlier file of that name is untouched.",
        ) from error  # fmt: skip


def _separate(state: StateDict) -> StateDict:
    seen: set[int] = set()
    separate: StateDict = {}
    for name, tensor in state.items():
        tensor = tensor.detach().contiguous()
        place = tensor.untyped_storage().data_ptr()
        separate[name] = tensor.clone() if place in seen and tensor.numel() else tensor
        seen.add(place)
    return separate


def check_keys(
    expected: nn.Module | Iterable[str],
    state: Iterable[str],
    path: str | Path,
    allow_unexpected: bool = False,
) -> None:
    """Raise FiguraWeightsError unless ``state`` has all the ``expected`` names, and no others.

    Args:
        expected: the module that is to take the tensors, or its names.
        allow_unexpected: let names pass that the module does not know.
    """
    names = set(expected.state_dict()) if isinstance(expected, nn.Module) else set(expected)
    came = set(state)
    missing = sorted(names - came)
    unexpected = [] if allow_unexpected else sorted(came - names)
    if missing or unexpected:
        parts = [
            f"{len(keys)} {word} tensors ({', '.join(keys[:5])}{', …' if len(keys) > 5 else ''})"
            for keys, word in ((missing, "missing"), (unexpected, "unexpected"))
            if keys
        ]
        raise FiguraWeightsError(
            Path(path).name, " and ".join(parts), f"the {len(names)} tensors of this model",
            "The file is of another model, or damaged.",
        )  # fmt: skip
