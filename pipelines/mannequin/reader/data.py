"""Pictures and truth for the reader, drawn once and kept: picture ``i`` is a pure function of (seed, i)."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..configs import WorldConfig, demo, portraits
from ..scene import render
from .networks import HEIGHT, WIDTH
from .targets import ATTRIBUTES, SWAPPED_PARTS, SWAPPED_POINTS, Target, target_of

WORLDS: tuple[WorldConfig, ...] = (
    demo(HEIGHT, WIDTH),
    demo(HEIGHT, WIDTH, lively=True),
    portraits(HEIGHT, WIDTH),
)
Batch = dict[str, Tensor]


class Figures:
    """Figures of ``worlds`` in turn, remembered once drawn (about 35 kB each)."""

    def __init__(self, seed: int, worlds: tuple[WorldConfig, ...] = WORLDS) -> None:
        self.seed, self.worlds = seed, worlds
        self._kept: dict[int, tuple[np.ndarray, Target]] = {}

    def __getitem__(self, index: int) -> tuple[np.ndarray, Target]:
        """Picture uint8 [H, W, 3] and its truth."""
        if index not in self._kept:
            world = self.worlds[index % len(self.worlds)]
            picture = render(world, self.seed, index // len(self.worlds))
            self._kept[index] = (picture.image, target_of(picture))
        return self._kept[index]

    def batch(self, indices: list[int]) -> Batch:
        """``pixels`` [B, 3, H, W] in [-1, 1], ``parts`` [B, H, W], ``points`` [B, 17, 3], ``kinds``,
        ``attributes``."""
        images, targets = zip(*(self[index] for index in indices), strict=True)
        pixels = torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2).float() / 127.5 - 1
        stack: Any = lambda name: torch.from_numpy(np.stack([getattr(t, name) for t in targets]))  # noqa: E731
        return {
            "pixels": pixels,
            "parts": stack("parts").long(),
            "points": stack("points"),
            "kinds": stack("kinds"),
            "attributes": stack("attributes"),
        }


def mirrored(batch: Batch, which: Tensor) -> Batch:
    """The batch with some pictures (bool [B]) left for right, their truth with them."""
    choose = lambda name, other: torch.where(  # noqa: E731
        which.view(-1, *[1] * (batch[name].ndim - 1)), other, batch[name]
    )
    points = batch["points"][:, list(SWAPPED_POINTS)].clone()
    width = batch["pixels"].shape[3]
    points[..., 0] = width - 1 - points[..., 0]
    return {
        "pixels": choose("pixels", batch["pixels"].flip(3)),
        "parts": choose("parts", torch.tensor(SWAPPED_PARTS)[batch["parts"]].flip(2)),
        "points": choose("points", points),
        "kinds": batch["kinds"],
        "attributes": choose("attributes", _mirrored_attributes(batch["attributes"], width)),
    }


def _mirrored_attributes(values: Tensor, width: int) -> Tensor:
    values = values.clone()
    yaw = ATTRIBUTES.index("yaw")
    values[:, yaw] = -values[:, yaw]
    points = values[:, -2 * len(SWAPPED_POINTS) :].view(len(values), -1, 2)[:, list(SWAPPED_POINTS)].clone()
    points[..., 0] = (width - 1) / HEIGHT - points[..., 0]
    values[:, -2 * len(SWAPPED_POINTS) :] = points.flatten(1)
    return values
