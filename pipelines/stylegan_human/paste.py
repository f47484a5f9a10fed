"""An edited person back into the photo it was aligned from.

Aligned pictures show a person on white. Where the new person ends and white begins is read off the picture
itself (white that hangs together with the border), or given. Edge pixels hold a share of white; it is taken
out before blending, so that no bright seam appears: with coverage a, colour = (picture - (1 - a)) / a.
Outside the blended region the photo stays bit for bit.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ..common.errors import FiguraInputError
from ..common.images import check_image
from ..common.masks import check_mask
from .align import Alignment

OUTLINES = ("edited person", "person of the photo", "whole picture")
NEARLY_WHITE = 0.06  # a generator's white is not quite white
LEAST_COVERAGE = 0.25  # below it, taking the white out would only magnify noise


@dataclass(frozen=True)
class PasteConfig:
    """How an edited person goes back.

    Attributes:
        outline: whose outline is used where no mask is given.
        feather: pixels of the photo over which the person fades in, inwards from the outline.
        tolerance: how far from white, in [0, 1], the edited picture's background may be.
    """

    outline: str = "edited person"
    feather: float = 2.0
    tolerance: float = NEARLY_WHITE


@dataclass(frozen=True)
class Pasted:
    """The result, ``mask`` [1, H, W] where the new person stands, ``uncovered`` where the old one still
    shows.
    """

    image: Tensor
    mask: Tensor
    uncovered: Tensor


def paste_all(
    photos: Tensor,
    edited: Tensor,
    alignments: Sequence[Alignment],
    masks: Tensor | None = None,
    config: PasteConfig | None = None,
) -> list[Pasted]:
    """Paste every edited picture back; one photo, with its alignment, may take many edits.

    Raises FiguraInputError where the numbers of pictures do not fit.
    """
    photos, edited = check_image(photos, "photo"), check_image(edited, "edited picture")
    masks = None if masks is None else check_mask(masks, "mask", len(edited))
    for name, count in (("photos", len(photos)), ("alignments", len(alignments))):
        if count not in (1, len(edited)):
            raise FiguraInputError(name, f"{count} for {len(edited)} edited pictures", f"1 or {len(edited)}")
    return [
        paste_back(
            photos[i if len(photos) > 1 else 0][None],
            picture[None],
            alignments[i if len(alignments) > 1 else 0],
            None if masks is None else masks[i : i + 1],
            config,
        )
        for i, picture in enumerate(edited)
    ]


def paste_back(
    photo: Tensor,
    edited: Tensor,
    alignment: Alignment,
    mask: Tensor | None = None,
    config: PasteConfig | None = None,
) -> Pasted:
    """IMAGE [1, H, W, 3] with the person of ``edited`` [1, h, w, 3] (any size) where ``alignment`` found it.

    ``mask`` [1, h, w]: the edited person in the edited picture, instead of the config's outline.
    """
    config = config or PasteConfig()
    photo, edited = check_image(photo, "photo"), check_image(edited, "edited picture")
    _check(photo, alignment, config)
    coverage = _coverage(edited, alignment, mask, config)
    here, place = _inside(alignment)
    colours = _placed(edited[0].cpu().numpy(), alignment)[place]
    covered = _placed(coverage, alignment)[place].clip(0, 1)
    if alignment.whitened and config.outline != "whole picture":
        colours = _without_white(colours, covered)
    full = np.zeros(alignment.source_size, np.float32)
    full[here] = covered
    weight = torch.from_numpy(_feathered(full, config.feather))[None]
    image, colours = photo.clone(), torch.from_numpy(np.ascontiguousarray(colours.clip(0, 1)))
    blended = torch.lerp(photo[0][here].cpu(), colours, weight[0][here][..., None])
    image[0][here] = blended.to(image)
    return Pasted(image, weight, (alignment.mask[None].to(weight) - weight).clamp(0, 1))


def _check(photo: Tensor, alignment: Alignment, config: PasteConfig) -> None:
    if not isinstance(alignment, Alignment):
        raise FiguraInputError("alignment", type(alignment).__name__, "the alignment of StyleGAN Align")
    if tuple(photo.shape[1:3]) != tuple(alignment.source_size):
        height, width = alignment.source_size
        raise FiguraInputError(
            "photo", f"{photo.shape[2]} x {photo.shape[1]} pixels", f"{width} x {height}",
            "Use the very photo that was aligned.",
        )  # fmt: skip
    if config.outline not in OUTLINES:
        raise FiguraInputError("outline", f"'{config.outline}'", " or ".join(OUTLINES))
    if not (math.isfinite(config.feather) and 0 <= config.feather <= 512):
        raise FiguraInputError("feather", str(config.feather), "0 to 512 pixels")
    if not 0 <= config.tolerance <= 1:
        raise FiguraInputError("tolerance", str(config.tolerance), "0 to 1")


def _coverage(edited: Tensor, alignment: Alignment, mask: Tensor | None, config: PasteConfig) -> np.ndarray:
    """How much of each pixel of the edited picture is person, float32 [h, w]."""
    if mask is not None:
        mask = check_mask(mask, "mask")[:1]
        if mask.shape[1:] != edited.shape[1:3]:
            raise FiguraInputError(
                "mask", f"{mask.shape[2]} x {mask.shape[1]} pixels",
                f"{edited.shape[2]} x {edited.shape[1]}, as the edited picture",
            )  # fmt: skip
        return mask[0].cpu().numpy()
    if config.outline == "whole picture":
        return np.ones(edited.shape[1:3], np.float32)
    if config.outline == "person of the photo":
        return aligned_mask(alignment, (edited.shape[1], edited.shape[2]))
    size = edited.shape[1], edited.shape[2]
    return person_on_white(edited[0].cpu().numpy(), config.tolerance, aligned_mask(alignment, size))


def person_on_white(
    picture: np.ndarray, tolerance: float = NEARLY_WHITE, before: np.ndarray | None = None
) -> np.ndarray:
    """The person in a picture on white, float32 [H, W]: all but the nearly white that reaches the border.

    White that the person encloses is clothing, unless ``before`` [H, W], the person's earlier outline, leaves
    most of it out: then one looks through there, as between an arm and the body.
    """
    import cv2

    white = (picture.min(axis=-1) >= 1 - tolerance).astype(np.uint8)
    framed = cv2.copyMakeBorder(white, 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=1)
    count, labels = cv2.connectedComponents(framed, connectivity=4)
    around, labels = labels[0, 0], labels[1:-1, 1:-1]
    background = np.zeros(count, bool)
    background[around] = True
    if before is not None:
        pixels = np.bincount(labels.ravel(), minlength=count)
        inside = np.bincount(labels.ravel(), weights=before.ravel(), minlength=count)
        background |= (inside < 0.5 * pixels) & (np.arange(count) > 0)
    return (~background[labels]).astype(np.float32)


def aligned_mask(alignment: Alignment, size: tuple[int, int]) -> np.ndarray:
    """The photo's person mask as it lies in the aligned picture, float32 [*size]."""
    import cv2

    x0, y0, x1, y1 = alignment.box
    across, down = size[1] / (x1 - x0), size[0] / (y1 - y0)
    matrix = np.array([[across, 0, -x0 * across], [0, down, -y0 * down]], np.float32)
    mask = alignment.mask.cpu().numpy().astype(np.float32)
    return cv2.warpAffine(mask, matrix, (size[1], size[0]), flags=cv2.INTER_LINEAR)


