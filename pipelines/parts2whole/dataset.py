"""Parts2Whole's data on disk: JSON lines that join a target, its IUV, and the parts of its reference.

Crops are those that the released loader comes to on the real data: constant, so that a mask stays on its
picture. Whatever cannot be used is counted by ``BadSamples``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from ..common.bad_samples import BadSample, BadSamples, caption, path_text, picture, read_json_lines
from ..common.errors import FiguraInputError

if TYPE_CHECKING:
    from PIL.Image import Image

KEYS = ("target_id", "reference_id", "target", "caption", "appearance", "structure")
SHAPES = (0.9, 1.0)  # width / height that a crop may have


@dataclass(frozen=True)
class Pair:
    """One target and the parts of its reference, ready for training."""

    index: int
    """Its place in the list: another than was asked for where that one could not be used."""
    pixels: Tensor
    """float32 [3, H, W] in [-1, 1]."""
    pose: Tensor
    """IUV, float32 [3, H, W] in [0, 1]."""
    references: dict[str, Tensor]
    """By label, float32 [3, H, W] in [-1, 1]."""
    masks: dict[str, Tensor]
    """By label, float32 [1, H, W] in [0, 1]; ones where the row names no mask."""
    caption: str


class PairDataset:
    """The rows of a JSON-lines file. Reading is a function of the index alone."""

    def __init__(
        self, root: Path, rows: str = "train.jsonl", size: tuple[int, int] = (512, 512), *,
        background: float = 1.0, bad: BadSamples | None = None,
    ) -> None:  # fmt: skip
        """Args:
        root: what the paths in the rows start from.
        size: height and width that every picture is brought to.
        background: grey value put behind references that have an alpha channel, 0..1.
        """
        self.root, self.size, self.background = root, size, background
        self.bad = bad or BadSamples(what=root.name or "data set")
        if not root.is_dir():
            raise FiguraInputError("data", f"no folder {root.name}", "the folder with train.jsonl")
        listed = read_json_lines(root / rows, KEYS, self.bad)
        found = self.bad.rows(listed, lambda row: f"{row['target_id']} {row['reference_id']}")
        self.rows = self.bad.usable(found, _check_row)
        self.bad.expect(len(self.rows))

    def __len__(self) -> int:
        return len(self.rows)

    def labels(self) -> list[str]:
        """Every label that a row names, in the order in which they first appear."""
        return list(dict.fromkeys(label for row in self.rows for label in row["appearance"]))

    def read(self, index: int) -> Pair:
        """Pair ``index``, or the next one that can be used."""
        return self.bad.read(index, len(self), self._load)

    def _load(self, index: int) -> Pair:
        row = self.rows[index]
        name = row["target_id"]
        target = self._picture(row["target"], name)
        pose = self._picture(row["structure"]["densepose"], name)
        references, masks = {}, {}
        for label, path in row["appearance"].items():
            image = self._picture(path, name, mode="")
            references[label] = self._pixels(on_grey(image, self.background)) * 2 - 1
            masks[label] = self._mask(row.get("mask", {}).get(label), image, name)
        pixels = self._pixels(target) * 2 - 1
        return Pair(index, pixels, self._pixels(pose), references, masks, row["caption"].strip())

    def _picture(self, path: str, name: str, mode: str = "RGB") -> Image:
        try:
            return picture(self.root / path, path, mode=mode)
        except BadSample as bad:
            raise BadSample(name, f"{path}: {bad.reason}", bad.wanted) from bad

    def _mask(self, path: str | None, image: Image, name: str) -> Tensor:
        if path is not None:
            return self._pixels(self._picture(path, name, mode="L"))
        if "A" in image.getbands():
            return self._pixels(image.getchannel("A"))
        return torch.ones(1, *self.size)

    def _pixels(self, image: Image) -> Tensor:
        from PIL.Image import Resampling

        height, width = self.size
        box = crop_box(image.width, image.height)
        array = np.asarray(image.crop(box).resize((width, height), Resampling.BILINEAR), np.float32) / 255
        return torch.from_numpy(array.reshape(height, width, -1)).permute(2, 0, 1).contiguous()


def crop_box(width: int, height: int) -> tuple[int, int, int, int]:
    """Left, top, right, bottom of the largest centred crop whose width is .9 to 1 of its height.

    On tall pictures (the real data are 750 x 1101) no draw of the released random crop fits, and this is what
    is left of it: full width, the middle of the height.
    """
    least, most = SHAPES
    if width / height < least:
        tall = min(height, round(width / least))
        top = (height - tall) // 2
        return 0, top, width, top + tall
    if width / height > most:
        wide = min(width, round(height * most))
        left = (width - wide) // 2
        return left, 0, left + wide, height
    return 0, 0, width, height


def on_grey(image: Image, background: float) -> Image:
    """An RGB picture; what is transparent lies on a grey of ``background`` (0..1)."""
    from PIL import Image as images

    if "A" not in image.getbands():
        return image.convert("RGB")
    rgba = np.asarray(image.convert("RGBA"), np.float32)
    alpha = rgba[..., 3:] / 255
    mixed = rgba[..., :3] * alpha + (1 - alpha) * background * 255
    return images.fromarray(mixed.round().astype(np.uint8))


def collate(pairs: Sequence[Pair], labels: Sequence[str]) -> dict[str, Any]:
    """A batch of pairs that need not name the same parts.

    Returns:
        ``pixels``, ``pose`` [B, 3, H, W]; ``references`` [B, R, 3, H, W] and ``masks`` [B, R, 1, H, W] in the
        order of ``labels``, 0 where a pair lacks the part; ``present`` bool [B, R]; ``captions``.
    """
    if not pairs or not labels:
        raise FiguraInputError("batch", f"{len(pairs)} pairs, {len(labels)} labels", "at least one of each")
    blank, clear = torch.zeros_like(pairs[0].pixels), torch.zeros_like(pairs[0].pixels[:1])
    return {
        "pixels": torch.stack([pair.pixels for pair in pairs]),
        "pose": torch.stack([pair.pose for pair in pairs]),
        "references": torch.stack(
            [torch.stack([pair.references.get(label, blank) for label in labels]) for pair in pairs]
        ),
        "masks": torch.stack(
            [torch.stack([pair.masks.get(label, clear) for label in labels]) for pair in pairs]
        ),
        "present": torch.tensor([[label in pair.references for label in labels] for pair in pairs]),
        "captions": [pair.caption for pair in pairs],
    }


def _check_row(row: dict[str, Any]) -> None:
    name = str(row["target_id"])
    caption(row["caption"], name)
    appearance, structure, masks = row["appearance"], row["structure"], row.get("mask", {})
    if not isinstance(appearance, dict) or not appearance:
        raise BadSample(name, "no parts under appearance", "at least one part")
    if not isinstance(structure, dict) or "densepose" not in structure:
        raise BadSample(name, "no densepose under structure", "an IUV picture")
    if not isinstance(masks, dict):
        raise BadSample(name, "a mask entry that is no object", "a mask by label")
    for path in (row["target"], structure["densepose"], *appearance.values(), *masks.values()):
        path_text(path, name)
