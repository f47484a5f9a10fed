"""Tensors and arrays out of what a pickle says about them: the builders that files may call, by exact name.

A tensor stays a description (``LazyTensor``) until ``materialise`` reads its bytes: a file's header costs no
weights, and parts nobody asks for (an optimiser's state, a second copy of a network) are never read.
"""

import codecs
import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from .inert import BadPickle, Builder, Global, Span, Stream
from .unpickle import Machine

LEGACY_MAGIC = bytes.fromhex("6cfc9c46f9206aa85019")  # the number that torch files began with before zip
DTYPES = {
    name: getattr(torch, name)
    for name in (
        "float16", "float32", "float64", "bfloat16", "uint8", "int8", "int16", "int32", "int64", "bool",
        "float8_e4m3fn", "float8_e5m2", "complex64",
    )
    if hasattr(torch, name)
}  # fmt: skip
STORAGES = {
    "HalfStorage": torch.float16, "FloatStorage": torch.float32, "DoubleStorage": torch.float64,
    "BFloat16Storage": torch.bfloat16, "ByteStorage": torch.uint8, "CharStorage": torch.int8,
    "ShortStorage": torch.int16, "IntStorage": torch.int32, "LongStorage": torch.int64,
    "BoolStorage": torch.bool, "ComplexFloatStorage": torch.complex64, "UntypedStorage": torch.uint8,
}  # fmt: skip
MAX_DIMS = 16
HEAD = 32  # bytes within which the magic number must come


@dataclass(frozen=True, eq=False)
class Storage:
    """``count`` elements of ``dtype`` whose bytes lie at ``place()``."""

    dtype: torch.dtype
    count: int
    place: Callable[[], bytes | Span]

    def read(self) -> Tensor:
        """Return the elements [count]; a storage with fewer bytes than it claims is refused."""
        place = self.place()
        if len(place) != self.count * self.dtype.itemsize:
            raise BadPickle(f"a storage of {len(place)} bytes claims {self.count} elements of {self.dtype}")
        if not self.count:
            return torch.empty(0, dtype=self.dtype)
        data = torch.empty(len(place), dtype=torch.uint8)
        target = data.numpy().data
        if isinstance(place, bytes):
            target[:] = place
        else:
            place.read_into(target)
        return data.view(self.dtype)


@dataclass(frozen=True, eq=False)
class Blob:
    """A storage saved as a torch file of its own inside a pickle; opened when it is needed."""

    data: bytes | Span

    def open(self) -> Storage:
        """Parse the blob, which must hold one storage and nothing else."""
        root, _ = read_legacy(Stream.of(self.data))
        if not isinstance(root, Storage):
            raise BadPickle(f"bytes that should be a storage hold a {type(root).__name__}")
        return root


@dataclass(frozen=True, eq=False)
class LazyTensor:
    """A tensor's description: a view of ``size`` into a storage."""

    storage: Storage | Blob
    offset: int
    size: tuple[int, ...]
    stride: tuple[int, ...]
    viewed_as: torch.dtype | None = None

    def dtype(self) -> torch.dtype:
        """Return the element type."""
        storage = self.storage.open() if isinstance(self.storage, Blob) else self.storage
        return self.viewed_as or storage.dtype

    def materialise(self, storages: dict[int, Tensor] | None = None) -> Tensor:
        """Read the tensor. ``storages`` keeps storages that several tensors share."""
        storages = {} if storages is None else storages
        key = id(self.storage)
        if key not in storages:
            storage = self.storage.open() if isinstance(self.storage, Blob) else self.storage
            storages[key] = storage.read()
        flat = storages[key] if self.viewed_as is None else storages[key].view(self.viewed_as)
        self._check(flat.numel())
        view = flat.as_strided(self.size, self.stride, self.offset)
        return view if view.is_contiguous() and view.numel() == flat.numel() else view.clone(
            memory_format=torch.contiguous_format
        )  # fmt: skip

    def _check(self, available: int) -> None:
        """Refuse views that leave their storage, or claim more elements than it has (stride-0 bombs)."""
        count = math.prod(self.size)
        if count == 0:
            return
        last = self.offset + sum(
            (size - 1) * stride for size, stride in zip(self.size, self.stride, strict=True)
        )
        if last >= available or count > available:
            raise BadPickle(
                f"a tensor of shape {list(self.size)} claims {count} values in a storage of {available}"
            )


