"""Files written by ``torch.save``, zip or older format, read as data without torch's own loader.

Why not torch's: its list of allowed names belongs to the whole process, so that any other node pack may widen
it; it had holes (CVE-2025-32434, CVE-2026-24747), and users run the torch that ComfyUI brought; it checks no
checksums, and reads all weights where a header would do.
"""

import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from .door import opened
from .inert import BadPickle, Span, Stream
from .rebuild import PLAIN, LazyTensor, Storage, read_legacy, storage_id
from .unpickle import Machine

MAX_PICKLE = 64 << 20  # the description of the tensors; a full training state of SDXL has 3 MB
LOCAL_HEADER = 30  # bytes of a zip entry's own header before its name
# Under which names files keep what users want, best first; the rest is an optimiser's or another copy.
NESTED = ("g_ema", "params_ema", "state_dict", "model_state_dict", "params", "model", "net", "g")
BESIDE = ("latent_avg",)  # single tensors beside the nested ones that belong to them


@contextmanager
def torch_root(path: str | Path, wanted: str = "a file written by torch.save") -> Iterator[Any]:
    """Yield the object in a torch file, its tensors as LazyTensor; they can be read while the block lasts."""
    with opened(path, wanted) as file:
        if file.read(4) == b"PK\x03\x04":
            yield _read_zip(file)
        else:
            yield read_legacy(Stream(file), stand_ins=True)[0]


def _read_zip(file: BinaryIO) -> Any:
    with zipfile.ZipFile(file) as archive:
        entries = _entries(archive)
        folder = _folder(entries)
        if f"{folder}constants.pkl" in entries or any(name.startswith(f"{folder}code/") for name in entries):
            raise BadPickle("it is a TorchScript program, not a file of weights")
        order = entries.get(f"{folder}byteorder")
        if order is not None and _span(file, order).read() != b"little":
            raise BadPickle("written on a machine of the other byte order")
        description = _span(file, entries[f"{folder}data.pkl"])
        if len(description) > MAX_PICKLE:
            raise BadPickle(f"a description of {len(description)} bytes")
        storages: dict[str, Storage] = {}

        def persistent(pid: Any) -> Storage:
            dtype, key, count, _ = storage_id(pid)
            if key not in storages:
                entry = entries.get(f"{folder}data/{key}")
                if entry is None:
                    raise BadPickle(f"storage {key[:20]} is missing")
                span = _span(file, entry)
                if span.size != count * dtype.itemsize:
                    raise BadPickle(
                        f"storage {key[:20]} has {span.size} bytes, not {count} elements of {dtype}"
                    )
                storages[key] = Storage(dtype, count, lambda: span)
            return storages[key]

        return Machine(Stream.of(description.read()), PLAIN, persistent, stand_ins=True).run()


def _entries(archive: zipfile.ZipFile) -> dict[str, zipfile.ZipInfo]:
    """Return the entries by name. Names that occur twice, packed and encrypted ones are refused."""
    entries: dict[str, zipfile.ZipInfo] = {}
    for info in archive.infolist():
        if info.filename in entries:
            raise BadPickle(f"'{info.filename[:60]}' is in it twice")
        if info.flag_bits & 0x41:
            raise BadPickle("it is encrypted")
        entries[info.filename] = info
    return entries


def _folder(entries: dict[str, zipfile.ZipInfo]) -> str:
    roots = [name for name in entries if name.endswith("data.pkl") and name.count("/") <= 1]
    if len(roots) != 1:
        raise BadPickle("a zip archive, but not one that torch wrote")
    return roots[0].removesuffix("data.pkl")


def _span(file: BinaryIO, info: zipfile.ZipInfo) -> Span:
    """Return where an entry's bytes lie; its own header must tell the same name as the directory."""
    if info.compress_type != zipfile.ZIP_STORED or info.compress_size != info.file_size:
        raise BadPickle(f"'{info.filename[:60]}' is packed, which torch never does")
    head = Stream(file, info.header_offset)
    fixed = head.read(LOCAL_HEADER)
    name_length, extra = int.from_bytes(fixed[26:28], "little"), int.from_bytes(fixed[28:30], "little")
    if fixed[:4] != b"PK\x03\x04" or head.read(name_length) != info.orig_filename.encode("utf-8"):
        raise BadPickle(f"'{info.filename[:60]}' has two names")
    head.read(extra)
    if info.file_size > head.end - head.at:
        raise BadPickle(f"'{info.filename[:60]}' ends early")
    return Span(file, head.at, info.file_size, info.CRC)


def state_of(root: Any, depth: int = 0) -> dict[str, LazyTensor]:
    """Find the tensors by name in what a torch file holds: at its top, or under one of the usual names.

    Of several networks in a file the moving average (``g_ema``, ``params_ema``) is taken; ``latent_avg``
    beside it is kept under that name. Anything that is no tensor is left out.
    """
    if isinstance(root, LazyTensor):
        return {"tensor": root}
    if not isinstance(root, dict) or depth > 2:
        raise BadPickle(f"it holds a {type(root).__name__} and no tensors by name")
    here = {
        name: value for name, value in root.items() if isinstance(name, str) and isinstance(value, LazyTensor)
    }
    inner = next((root[name] for name in NESTED if _has_tensors(root.get(name))), None)
    if inner is None or len(here) > len(BESIDE):
        if not here:
            raise BadPickle(f"it has no tensors by name, only {[str(name)[:30] for name in root][:8]}")
        return here
    return state_of(inner, depth + 1) | {name: here[name] for name in BESIDE if name in here}


def _has_tensors(value: Any) -> bool:
    if not isinstance(value, dict):
        return False
    return any(isinstance(item, LazyTensor) for item in value.values()) or any(
        _has_tensors(value.get(name)) for name in NESTED if value.get(name) is not value
    )
