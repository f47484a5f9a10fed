"""What the mannequins' reader says of pictures, as trainers ask for it (common/named_function.py)."""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import torch


@lru_cache(maxsize=1)
def _reader(path: str = "") -> Any:
    from ..mannequin.reader.reading import SHIPPED, load_reader

    return load_reader(path or SHIPPED)


def captions(pictures: np.ndarray, records: Sequence[Any]) -> dict[str, float]:
    """Shares of what the short captions ask for that is read from uint8 pictures [B, H, W, 3]: colours and
    kinds by garment, ``clothes_colors`` their mean (chance .125), ``all_three``, ``swapped``."""
    from ..mannequin.reader.scores import caption_scores

    pixels = torch.from_numpy(np.ascontiguousarray(pictures)).permute(0, 3, 1, 2).float() / 127.5 - 1
    readings = [reading for chunk in pixels.split(64) for reading in _reader().read(chunk)]
    return caption_scores(readings, [record.caption for record in records])