def whole_numbers(values: Any, what: str) -> tuple[int, ...]:
    """Return a shape or stride as a tuple, checked: few, whole, not negative, no overflow."""
    if not isinstance(values, (tuple, list)) or len(values) > MAX_DIMS:
        raise BadPickle(f"a {what} that is no short list of numbers")
    if any(
        isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 2**48 for value in values
    ):
        raise BadPickle(f"a {what} with numbers that cannot be")
    if math.prod(values) >= 2**63 and what == "shape":
        raise BadPickle("a shape beyond 64 bits")
    return tuple(values)


def _tensor(storage: Any, offset: Any, size: Any, stride: Any, *rest: Any) -> LazyTensor:
    if not isinstance(storage, (Storage, Blob)):
        raise BadPickle(f"a tensor on a {type(storage).__name__}")
    size, stride = whole_numbers(size, "shape"), whole_numbers(stride, "stride")
    if len(size) != len(stride):
        raise BadPickle("a tensor whose shape and stride differ in length")
    return LazyTensor(storage, whole_numbers((offset,), "offset")[0], size, stride)


def _tensor_v3(
    storage: Any, offset: Any, size: Any, stride: Any, grad: Any, hooks: Any, dtype: Any, *rest: Any
):
    if not isinstance(dtype, torch.dtype):
        raise BadPickle("a tensor without an element type")
    plain = _tensor(storage, offset, size, stride)
    return LazyTensor(plain.storage, plain.offset, plain.size, plain.stride, dtype)


def _parameter(data: Any, *rest: Any) -> LazyTensor:
    if not isinstance(data, LazyTensor):
        raise BadPickle(f"a parameter made of a {type(data).__name__}")
    return data


def _blob(data: Any) -> Blob:
    if not isinstance(data, (bytes, Span)):
        raise BadPickle("a storage made of no bytes")
    return Blob(data)


def _ordered_dict(items: Any = (), *rest: Any) -> dict:
    pairs = [pair for pair in items] if isinstance(items, (list, tuple)) else []
    if not all(
        isinstance(pair, (list, tuple)) and len(pair) == 2 and isinstance(pair[0], str) for pair in pairs
    ):
        raise BadPickle("a dictionary made of other things than pairs")
    return {name: value for name, value in pairs}


def _set(items: Any = ()) -> set:
    if not isinstance(items, (list, tuple)) or not all(isinstance(item, (str, int, float)) for item in items):
        raise BadPickle("a set of other things than words and numbers")
    return set(items)


def _encode(text: Any, encoding: Any = "latin1", *rest: Any) -> bytes:
    if not isinstance(text, str) or encoding not in ("latin1", "latin-1"):
        raise BadPickle("bytes in an unknown encoding")
    return codecs.encode(text, "latin-1")


def _size(values: Any = ()) -> tuple[int, ...]:
    return whole_numbers(values, "shape")


def _device(*parts: Any) -> str:
    return ":".join(str(part) for part in parts)


class DType:
    """A numpy element type while its pickle is being read: plain numbers, or objects where allowed."""

    def __init__(self, code: Any, *rest: Any, objects: bool = False) -> None:
        if not isinstance(code, str) or not re.fullmatch(r"[<>|=]?([biufc]\d{1,2}|[US]\d{1,4}|O8?|\?)", code):
            raise BadPickle(f"arrays of type {str(code)[:40]!r}")
        if "O" in code and not objects:
            raise BadPickle("an array of Python objects")
        self.value = np.dtype(code)

    def set_state(self, state: Any) -> None:
        """Take over the byte order; structured and sub-array types are refused."""
        if not isinstance(state, tuple) or len(state) < 5 or any(part is not None for part in state[2:5]):
            raise BadPickle("a structured array type")
        if state[1] in ("<", ">"):
            self.value = self.value.newbyteorder(state[1])


