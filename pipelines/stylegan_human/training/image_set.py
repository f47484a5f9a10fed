"""Pictures of one size as StyleGAN's trainer asks for them; those of a function that draws them."""

from abc import ABC, abstractmethod
from collections import Counter
from typing import Protocol, TypeVar

import numpy as np
import torch
from torch import Tensor

from ...common.bad_samples import BadSamples
from ...common.errors import FiguraInputError

T = TypeVar("T")
IN_MEMORY = 2 << 30  # bytes of pictures kept in memory; those of larger sets are read or drawn each time
WANTED = "pictures of one size, twice as high as wide, the height a power of two"


class PictureSource(Protocol):
    """Aligned pictures that a function makes, all of one ``size`` (height, width)."""

    size: tuple[int, int]

    def __len__(self) -> int: ...

    def name(self, index: int) -> str:
        """What a picture is called in lists."""
        ...

    def picture(self, index: int) -> np.ndarray:
        """uint8 [H, W, 3], a function of the index alone."""
        ...


class ImageSet(ABC):
    """Item i is picture i, or from ``count`` on (with ``mirror``) picture i - count mirrored."""

    def __init__(self, size: tuple[int, int], names: list[str], mirror: bool, bad: BadSamples) -> None:
        self.size, self.names_used, self.count = size, names, len(names)
        self.mirror, self.bad = mirror, bad
        self.labels: Tensor | None = None

    def __len__(self) -> int:
        return self.count * (2 if self.mirror else 1)

    @property
    def label_dim(self) -> int:
        """Numbers in a label, 0 without labels."""
        return 0 if self.labels is None else self.labels.shape[1]

    def names(self, indices: list[int]) -> list[str]:
        """File names of items."""
        return [self.names_used[index % self.count] for index in indices]

    def pixels(self, indices: list[int]) -> Tensor:
        """Items as uint8 [B, 3, H, W]."""
        rows = [self._picture(index % self.count) for index in indices]
        flipped = [
            row[:, :, ::-1] if index >= self.count else row for row, index in zip(rows, indices, strict=True)
        ]
        return torch.from_numpy(np.stack(flipped))

    def batch(self, indices: list[int]) -> dict[str, Tensor]:
        """``pixels`` and, with labels, ``labels`` float32 [B, label_dim]."""
        batch = {"pixels": self.pixels(indices)}
        if self.labels is not None:
            batch["labels"] = self.labels[torch.tensor([index % self.count for index in indices])]
        return batch

    @abstractmethod
    def _picture(self, index: int) -> np.ndarray:
        """uint8 [3, H, W]."""

    def _fits_memory(self) -> bool:
        return self.count * 3 * self.size[0] * self.size[1] <= IN_MEMORY


class DrawnImages(ImageSet):
    """Pictures of a source; those of a set that fits into memory are drawn once.

    Raises:
        FiguraInputError: sizes that no network has.
    """

    def __init__(
        self, source: PictureSource, square: bool = False, mirror: bool = False, subset: int | None = None,
        seed: int = 0,
    ) -> None:  # fmt: skip
        self.source = source
        places = subset_of(list(range(len(source))), subset, seed)
        names = [source.name(place) for place in places]
        super().__init__(common_size({"": source.size}, square), names, mirror, BadSamples())
        self._places = places
        self._drawn: dict[int, np.ndarray] = {}

    def _picture(self, index: int) -> np.ndarray:
        picture = self._drawn.get(index)
        if picture is None:
            picture = np.ascontiguousarray(self.source.picture(self._places[index]).transpose(2, 0, 1))
            if self._fits_memory():
                self._drawn[index] = picture
        return picture


def common_size(sizes: dict[str, tuple[int, int]], square: bool) -> tuple[int, int]:
    """The (height, width) that most pictures have, which must be one that a network can have."""
    if not sizes:
        raise FiguraInputError("training pictures", "none that can be read", WANTED)
    height, width = Counter(sizes.values()).most_common(1)[0][0]
    if width * (1 if square else 2) != height:
        raise FiguraInputError(
            "training pictures", f"{height} x {width} (height x width)",
            "pictures as high as wide" if square else "pictures twice as high as wide",
            "Leave out --square?" if square else "Align them with figura stylegan align, or see --square.",
        )  # fmt: skip
    if height < 8 or height & (height - 1):
        raise FiguraInputError("training pictures", f"{height} pixels high", "a power of two, 8 or more")
    return height, width


def subset_of(items: list[T], count: int | None, seed: int) -> list[T]:
    """So many items, chosen by the seed, in their order; all where ``count`` is None or larger."""
    if count is None or count >= len(items):
        return items
    chosen = np.random.RandomState(seed % 2**31).permutation(len(items))[:count]
    return [items[index] for index in sorted(chosen)]
