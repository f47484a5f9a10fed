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

    return caption_scores(_readings(pictures), [record.caption for record in records])


def poses(pictures: np.ndarray, samples: Sequence[Any]) -> dict[str, float]:
    """How well uint8 pictures [B, H, W, 3] of one person each follow the first pose of their samples:
    ``pck`` (joints within 5 pixels at a height of 128), ``pck_limbs``, and ``pck_chance``, against the next
    sample's pose. With them, what ``captions`` says of the prompts."""
    from ..mannequin.reader.scores import LIMBS, caption_scores, pck

    readings = _readings(pictures)
    found = np.stack([reading.keypoints for reading in readings])
    nobody = np.zeros((17, 3), np.float32)
    asked = np.stack([sample.people[0] if len(sample.people) else nobody for sample in samples])
    height = pictures.shape[1]
    hits, by_chance = pck(found, asked, height), pck(found, np.roll(asked, -1, 0), height)
    figures = {"pck": hits, "pck_limbs": hits[:, LIMBS], "pck_chance": by_chance}
    said = caption_scores(readings, [sample.prompt for sample in samples])
    return said | {name: float(np.nanmean(values)) for name, values in figures.items()}


def _readings(pictures: np.ndarray) -> list[Any]:
    pixels = torch.from_numpy(np.ascontiguousarray(pictures)).permute(0, 3, 1, 2).float() / 127.5 - 1
    return [reading for chunk in pixels.split(64) for reading in _reader().read(chunk)]