class ArrayShell:
    """A numpy array as its pickle describes it. Its bytes stay where they are until asked for."""

    make: Callable[[], np.ndarray] | None = None
    shape: tuple[int, ...] = ()

    def set_state(self, state: Any) -> None:
        """Take the state (version, shape, type, Fortran order, bytes or list)."""
        if not isinstance(state, tuple) or len(state) != 5 or not isinstance(state[2], DType):
            raise BadPickle("an array with an unknown state")
        _, shape, kind, fortran, raw = state
        self.shape = whole_numbers(shape, "shape")
        if kind.value.hasobject:
            self.make = lambda: _object_array(raw, self.shape)
        else:
            self.make = lambda: array_from(raw, kind, self.shape, "F" if fortran else "C")

    def value(self) -> np.ndarray:
        """Return the array."""
        if self.make is None:
            raise BadPickle("an array without content")
        return self.make()


def _object_array(items: Any, shape: tuple[int, ...]) -> np.ndarray:
    if not isinstance(items, list) or len(items) != math.prod(shape):
        raise BadPickle("an array of objects with another number of them")
    array = np.empty(len(items), dtype=object)
    array[:] = items if len(items) != 1 else [items[0]]
    return array.reshape(shape)


def array_from(raw: Any, kind: DType, shape: tuple[int, ...], order: Any = "C") -> np.ndarray:
    """Make an array of its bytes, which must be exactly as many as its shape wants."""
    if isinstance(raw, str):  # protocol 2 and Python 2 wrote bytes as latin-1 text
        raw = raw.encode("latin-1")
    raw = raw.read() if isinstance(raw, Span) else raw
    if (
        not isinstance(raw, bytes)
        or len(raw) != math.prod(shape) * kind.value.itemsize
        or kind.value.hasobject
    ):
        raise BadPickle(f"an array of shape {list(shape)} with other bytes than it needs")
    order = "F" if order == "F" else "C"
    return np.frombuffer(raw, kind.value).reshape(shape, order=order).copy(order="C")


def _array(kind: Any, shape: Any = (0,), *rest: Any) -> ArrayShell:
    if kind != Global("numpy", "ndarray"):
        raise BadPickle("an array of another class than numpy.ndarray")
    return ArrayShell()


def _from_buffer(raw: Any, kind: Any, shape: Any, order: Any) -> ArrayShell:
    shell = ArrayShell()
    shell.set_state((1, shape, kind, order == "F", raw))
    return shell


def _scalar(kind: Any, raw: Any = b"") -> Any:
    if not isinstance(kind, DType):
        raise BadPickle("a number of unknown type")
    return array_from(raw, kind, ()).item()


def _constants() -> dict[tuple[str, str], Any]:
    table: dict[tuple[str, str], Any] = {("torch", name): dtype for name, dtype in DTYPES.items()}
    table |= {("torch", name): dtype for name, dtype in STORAGES.items()}
    table |= {
        ("torch.storage", "UntypedStorage"): torch.uint8,
        ("numpy", "ndarray"): Global("numpy", "ndarray"),
    }
    return table


