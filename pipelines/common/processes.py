"""Which of several processes this one is, and what falls to it.

``accelerate launch -m comfyui_figura.pipelines <system> generate …`` starts one process per GPU, on one or
more machines. Each takes every n-th piece of the work; a picture depends on its own seed alone, so together
they make the very pictures that one process makes.
"""

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, TypeVar

from .errors import FiguraInputError

if TYPE_CHECKING:
    import torch

T = TypeVar("T")


def rank_and_count() -> tuple[int, int]:
    """This process's number and how many there are, as the launcher says; (0, 1) without one."""
    return int(os.environ.get("RANK") or 0), int(os.environ.get("WORLD_SIZE") or 1)


def is_mine(index: int) -> bool:
    """Whether piece ``index`` of the work falls to this process."""
    rank, count = rank_and_count()
    return index % count == rank


def share(pieces: Sequence[T]) -> list[tuple[int, T]]:
    """This process's pieces of the work, each with its place in the whole."""
    return [(index, piece) for index, piece in enumerate(pieces) if is_mine(index)]


def find_device(name: str) -> "torch.device":
    """The device of a ``--device`` flag: "auto" is this process's GPU, Apple's GPU, or the CPU.

    Raises:
        FiguraInputError: a name that torch cannot use here.
    """
    import torch

    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda", int(os.environ.get("LOCAL_RANK") or 0) % torch.cuda.device_count())
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        return torch.zeros(0, device=name).device
    except (RuntimeError, AssertionError) as error:
        raise FiguraInputError(
            "device", f"{name!r}, which torch cannot use here", "auto, cpu, cuda, cuda:0, mps …"
        ) from error
