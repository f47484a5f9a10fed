"""What trainers of other systems ask the reader for, by name on their command line; they import nothing of
it.

``figura base … --score .mannequin.reader.hooks:caption_figures``, and for features
``figura stylegan train … --detector .mannequin.reader.reading:load_reader``.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import torch

from .reading import Reader, load_reader
from .scores import caption_scores


@lru_cache(maxsize=1)
def shipped_reader() -> Reader:
    """The pack's reader, opened once."""
    return load_reader()


def caption_figures(pictures: np.ndarray, records: Sequence[Any]) -> dict[str, float]:
    """How far pictures uint8 [B, H, W, 3] show what their records' short captions ask for
    (scores.caption_scores). Each record has a text ``caption``."""
    pixels = torch.from_numpy(np.ascontiguousarray(pictures)).permute(0, 3, 1, 2).float() / 127.5 - 1
    return caption_scores(shipped_reader().read(pixels), [record.caption for record in records])
