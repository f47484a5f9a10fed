"""Which samples an update sees: a pure function of (seed, step), so that a run can be resumed anywhere."""

from functools import lru_cache
from hashlib import blake2b

import numpy as np

Key = int | str


def key(*parts: Key) -> int:
    """A 32-bit number from a list of names and numbers; different lists give unrelated numbers.

    32 bits, because that is all that torch's CPU generator reads of a seed.
    """
    text = "\x1f".join(str(part) for part in parts)
    return int.from_bytes(blake2b(text.encode(), digest_size=4).digest(), "little")


@lru_cache(maxsize=2)  # an update can lie across the border of two epochs
def epoch_order(seed: int, epoch: int, length: int) -> np.ndarray:
    """A permutation of ``range(length)`` for one pass through the data."""
    return np.random.Generator(np.random.PCG64([seed, epoch, length])).permutation(length)


def indices_of(seed: int, step: int, batch: int, length: int, rank: int = 0, processes: int = 1) -> list[int]:
    """Samples of process ``rank`` in update ``step``: every ``processes``-th of the batch.

    Passes through the data follow each other without a gap: no sample is dropped at the end of one.
    """
    places = range(step * batch + rank, (step + 1) * batch, processes)
    return [int(epoch_order(seed, place // length, length)[place % length]) for place in places]