CONTAINERS = {
    ("collections", "OrderedDict"): Builder(_ordered_dict),
    ("collections", "defaultdict"): Builder(lambda *args: {}),
    ("builtins", "set"): Builder(_set),
    ("__builtin__", "set"): Builder(_set),
    ("_codecs", "encode"): Builder(_encode),
}
ARRAYS = {
    ("numpy", "dtype"): Builder(DType),
    **{(f"numpy.{core}.multiarray", "scalar"): Builder(_scalar) for core in ("core", "_core")},
    **{(f"numpy.{core}.multiarray", "_reconstruct"): Builder(_array) for core in ("core", "_core")},
    **{(f"numpy.{core}.numeric", "_frombuffer"): Builder(_from_buffer) for core in ("core", "_core")},
}
TENSORS = {
    **_constants(),
    ("torch._utils", "_rebuild_tensor"): Builder(_tensor),
    ("torch._utils", "_rebuild_tensor_v2"): Builder(_tensor),
    ("torch._utils", "_rebuild_tensor_v3"): Builder(_tensor_v3),
    ("torch._utils", "_rebuild_parameter"): Builder(_parameter),
    ("torch._utils", "_rebuild_parameter_with_state"): Builder(_parameter),
    ("torch.storage", "_load_from_bytes"): Builder(_blob),
    ("torch", "Size"): Builder(_size),
    ("torch", "device"): Builder(_device),
}
PLAIN = CONTAINERS | ARRAYS | TENSORS
OBJECT_ARRAYS = CONTAINERS | ARRAYS | {
    ("numpy", "ndarray"): Global("numpy", "ndarray"),
    ("numpy", "dtype"): Builder(lambda code, *rest: DType(code, objects=True)),
}  # fmt: skip


def storage_id(pid: Any) -> tuple[torch.dtype, str, int, Any]:
    """Take apart torch's persistent id ('storage', type, key, location, count[, view])."""
    if not isinstance(pid, tuple) or len(pid) not in (5, 6) or pid[0] != "storage":
        raise BadPickle("it refers to something that is no storage")
    _, dtype, key, _, count = pid[:5]
    if not isinstance(dtype, torch.dtype) or not isinstance(key, str):
        raise BadPickle("a storage of unknown type")
    return dtype, key, whole_numbers((count,), "count")[0], pid[5] if len(pid) == 6 else None


def is_legacy(head: bytes) -> bool:
    """Tell from its first bytes whether a pickle begins a file of torch's older format."""
    return head[:1] == b"\x80" and LEGACY_MAGIC in head[:HEAD]


def read_legacy(stream: Stream, stand_ins: bool = False) -> tuple[Any, dict[str, Storage]]:
    """Read torch's older file format: five pickles, then the storages one after another.

    Returns the root object and the storages by key. The storages' bytes stay in the file.
    """
    start = stream.at
    if not is_legacy(stream.read(min(HEAD, stream.end - start))):
        raise BadPickle("it is a pickle, but not one that torch.save wrote")
    stream = Stream(stream.file, start, stream.end - start)
    if [Machine(stream, {}).run() for _ in range(2)] != [int.from_bytes(LEGACY_MAGIC, "little"), 1001]:
        raise BadPickle("it is of an unknown version of torch.save")
    system = Machine(stream, {}).run()
    if not isinstance(system, dict) or system.get("little_endian") is not True:
        raise BadPickle("written on a machine of the other byte order")
    storages: dict[str, Storage] = {}
    places: dict[str, bytes | Span] = {}

    def persistent(pid: Any) -> Storage:
        dtype, key, count, view = storage_id(pid)
        if view is not None:
            raise BadPickle("a storage that is a view of another (torch 0.3 and older)")
        if key not in storages:
            storages[key] = Storage(dtype, count, lambda: places[key])
        return storages[key]

    root = Machine(stream, PLAIN, persistent, stand_ins).run()
    keys = Machine(stream, {}).run()
    if not isinstance(keys, list) or set(keys) != set(storages) or len(keys) != len(storages):
        raise BadPickle("its list of storages does not fit its tensors")
    for key in keys:
        count = stream.number("<q")
        if count != storages[key].count:
            raise BadPickle(f"storage {key} has {count} elements where {storages[key].count} were announced")
        places[key] = stream.span(count * storages[key].dtype.itemsize)
    return root, storages
