"""What stays of a pickle's objects when nothing is executed, and the stream they are read from."""

import io
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, BinaryIO

LONG_BYTES = 1 << 14  # byte strings from here on are left in the file until somebody asks for them
MAX_LINE = 1 << 16


class BadPickle(Exception):
    """The stream is damaged, or asks for what it shall not have. The message says which."""


@dataclass(frozen=True)
class Global:
    """A name from the file, such as ``torch FloatStorage``: two strings, never looked up in Python."""

    module: str
    name: str

    def __str__(self) -> str:
        return f"{self.module}.{self.name}"


@dataclass(frozen=True)
class Builder:
    """One of our own functions, standing for a name that files may call."""

    make: Callable[..., Any]


@dataclass(eq=False)
class StandIn:
    """What a file wanted to be an object of a foreign class: its name, arguments and state, without life."""

    origin: Global
    args: tuple = ()
    state: Any = None
    items: list = field(default_factory=list)
    pairs: dict = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Span:
    """Bytes that stay in the file: a long byte string of the pickle, or a storage of a torch file.

    ``crc`` is the checksum that the file keeps of them; 0 means none.
    """

    file: BinaryIO
    start: int
    size: int
    crc: int = 0

    def __len__(self) -> int:
        return self.size

    def read(self) -> bytes:
        """Return the bytes."""
        data = bytearray(self.size)
        self.read_into(memoryview(data))
        return bytes(data)

    def read_into(self, target: memoryview) -> None:
        """Fill ``target`` with the bytes; whoever else reads the file goes on where they were."""
        back = self.file.tell()
        try:
            self.file.seek(self.start)
            if self.file.readinto(target) != self.size:  # type: ignore[attr-defined]
                raise BadPickle("it ends early")
        finally:
            self.file.seek(back)
        if self.crc and zlib.crc32(target) != self.crc:
            raise BadPickle("a checksum in it does not fit: bytes were damaged on the way")


class Stream:
    """A stretch of a file, read forwards; a read past its end is an error before it is an allocation."""

    def __init__(self, file: BinaryIO, start: int = 0, size: int | None = None) -> None:
        self.file = file
        if size is None:
            size = file.seek(0, io.SEEK_END) - start
        self.end = start + size
        self.at = start
        file.seek(start)

    @classmethod
    def of(cls, data: "bytes | Span") -> "Stream":
        """Open a byte string, wherever it lies."""
        return cls(io.BytesIO(data)) if isinstance(data, bytes) else cls(data.file, data.start, data.size)

    def read(self, count: int) -> bytes:
        """Return exactly ``count`` bytes."""
        if not 0 <= count <= self.end - self.at:
            raise BadPickle(f"it ends early: {count} bytes wanted at {self.at}, {self.end - self.at} left")
        self.at += count
        return self.file.read(count)

    def span(self, count: int) -> "bytes | Span":
        """Return ``count`` bytes, or their place in the file when they are many."""
        if count < LONG_BYTES or count > self.end - self.at:
            return self.read(count)
        span = Span(self.file, self.at, count)
        self.at += count
        self.file.seek(self.at)
        return span

    def number(self, layout: str) -> Any:
        """Return one number of a ``struct`` layout."""
        return struct.unpack(layout, self.read(struct.calcsize(layout)))[0]

    def line(self) -> str:
        """Return the text up to the next line feed."""
        text = self.file.readline(min(MAX_LINE, self.end - self.at))
        if not text.endswith(b"\n"):
            raise BadPickle("a text line has no end")
        self.at += len(text)
        return text[:-1].decode("latin-1")
