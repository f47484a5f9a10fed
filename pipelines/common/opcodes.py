"""Writes pickle streams opcode by opcode, for the files that only pickles can be: the released layouts.

Python's pickle is not used, so nothing depends on what classes exist here: a stream may name
``torch_utils.persistence._reconstruct_persistent_obj`` or numpy's older modules. Protocols 2 and 4 of the
format. ``write_tensor`` and ``write_array`` write single values as users exchange them.
"""

import io
import struct
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import torch
from torch import Tensor

from .files import atomic_path


class Call:
    """A value the reader makes by calling ``module.name(*args)``, then perhaps giving it ``state``."""

    def __init__(self, module: str, name: str, *args: Any, state: Any = None, new: bool = False) -> None:
        self.module, self.name, self.args, self.state, self.new = module, name, args, state, new


class Opcodes:
    """Writes plain values, tensors, arrays and ``Call`` to a file as a pickle stream."""

    def __init__(self, file: BinaryIO) -> None:
        self.file = file

    def dump(self, value: Any, protocol: int = 4) -> None:
        """Write one whole pickle."""
        self.file.write(bytes([0x80, protocol]))
        self.value(value)
        self.file.write(b".")

    def value(self, value: Any) -> None:
        """Write the opcodes that push ``value``."""
        if isinstance(value, Call):
            self._call(value)
        elif isinstance(value, Tensor):
            self._call(_tensor(value))
        elif isinstance(value, np.ndarray):
            self._call(_array(value))
        elif isinstance(value, Mapping):
            self._mapping(value)
        elif isinstance(value, (list, tuple)):
            self._sequence(value)
        else:
            self._scalar(value)

    def _scalar(self, value: Any) -> None:
        if value is None or isinstance(value, bool):
            self.file.write({None: b"N", True: b"\x88", False: b"\x89"}[value])
        elif isinstance(value, int):
            self.file.write(b"J" + struct.pack("<i", value))
        elif isinstance(value, float):
            self.file.write(b"G" + struct.pack(">d", value))
        elif isinstance(value, str):
            text = value.encode()
            self.file.write(b"X" + struct.pack("<I", len(text)) + text)
        elif isinstance(value, (bytes, memoryview)):
            self.file.write(b"B" + struct.pack("<I", len(value)))
            self.file.write(value)
        else:
            raise TypeError(f"no opcodes for {type(value).__name__}")

    def _sequence(self, values: list | tuple) -> None:
        self.file.write(b"(" if isinstance(values, tuple) else b"](")
        for value in values:
            self.value(value)
        self.file.write(b"t" if isinstance(values, tuple) else b"e")

    def _mapping(self, values: Mapping) -> None:
        if isinstance(values, OrderedDict):
            self._call(Call("collections", "OrderedDict"))
        else:
            self.file.write(b"}")
        self.file.write(b"(")
        for key, value in values.items():
            self.value(key)
            self.value(value)
        self.file.write(b"u")

    def _call(self, call: Call) -> None:
        if isinstance(call, _Long):
            self.file.write(b"\x8a" + bytes([len(call.data)]) + call.data)
            return
        if isinstance(call, _Stored):
            self.value(call.key)
            self.file.write(b"Q")
            return
        self.file.write(f"c{call.module}\n{call.name}\n".encode())
        if isinstance(call, _Global):
            return
        self.value(tuple(call.args))
        self.file.write(b"\x81" if call.new else b"R")
        if call.state is not None:
            self.value(call.state)
            self.file.write(b"b")


def _tensor(tensor: Tensor) -> Call:
    """A tensor whose storage is a whole torch file of its own, nested as bytes."""
    tensor = tensor.detach().contiguous()
    return _rebuilt(tensor, Call("torch.storage", "_load_from_bytes", storage_file(tensor)))


def _rebuilt(tensor: Tensor, storage: Call) -> Call:
    size, stride = tuple(tensor.shape), tuple(tensor.stride())
    return Call("torch._utils", "_rebuild_tensor_v2", storage, 0, size, stride, False, OrderedDict())


def storage_file(tensor: Tensor) -> bytes:
    """What ``torch.save`` of the storage wrote before the zip format: five pickles, then the raw numbers."""
    return _torch_file(tensor, _Stored(tensor))


def _torch_file(tensor: Tensor, root: Call) -> bytes:
    file = io.BytesIO()
    Opcodes(file).dump(_Long(0x1950A86A20F9469CFC6C), 2)
    Opcodes(file).dump(1001, 2)
    sizes = {"short": 2, "int": 4, "long": 4}
    Opcodes(file).dump({"protocol_version": 1001, "little_endian": True, "type_sizes": sizes}, 2)
    Opcodes(file).dump(root, 2)
    Opcodes(file).dump([str(tensor.data_ptr())], 2)
    file.write(struct.pack("<q", tensor.numel()))
    file.write(tensor.reshape(-1).numpy().tobytes())
    return file.getvalue()


class _Stored(Call):
    """A storage whose numbers lie further down in the same torch file."""

    WORDS = {torch.float32: "FloatStorage", torch.float16: "HalfStorage"}

    def __init__(self, tensor: Tensor) -> None:
        kind = _Global("torch", self.WORDS[tensor.dtype])
        self.key = ("storage", kind, str(tensor.data_ptr()), "cpu", tensor.numel(), None)


class _Long(Call):
    """A whole number of more than 32 bits: it has an opcode of its own."""

    def __init__(self, number: int) -> None:
        self.data = number.to_bytes((number.bit_length() + 8) // 8, "little", signed=True)


def _array(array: np.ndarray) -> Call:
    if array.dtype.hasobject:
        raise TypeError("no opcodes for an array of objects")
    core = "numpy.core.multiarray"
    if array.ndim == 0:
        return Call(core, "scalar", _dtype(array.dtype), array.tobytes())
    empty = (_Global("numpy", "ndarray"), (0,), b"b")
    state = (1, tuple(array.shape), _dtype(array.dtype), False, np.ascontiguousarray(array).tobytes())
    return Call(core, "_reconstruct", *empty, state=state)


def _dtype(dtype: np.dtype) -> Call:
    return Call("numpy", "dtype", dtype.str[1:], 0, 1, state=(3, "<", None, None, None, -1, -1, 0))


class _Global(Call):
    """A class by its name, not called."""

    def __init__(self, module: str, name: str) -> None:
        self.module, self.name = module, name


def write_tensor(path: str | Path, tensor: Tensor) -> None:
    """Write one tensor, in float32, as a .pt that ``torch.load`` reads, also with ``weights_only``.

    Whole or not at all; in torch's older file format: five pickles, then the numbers.
    """
    tensor = tensor.detach().cpu().float().contiguous()
    with atomic_path(path) as temporary, open(temporary, "wb") as file:
        file.write(_torch_file(tensor, _rebuilt(tensor, _Stored(tensor))))


def write_array(path: str | Path, array: np.ndarray) -> None:
    """Write one array as the pickle that ``pickle.dump(array)`` makes, whole or not at all."""
    with atomic_path(path) as temporary, open(temporary, "wb") as file:
        Opcodes(file).dump(array)
