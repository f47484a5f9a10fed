"""InsetGAN's loss terms (Frühstück et al. 2022, section 3), with the numbers of StyleGAN-Human's script.

Pictures are pixels [1, 3, H, W] in [-1, 1]; boxes are x0, y0, x1, y1 in pixels, ends exclusive. Every term is
``flat`` times the mean absolute difference plus ``deep`` times a perceptual distance. ``Measure`` is
anything that gives distances [N] of two batches: LPIPS in the paper.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

Box = tuple[int, int, int, int]
Measure = Callable[[Tensor, Tensor], Tensor]

COARSE = 64  # side of the small pictures that are compared as a whole
FRAME = 8  # width of the frame along which face and body must meet
FACE_PADDING = 4


@dataclass(frozen=True)
class Pair:
    """The two weights of one term."""

    flat: float
    deep: float


def difference(a: Tensor, b: Tensor, weights: Pair, measure: Measure) -> Tensor:
    """``flat`` * mean |a - b| + ``deep`` * measure(a, b), a scalar; no measure is asked for at weight 0."""
    loss = weights.flat * (a - b).abs().mean()
    return loss + weights.deep * measure(a, b).sum() if weights.deep else loss


def coarse(face: Tensor, crop: Tensor, weights: Pair, measure: Measure) -> Tensor:
    """Face against the body's crop, both brought to 64 x 64 by areas."""
    face, crop = (F.interpolate(x, (COARSE, COARSE), mode="area") for x in (face, crop))
    return difference(face, crop, weights, measure)


def border(face: Tensor, crop: Tensor, weights: Pair, measure: Measure) -> Tensor:
    """Face against the body's crop along their frame."""
    mask = frame_mask(face)
    return difference(face * mask, crop * mask, weights, measure)


def outside(
    body: Tensor, reference: Tensor, box: Box, weights: Pair, measure: Measure, published: bool = False
) -> Tensor:
    """Body against the reference body, outside the face's box and a twentieth of its height around it."""
    mask = outside_mask(body, box, int((box[3] - box[1]) / 20), published)
    return difference(body * mask, reference * mask, weights, measure)


def inside(
    face: Tensor, reference: Tensor, box: Box, weights: Pair, measure: Measure, published: bool = False
) -> Tensor:
    """Face against the reference face, inside the rectangle of its features and 4 pixels around it."""
    mask = 1 - outside_mask(face, box, FACE_PADDING, published)
    return difference(face * mask, reference * mask, weights, measure)


def towards_mean(w: Tensor, mean: Tensor, weight: float, delta: Tensor, delta_weight: float = 0) -> Tensor:
    """``weight`` * mean (w - mean)^2 + ``delta_weight`` * mean delta^2."""
    return weight * (w - mean).square().mean() + delta_weight * delta.square().mean()


def frame_mask(pixels: Tensor, width: int = FRAME) -> Tensor:
    """Ones along the four edges, like ``pixels``."""
    mask = torch.ones_like(pixels)
    mask[..., width:-width, width:-width] = 0
    return mask


def outside_mask(pixels: Tensor, box: Box, padding: int, published: bool = False) -> Tensor:
    """Zeros in ``box`` grown by ``padding``, ones elsewhere, like ``pixels``.

    The published code lets a box that grows past the left or upper edge count from the other end, which
    leaves nothing masked; ``published`` keeps that, for comparison.
    """
    x0, y0, x1, y1 = box[0] - padding, box[1] - padding, box[2] + padding, box[3] + padding
    if not published:
        x0, y0, x1, y1 = (max(side, 0) for side in (x0, y0, x1, y1))
    mask = torch.ones_like(pixels)
    mask[..., y0:y1, x0:x1] = 0
    return mask
