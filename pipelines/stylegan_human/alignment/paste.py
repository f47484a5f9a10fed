"""An edited person back into the photo it was aligned from.

Aligned pictures show a person on white. Where the new person ends and white begins is read off the picture
itself (white that hangs together with the border), or given. Edge pixels hold a share of white: along the
outline the person's colours are continued from inside, and what part of a pixel is person follows from
where its colour lies between those and white. So no bright seam appears. Outside the blended region the photo
stays bit for bit.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ...common.errors import FiguraInputError
from ...common.images import check_image
from ...common.masks import check_mask
from .align import Alignment

OUTLINES = ("edited person", "person of the photo", "whole picture")
NEARLY_WHITE = 0.06  # a generator's white is not quite white
EDGE = 3  # pixels along the outline that may hold a share of white
PALE = 0.05  # a colour this near to white (squared distance) cannot be told from it


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
    colours = edited[0].cpu().numpy()
    if config.outline != "whole picture" or mask is not None:
        colours, coverage = matte(colours, coverage, alignment.whitened)
    here, place = _inside(alignment)
    weight = np.zeros(alignment.source_size, np.float32)
    weight[here] = _placed(coverage, alignment)[place].clip(0, 1)
    _fade_in(weight, here, config.feather)
    weight = torch.from_numpy(weight)[None]
    colours = torch.from_numpy(np.ascontiguousarray(_placed(colours, alignment)[place].clip(0, 1)))
    image = photo.clone()
    image[0][here] = torch.lerp(photo[0][here].cpu(), colours, weight[0][here][..., None]).to(image)
    return Pasted(image, weight, (alignment.mask[None].to(weight) - weight).clamp(0, 1))


def matte(picture: np.ndarray, coverage: np.ndarray, on_white: bool = True) -> tuple[np.ndarray, np.ndarray]:
    """Colours of the person alone, continued past the outline, and how much of each pixel they cover.

    ``picture`` float32 [H, W, 3], ``coverage`` [H, W]; ``on_white``: the background is white, so that
    coverage along the outline can be read off the colours.
    """
    import cv2

    around = np.ones((2 * EDGE + 1, 2 * EDGE + 1), np.uint8)
    within = cv2.erode((coverage > 0.99).astype(np.uint8), around, borderValue=1).astype(np.float32)
    spread = [cv2.GaussianBlur(array, (0, 0), 1.5 * EDGE) for array in (picture * within[..., None], within)]
    known = (spread[1] > 1e-4)[..., None]
    continued = np.where(known, spread[0] / np.maximum(spread[1], 1e-4)[..., None], picture)
    colours = np.where(within[..., None] > 0, picture, continued).astype(np.float32)
    if not on_white:
        return colours, coverage
    shade = 1 - continued
    strength = (shade**2).sum(axis=-1)
    share = ((1 - picture) * shade).sum(axis=-1) / np.maximum(strength, PALE)
    edge = (within == 0) & known[..., 0] & (strength > PALE)
    return colours, np.where(edge, np.minimum(coverage, share.clip(0, 1)), coverage).astype(np.float32)


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

    With ``before`` [H, W], the person's earlier outline, two more things are known. White that the person
    encloses is clothing, unless the outline leaves most of it out: then one looks through there, as between
    an arm and the body. And what does not touch the outline anywhere is no person but a speck.
    """
    white = (picture.min(axis=-1) >= 1 - tolerance).astype(np.uint8)
    labels, inside, around = _patches(white, before, border=1)
    background = around | (inside < 0.5)
    person = white == 0
    person |= ~background[labels] & (labels > 0)
    if before is not None:
        labels, inside, _ = _patches(person.astype(np.uint8), before, border=0)
        person &= inside[labels] > 0
    return person.astype(np.float32)


def _patches(
    filled: np.ndarray, before: np.ndarray | None, border: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Connected patches of ones: labels [H, W] (0: none), each label's share inside ``before`` (1 without
    it), and whether it is joined to a frame of ``border`` around the picture.
    """
    import cv2

    framed = cv2.copyMakeBorder(filled, 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=border)
    count, labels = cv2.connectedComponents(framed, connectivity=4)
    around = np.arange(count) == labels[0, 0]
    labels = labels[1:-1, 1:-1]
    if before is None:
        return labels, np.ones(count), around
    pixels = np.maximum(np.bincount(labels.ravel(), minlength=count), 1)
    return labels, np.bincount(labels.ravel(), weights=before.ravel(), minlength=count) / pixels, around


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
    kind = cv2.INTER_AREA if smaller else cv2.INTER_CUBIC if array.ndim == 3 else cv2.INTER_LINEAR
    return cv2.resize(np.ascontiguousarray(array, np.float32), (x1 - x0, y1 - y0), interpolation=kind)


def _inside(alignment: Alignment) -> tuple[tuple[slice, slice], tuple[slice, slice]]:
    """The part of the box that lies in the photo: where in the photo, and where in the box."""
    x0, y0, x1, y1 = _rectangle(alignment)
    height, width = alignment.source_size
    left, top, right, bottom = max(x0, 0), max(y0, 0), min(x1, width), min(y1, height)
    here = slice(top, max(bottom, top)), slice(left, max(right, left))
    return here, (slice(top - y0, bottom - y0), slice(left - x0, right - x0))


def _fade_in(weight: np.ndarray, here: tuple[slice, slice], feather: float) -> None:
    """Let ``weight`` [H, W], zero outside ``here``, rise over ``feather`` pixels within its outline.

    Writes into ``weight``. The photo's own edges are no outline: who is cut off by them does not fade there.
    """
    import cv2

    if feather <= 0:
        return
    reach = math.ceil(2 * feather) + 1
    rows, columns = (slice(max(side.start - reach, 0), side.stop + reach) for side in here)
    region = weight[rows, columns]
    blurred = cv2.GaussianBlur(region, (0, 0), feather / 2, borderType=cv2.BORDER_REPLICATE)
    weight[rows, columns] = np.minimum(region, (2 * blurred - 1).clip(0, 1))
