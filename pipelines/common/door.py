"""How a weight file is opened, and how what goes wrong inside is told."""

import struct
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from torch import Tensor

from .errors import FiguraInputError, FiguraWeightsError
from .inert import BadPickle

StateDict = dict[str, Tensor]

# What damaged or made-up content can raise in struct, numpy and torch; all of it is the file's fault.
_CONTENT = (
    ArithmeticError, AttributeError, EOFError, LookupError, MemoryError, NotImplementedError, RecursionError,
    RuntimeError, TypeError, ValueError, struct.error, zipfile.BadZipFile,
)  # fmt: skip


@contextmanager
def opened(path: str | Path, wanted: str) -> Iterator[BinaryIO]:
    """Open a file for reading; whatever its content makes go wrong inside becomes a FiguraWeightsError."""
    path = Path(path)
    with told(path, wanted), open(path, "rb") as file:
        yield file


@contextmanager
def told(path: str | Path, wanted: str) -> Iterator[None]:
    """Turn what a file's content or absence makes go wrong into a FiguraWeightsError that names the file."""
    name = Path(path).name or str(path)
    try:
        if not Path(path).is_file():
            raise FiguraWeightsError(name, "a folder" if Path(path).is_dir() else "no such file", wanted)
        yield
    except FiguraInputError:
        raise
    except BadPickle as error:
        raise FiguraWeightsError(
            name, f"a file that was not read further because {error}", wanted,
            "Nothing in it was executed. Get it from its authors again; if that does not help, distrust it.",
        ) from None  # fmt: skip
    except OSError as error:
        raise FiguraWeightsError(name, f"a file that cannot be read ({error.strerror})", wanted) from error
    except _CONTENT as error:
        raise FiguraWeightsError(
            name, f"a damaged file ({type(error).__name__}: {str(error)[:120]})", wanted, "Download it again."
        ) from error
