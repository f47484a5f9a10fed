"""The world as trainers' data sets, drawn in memory: the very samples that the writers would put on disk.

``--data .mannequin.stream:people,count=12000,seed=7`` in place of a folder in CosmicMan's format,
``--data .mannequin.stream:portraits,count=20000,height=64`` in place of a folder of aligned pictures,
``--data .mannequin.stream:poses,world=lively,count=12000`` in place of HumanSD's folders.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import overload

import numpy as np

from ..common.bad_samples import BadSamples
from ..common.errors import FiguraInputError
from ..common.people_dataset import Record, record_of
from ..common.seeds import check_seed
from . import captions
from .configs import WorldConfig
from .dataset import scored_keypoints
from .formats import CosmicMan, StyleGAN, world_named
from .scene import render

RECENT = 64  # pictures kept, so that a sample's picture, part map and record are drawn once


class MannequinPeople:
    """CosmicMan's samples (``people_dataset.People``); sample ``i`` is the writer's picture ``i``."""

    def __init__(self, config: WorldConfig, count: int, seed: int) -> None:
        _check_count(count)
        self.layout, self.count = CosmicMan(config, seed), count
        self.size = config.height, config.width
        self.bad = BadSamples(what="mannequins")
        self.bad.expect(count)
        self.records: Sequence[Record] = _Records(self)
        self.draw = lru_cache(RECENT)(self.layout.draw)

    def __len__(self) -> int:
        return self.count

    def read(self, index: int) -> tuple[int, np.ndarray, np.ndarray]:
        """(index, picture uint8 [H, W, 3], part map uint8 [H, W])."""
        picture = self.draw(index)
        return index, picture.image, picture.parts

    def parts(self, index: int) -> np.ndarray:
        """The part map alone."""
        return self.draw(index).parts

    def check_lists(self) -> None:
        """Nothing can be missing."""


class _Records(Sequence[Record]):
    """What each picture shows; found by drawing it, and remembered."""

    def __init__(self, people: MannequinPeople) -> None:
        self.people = people
        self.known: dict[int, Record] = {}

    def __len__(self) -> int:
        return len(self.people)

    @overload
    def __getitem__(self, index: int) -> Record: ...
    @overload
    def __getitem__(self, index: slice) -> list[Record]: ...
    def __getitem__(self, index: int | slice) -> Record | list[Record]:
        if isinstance(index, slice):
            return [self[each] for each in range(*index.indices(len(self)))]
        place = range(len(self))[index]
        if place not in self.known:
            self.known[place] = record_of(self.people.layout.row(self.people.draw(place)))
        return self.known[place]


class MannequinPortraits:
    """StyleGAN-Human's pictures (``aligned_images.PictureSource``)."""

    def __init__(self, config: WorldConfig, count: int, seed: int) -> None:
        _check_count(count)
        self.layout, self.count = StyleGAN(config, seed), count
        self.size = config.height, config.width

    def __len__(self) -> int:
        return self.count

    def name(self, index: int) -> str:
        """What the picture is called in lists."""
        return f"mannequin {index} of seed {self.layout.seed}"

    def picture(self, index: int) -> np.ndarray:
        """uint8 [H, W, 3]."""
        return self.layout.draw(index).image


@dataclass(frozen=True)
class PoseItem:
    """A picture and who is in it, as HumanSD's files tell it: the surest person first."""

    image: np.ndarray
    people: np.ndarray
    """float32 [N, 17, 3]: x, y in pixels, score; (-1, -1, 0) outside the picture."""
    prompt: str


class MannequinPoses:
    """HumanSD's samples (``humansd.training.samples.PoseSource``), not through JPEG."""

    def __init__(self, config: WorldConfig, count: int, seed: int) -> None:
        _check_count(count)
        self.config, self.count, self.seed = config, count, check_seed(seed)

    def __len__(self) -> int:
        return self.count

    def name(self, index: int) -> str:
        """What the picture is called in lists."""
        return f"mannequin {index} of seed {self.seed}"

    def read(self, index: int) -> PoseItem:
        """Picture ``index`` of the world."""
        picture = render(self.config, self.seed, index)
        keypoints = scored_keypoints(picture)
        surest = np.argsort(-keypoints[..., 2].mean(1), kind="stable")
        return PoseItem(picture.image, keypoints[surest], captions.plain_caption(picture, self.config.plain))

    def check_files(self) -> None:
        """Nothing can be missing."""


def people(
    size: tuple[int, int] = (128, 64), *, world: str = "demo", count: int = 12000, seed: int = 0
) -> MannequinPeople:
    """Mannequins with captions and part maps. ``size``: height and width."""
    return MannequinPeople(world_named(world, *size), count, seed)


def poses(
    size: tuple[int, int] = (128, 64), *, world: str = "lively", count: int = 12000, seed: int = 0
) -> MannequinPoses:
    """Mannequins with poses and prompts. ``size``: height and width."""
    return MannequinPoses(world_named(world, *size), count, seed)


def portraits(
    *, world: str = "stylegan", count: int = 20000, seed: int = 0, height: int = 64
) -> MannequinPortraits:
    """Aligned mannequins, twice as high as wide."""
    return MannequinPortraits(world_named(world, height, height // 2), count, seed)


def _check_count(count: object) -> None:
    if not isinstance(count, int) or count < 1:
        raise FiguraInputError("count", str(count), "a number of pictures, 1 or more")
