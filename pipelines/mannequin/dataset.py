"""The world as a data set in memory: item ``i`` is a pure function of (config, seed, i), nothing is stored.

``MannequinDataset(config, length, seed, item)`` works with any ``torch.utils.data.DataLoader``, also with
workers (items are plain functions of this module) and any sampler: order and number of workers never change
an item.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..common.dense_captions import all_texts, join
from ..common.errors import FiguraInputError
from ..common.people_dataset import class_masks
from ..common.seeds import check_seed
from . import captions, parts
from .configs import WorldConfig
from .scene import Picture, render

Item = Callable[[WorldConfig, int, int], dict[str, Any]]


def pixels_of(image: np.ndarray) -> Tensor:
    """uint8 [H, W, 3] -> pixels float32 [3, H, W] in [-1, 1]."""
    return torch.from_numpy(image).permute(2, 0, 1).float() / 127.5 - 1


def picture_item(config: WorldConfig, seed: int, index: int) -> dict[str, Any]:
    """``pixels`` [3, H, W] alone: what StyleGAN-Human trains on."""
    return {"pixels": pixels_of(render(config, seed, index).image), "index": index}


def caption_item(config: WorldConfig, seed: int, index: int) -> dict[str, Any]:
    """CosmicMan's sample: ``pixels``, ``caption``, ``texts`` (21) and ``masks`` float32 [21, 1, H, W] in 0,
    1."""
    picture = render(config, seed, index)
    attributes, ids = captions.attribute_groups(picture)
    texts = all_texts(picture.people[0].shot, attributes)
    return {
        "pixels": pixels_of(picture.image),
        "caption": join(texts),
        "texts": texts,
        "masks": class_masks(picture.parts, ids)[:, None],
        "index": index,
    }


def short_item(config: WorldConfig, seed: int, index: int) -> dict[str, Any]:
    """As ``caption_item`` with the short caption (configs.demo), and ``keypoints`` as in ``pose_item``."""
    picture = render(config, seed, index)
    texts, ids = captions.short_groups(picture)
    return {
        "pixels": pixels_of(picture.image),
        "caption": captions.short_caption(picture),
        "texts": texts,
        "masks": class_masks(picture.parts, ids)[:, None],
        "keypoints": torch.from_numpy(scored_keypoints(picture)),
        "index": index,
    }


def pose_item(config: WorldConfig, seed: int, index: int) -> dict[str, Any]:
    """HumanSD's sample before drawing: ``pixels``, ``caption``, ``keypoints`` float32 [people, 17, 3] as x,
    y, score.

    Joints outside the picture are (-1, -1, 0), hidden ones score 0.5, seen ones 1.
    """
    picture = render(config, seed, index)
    keypoints = torch.from_numpy(scored_keypoints(picture))
    return {
        "pixels": pixels_of(picture.image),
        "caption": captions.plain_caption(picture, config.plain),
        "keypoints": keypoints,
        "index": index,
    }


def scored_keypoints(picture: Picture) -> np.ndarray:
    """Keypoints of everybody with scores in place of visibility, float32 [people, 17, 3]."""
    keypoints = np.stack([person.keypoints for person in picture.people])
    keypoints[..., 2] = np.array((0.0, 0.5, 1.0), np.float32)[keypoints[..., 2].astype(int)]
    keypoints[keypoints[..., 2] == 0] = (-1, -1, 0)
    return keypoints


def parts_item(config: WorldConfig, seed: int, index: int) -> dict[str, Any]:
    """Parts2Whole's sample: target ``pixels``, ``caption``, ``pose`` (IUV, float32 [3, H, W] in 0..1) and
    ``references``: per label the picture's pixels and its mask float32 [1, H, W] in 0..1, same clothes,
    other pose."""
    target = render(config, seed, index)
    references = {
        label: {"pixels": pixels_of(image), "mask": torch.from_numpy(mask)[None].float()}
        for label, (image, mask) in parts.reference_parts(config, seed, index).items()
    }
    pose = torch.from_numpy(target.iuv()).permute(2, 0, 1).float() / 255
    return {
        "pixels": pixels_of(target.image),
        "caption": captions.plain_caption(target, config.plain),
        "pose": pose,
        "references": references,
        "index": index,
    }


class MannequinDataset(torch.utils.data.Dataset):
    """``length`` pictures of the world ``seed``, starting at picture ``start``, made when they are asked
    for."""

    def __init__(
        self, config: WorldConfig, length: int, seed: int = 0, item: Item = picture_item, start: int = 0
    ) -> None:
        if length < 1 or start < 0:
            raise FiguraInputError(
                "data set", f"length {length}, start {start}", "length 1 or more, start 0 or more"
            )
        self.config, self.length, self.seed = config, length, check_seed(seed)
        self.item, self.start = item, start

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> dict[str, Any]:
        if not 0 <= index < self.length:
            raise IndexError(f"item {index} of a data set of {self.length}")
        return self.item(self.config, self.seed, self.start + index)

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return (self[index] for index in range(self.length))
