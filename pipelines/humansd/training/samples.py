"""A training sample: a picture, its skeleton and its prompt, varied by draws of (seed, update, place)."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from ...common.bad_samples import BadSamples
from ...common.named_function import source_named
from ...common.people_dataset import trained_on
from ..dataset import THRESHOLD, PoseDataset, counted
from ..skeleton import draw_skeleton
from .augmentation import Draws, draw, varied
from .configs import Chances


@dataclass(frozen=True)
class Sample:
    """What the network is shown.

    Attributes:
        image, skeleton: uint8 [H, W, 3].
        people: float32 [N, 17, 3], joints in the picture's pixels; one that does not count is (-1, -1, 0).
    """

    image: np.ndarray
    skeleton: np.ndarray
    people: np.ndarray
    prompt: str


class PoseSource(Protocol):
    """Pictures with poses and prompts, on disk or not."""

    def __len__(self) -> int: ...

    def name(self, index: int) -> str:
        """What a picture is called in lists."""
        ...

    def read(self, index: int) -> Any:
        """``image`` uint8 [H, W, 3], ``people`` float32 [N, 17, 3] in its pixels, ``prompt``."""
        ...

    def check_files(self) -> None:
        """Count what is named but not there."""
        ...


class PoseSamples:
    """Samples of some folders, one after another; the last of each folder are held out.

    Attributes:
        places: (folder, item) of every sample that is trained on. held_out: of the others.
    """

    def __init__(
        self, folders: Sequence[Path], mapping: str, size: tuple[int, int], *, held_out: int = 0,
        scale: int = 1, bad_limit: float = 0.01,
    ) -> None:  # fmt: skip
        """Args:
        size: height and width. scale: skeletons are drawn so many times larger and averaged down.
        """
        self.size, self.scale = size, scale
        self.sets = [open_poses(folder, mapping, size, bad_limit) for folder in folders]
        self.places: list[tuple[int, int]] = []
        self.held_out: list[tuple[int, int]] = []
        for number, data in enumerate(self.sets):
            data.check_files()
            kept = trained_on(data, held_out)
            self.places += [(number, item) for item in range(kept)]
            self.held_out += [(number, item) for item in range(kept, len(data))]

    def name(self, place: tuple[int, int]) -> str:
        """The picture's path."""
        number, item = place
        return self.sets[number].name(item)

    def varied(self, place: tuple[int, int], chances: Chances, seed: int) -> Sample:
        """A sample as one update sees it."""
        return self._made(place, draw(random.Random(seed), chances))

    def plain(self, place: tuple[int, int]) -> Sample:
        """A sample as it is, its middle cut out."""
        return self._made(place, Draws())

    def _made(self, place: tuple[int, int], draws: Draws) -> Sample:
        number, index = place
        item = self.sets[number].read(index)
        people = counted(item.people, (item.image.shape[0], item.image.shape[1]))
        image, people = varied(item.image, people, self.size, draws)
        return Sample(image, skeleton_of(people, self.size, self.scale), people, item.prompt)


def open_poses(place: Path, mapping: str, size: tuple[int, int], bad_limit: float) -> PoseSource:
    """The mapping file in a folder, or what ``module:function,name=value`` makes when it is called with
    ``size``: .mannequin.stream:poses draws its own."""
    source = source_named(place)
    return PoseDataset(place, mapping, BadSamples(bad_limit, place.name)) if source is None else source(size)


def skeleton_of(people: np.ndarray, size: tuple[int, int], scale: int = 1) -> np.ndarray:
    """The skeleton picture, uint8 [H, W, 3]; with ``scale`` drawn so many times larger and averaged down."""
    import cv2

    height, width = size
    larger = people * np.array((scale, scale, 1), np.float32)
    larger[people[..., 2] <= 0] = (-1, -1, 0)
    drawn = draw_skeleton(larger, height * scale, width * scale, THRESHOLD)
    return drawn if scale == 1 else cv2.resize(drawn, (width, height), interpolation=cv2.INTER_AREA)