def _rectangle(alignment: Alignment) -> tuple[int, int, int, int]:
    x0, y0, x1, y1 = (round(side) for side in alignment.box)
    return x0, y0, max(x1, x0 + 1), max(y1, y0 + 1)


def _placed(array: np.ndarray, alignment: Alignment) -> np.ndarray:
    """An array over the edited picture, brought to the size of its box in the photo."""
    import cv2

    x0, y0, x1, y1 = _rectangle(alignment)
    smaller = (x1 - x0) * (y1 - y0) < array.shape[0] * array.shape[1]
    kind = cv2.INTER_AREA if smaller else cv2.INTER_CUBIC
    return cv2.resize(np.ascontiguousarray(array, np.float32), (x1 - x0, y1 - y0), interpolation=kind)


def _inside(alignment: Alignment) -> tuple[tuple[slice, slice], tuple[slice, slice]]:
    """The part of the box that lies in the photo: where in the photo, and where in the box."""
    x0, y0, x1, y1 = _rectangle(alignment)
    height, width = alignment.source_size
    left, top, right, bottom = max(x0, 0), max(y0, 0), min(x1, width), min(y1, height)
    here = slice(top, max(bottom, top)), slice(left, max(right, left))
    return here, (slice(top - y0, bottom - y0), slice(left - x0, right - x0))


def _without_white(colours: np.ndarray, coverage: np.ndarray) -> np.ndarray:
    share = np.maximum(coverage, LEAST_COVERAGE)[..., None]
    return (colours - (1 - share)) / share


def _feathered(coverage: np.ndarray, feather: float) -> np.ndarray:
    """Coverage that fades in over ``feather`` pixels inside the outline and is never more than it was."""
    import cv2

    if feather <= 0:
        return coverage
    blurred = cv2.GaussianBlur(coverage, (0, 0), feather / 2, borderType=cv2.BORDER_REPLICATE)
    return np.minimum(coverage, (2 * blurred - 1).clip(0, 1))
