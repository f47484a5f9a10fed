"""HigherHRNet on a picture: brought to its input size without bias (UDP), run twice, grouped, brought back.

Follows the release's test settings: shorter side 512, longer side up to a multiple of 64, mirrored second
pass.
"""

import math

import numpy as np
import torch
from torch import Tensor, nn

from ..conventions import COCO_MIRROR
from ..oks import without_doubles
from .ae_grouping import GroupingConfig, group
from .estimate import Found
from .higherhrnet import HigherHRNet

MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class HigherHRNetEstimator:
    """Finds everybody at once; cost does not depend on how many there are."""

    backend = "higherhrnet"
    needs_boxes = False

    def __init__(
        self, model: HigherHRNet, side: int = 512, flip: bool = True, config: GroupingConfig | None = None
    ) -> None:
        self.model, self.side, self.flip, self.config = model, side, flip, config
        self.modules: list[nn.Module] = [model]

    @torch.no_grad()
    def __call__(self, picture: np.ndarray, boxes: np.ndarray | None = None) -> Found:
        """See ``estimate.Estimator``; boxes are of no use here."""
        pixels, scale = prepare(picture, self.side)
        weight = next(self.model.parameters())
        heatmaps, tags = predict(self.model, pixels.to(weight.device, weight.dtype), self.flip)
        people, scores = group(heatmaps, tags, self.config)
        height, width = heatmaps.shape[-2:]
        joints = people[..., :3].astype(np.float64)
        joints[..., :2] *= scale / (np.array([width, height]) - 1)
        return sort_people(joints, scores)


def input_size(height: int, width: int, side: int = 512) -> tuple[int, int]:
    """Network input (height, width): shorter side ``side``, the other up to a multiple of 64."""
    short = math.ceil(side / 64) * 64
    long = math.ceil(short / min(height, width) * max(height, width) / 64) * 64
    return (long, short) if width < height else (short, long)


def prepare(picture: np.ndarray, side: int = 512) -> tuple[Tensor, np.ndarray]:
    """uint8 RGB [H, W, 3] -> normalised pixels [1, 3, h, w] and the (width, height) in source pixels that the
    input spans between its outermost pixel centres. What lies beyond the picture is black.
    """
    import cv2

    height, width = picture.shape[:2]
    tall, wide = input_size(height, width, side)
    if width < height:
        span = np.array([width - 1, (tall - 1) / (wide - 1) * (width - 1)], np.float64)
    else:
        span = np.array([(wide - 1) / (tall - 1) * (height - 1), height - 1], np.float64)
    span = np.maximum(span, 1e-3)
    warp = np.array([[(wide - 1) / span[0], 0, 0], [0, (tall - 1) / span[1], 0]], np.float32)
    resized = cv2.warpAffine(np.ascontiguousarray(picture), warp, (wide, tall), flags=cv2.INTER_LINEAR)
    pixels = torch.from_numpy(resized).float() / 255
    pixels = (pixels - torch.tensor(MEAN)) / torch.tensor(DEVIATION)
    return pixels.permute(2, 0, 1)[None].contiguous(), span


def predict(model: HigherHRNet, pixels: Tensor, flip: bool) -> tuple[Tensor, Tensor]:
    """Heat maps [K, H, W] and tags [K, H, W, 1 or 2] of one picture; ``flip``: seen in the mirror too."""
    heatmaps, tags = model.heatmaps_and_tags(pixels)
    if not flip:
        return heatmaps[0], tags[0][..., None]
    order = torch.as_tensor(COCO_MIRROR, device=pixels.device)
    mirrored, mirrored_tags = model.heatmaps_and_tags(pixels.flip(-1))
    mirrored, mirrored_tags = (value.flip(-1)[:, order] for value in (mirrored, mirrored_tags))
    return ((heatmaps + mirrored) / 2)[0], torch.stack([tags[0], mirrored_tags[0]], dim=-1)


def sort_people(joints: np.ndarray, scores: np.ndarray, threshold: float = 1.0) -> Found:
    """Best first, without doubles more alike than ``threshold`` (the release's 1.0 drops nobody)."""
    if not len(joints):
        return joints, scores
    low, high = joints[..., :2].min(1), joints[..., :2].max(1)
    keep = without_doubles(joints, scores, (high - low).prod(1), threshold)
    return joints[keep], scores[keep]
