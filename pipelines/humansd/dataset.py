"""HumanSD's data on disk: mapping files that join pictures, pose files and prompts (Human-Art, LAION-Human).

Reading alone: each item comes whole, with its joints in its own pixels; ``cut_to`` brings both to the size
that is trained on. Whatever cannot be used is counted by ``BadSamples``.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..common.bad_samples import BadSample, BadSamples, caption, path_text, picture, read_mapping
from ..common.errors import FiguraInputError
from ..pose.files import load_pose

KEYS = ("img_path", "pose_path", "prompt")
THRESHOLD = 0.02  # of a joint's score, in training
MOST = 10  # people; more are left out in the file's order


@dataclass(frozen=True)
class Entry:
    """One entry of a mapping file."""

    key: str
    img_path: str
    pose_path: str
    prompt: str


@dataclass(frozen=True)
class Item:
    """One picture and who is in it."""

    index: int
    """Its place in the list: another than was asked for where that one could not be used."""
    image: np.ndarray
    """uint8 [H, W, 3]."""
    people: np.ndarray
    """float32 [N, 17, 3]: x, y in pixels, score; a joint that does not count is (-1, -1, 0)."""
    prompt: str


class PoseDataset:
    """The entries of a mapping file. Reading is a function of the index alone."""

    def __init__(
        self, root: Path, mapping: str = "mapping_train.json", bad: BadSamples | None = None
    ) -> None:
        """Args:
        root: what the paths in the mapping start from.
        mapping: the mapping file, relative to ``root``.
        """
        self.root, self.bad = root, bad or BadSamples(what=root.name or "data set")
        if not root.is_dir():
            raise FiguraInputError(
                "data", f"no folder {root.name}", "the folder that holds HumanArt and Laion"
            )
        entries = read_mapping(root / mapping, KEYS, self.bad)
        good = self.bad.usable(entries.items(), lambda item: _check_entry(*item))
        self.entries = [Entry(key, *(entry[name] for name in KEYS)) for key, entry in good]
        self.bad.expect(len(self.entries))

    def __len__(self) -> int:
        return len(self.entries)

    def name(self, index: int) -> str:
        """The picture's path."""
        return self.entries[index].img_path

    def check_files(self) -> None:
        """Count entries whose picture or pose file is not there, before hours are spent."""
        for entry in self.entries:
            for path in (entry.img_path, entry.pose_path):
                if not (self.root / path).is_file():
                    self.bad.skip(entry.img_path, f"no file {path}")
                    break

    def read(self, index: int) -> Item:
        """Item ``index``, or the next one that can be used."""
        return self.bad.read(index, len(self), self._load)

    def _load(self, index: int) -> Item:
        entry = self.entries[index]
        image = np.asarray(picture(self.root / entry.img_path, entry.img_path))
        path = self.root / entry.pose_path
        if not path.is_file():
            raise BadSample(entry.img_path, f"no file {entry.pose_path}", "its pose file")
        size = (image.shape[0], image.shape[1])
        try:
            people = load_pose(path, size).people
        except FiguraInputError as error:
            raise BadSample(entry.img_path, f"its pose file: {error.got}", error.wanted) from error
        return Item(index, image, counted(people, size), entry.prompt)


def _check_entry(key: str, entry: dict[str, Any]) -> None:
    caption(entry["prompt"], key)
    for name in ("img_path", "pose_path"):
        path_text(entry[name], key)


def counted(people: np.ndarray, size: tuple[int, int], threshold: float = THRESHOLD) -> np.ndarray:
    """Keep the joints that count, float32 [N <= 10, 17, 3]: inside the picture, score above ``threshold``.

    The released loader moves joints outside the source picture to its corner and draws them; here they are
    dropped.
    """
    people = np.array(people[:MOST], np.float32).reshape(-1, 17, 3)
    x, y, score = np.moveaxis(people, -1, 0)
    inside = (x >= 0) & (y >= 0) & (x < size[1]) & (y < size[0]) & (score > np.float32(threshold))
    people[~inside] = (-1, -1, 0)
    return people


def cut_to(
    image: np.ndarray, people: np.ndarray, size: tuple[int, int], top: float = 0.5, left: float = 0.5
) -> tuple[np.ndarray, np.ndarray]:
    """Resize by area so that ``size`` is just covered, and cut it out; joints cut off are dropped.

    Args:
        size: height and width; a square's side is that of the picture's shorter side, as released.
        top, left: where the cut lies, as shares (0..1) of what is left over; training draws them.
    """
    import cv2

    height, width = image.shape[:2]
    scale = max(size[0] / height, size[1] / width)
    tall, wide = max(size[0], round(height * scale)), max(size[1], round(width * scale))
    resized = cv2.resize(image, (wide, tall), interpolation=cv2.INTER_AREA)
    y, x = int((tall - size[0] + 1) * top), int((wide - size[1] + 1) * left)
    moved = people.copy()
    present = people[..., 2] > 0
    moved[..., :2] = people[..., :2] * scale - (x, y)
    moved[~present] = (-1, -1, 0)
    return resized[y : y + size[0], x : x + size[1]], counted(moved, size, 0.0)
