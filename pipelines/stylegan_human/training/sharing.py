"""A measurement shared by the processes of a run: each looks at its share of the pictures.

The pieces are those that one process would look at, so every feature is the same as there, bit for bit.
"""

from collections.abc import Callable, Iterable
from typing import TypeVar

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor

T = TypeVar("T")


def place() -> tuple[int, int]:
    """This process's number and how many work together; (0, 1) where no group has been formed."""
    if dist.is_available() and dist.is_initialized():
        return dist.get_rank(), dist.get_world_size()
    return 0, 1


def features_of(
    pieces: Iterable[T], sizes: list[int], look: Callable[[T], Tensor], device: torch.device
) -> np.ndarray:
    """Features [N, D] of all pieces, in every process; each calls ``look`` for every n-th piece alone.

    Args:
        pieces: the same in every process; ``sizes`` are their numbers of pictures, with sum N.
        look: a piece -> its features [size, D].
        device: on which the processes exchange.
    """
    rank, count = place()
    found: dict[int, Tensor] = {}
    for number, piece in enumerate(pieces):
        if number % count == rank:
            found[number] = look(piece).to("cpu", torch.float32)
    if count == 1:
        return torch.cat([found[number] for number in sorted(found)]).numpy()
    width = torch.tensor([max((rows.shape[1] for rows in found.values()), default=0)], device=device)
    dist.all_reduce(width, dist.ReduceOp.MAX)  # a process without a piece does not know it
    ends = np.cumsum(sizes)
    rows = torch.zeros(int(ends[-1]), int(width.item()))
    for number, part in found.items():
        rows[ends[number] - sizes[number] : ends[number]] = part
    rows = rows.to(device)
    dist.all_reduce(rows)  # each row is zero in all processes but one
    return rows.cpu().numpy()


def from_first(make: Callable[[], dict[str, float]], device: torch.device) -> dict[str, float]:
    """What ``make`` gives in the first process, in all of them; the others do not call it."""
    rank, count = place()
    if count == 1:
        return make()
    carried = [make() if rank == 0 else None]
    dist.broadcast_object_list(carried, src=0, device=device)
    return carried[0]  # type: ignore[return-value]
