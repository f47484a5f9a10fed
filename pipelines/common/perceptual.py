"""How alike two pictures look: LPIPS, VGG16 features, or, without any weights, pixels and gradients.

Every measure turns a picture into a vector; the distance of two pictures is the squared distance of their
vectors. A target's vector is therefore computed once, however many steps are taken towards it.

LPIPS: Zhang et al. 2018, "The Unreasonable Effectiveness of Deep Features as a Perceptual Metric", equation
1, version 0.1, as the networks AlexNet and VGG16 are used there. Weights: ``perceptual_file.py``.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

SHIFT, SCALE = (-0.030, -0.088, -0.188), (0.458, 0.448, 0.450)  # of pixels in [-1, 1]; LPIPS's own


class Perceptual(nn.Module, ABC):
    """A measure of likeness. ``title`` names it to the user."""

    title: str
    is_lpips = False
    """True where distances are LPIPS, so that published thresholds hold."""

    @abstractmethod
    def features(self, pixels: Tensor) -> Tensor:
        """Pixels [N, 3, H, W] in [-1, 1] -> vectors [N, D]; D depends on the size of the picture."""

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        """Distances [N] of two batches of one size."""
        return distance(self.features(a), self.features(b))


def distance(a: Tensor, b: Tensor) -> Tensor:
    """Distances [N] of vectors [N, D]."""
    return (a - b).square().sum(dim=1)


class PixelsAndGradients(Perceptual):
    """The stand-in where no weights are: mean squared differences of pixels and of their horizontal and
    vertical steps, averaged over halvings of the picture down to 8 pixels.
    """

    title = "pixels and gradients at several scales (no LPIPS weights)"

    def features(self, pixels: Tensor) -> Tensor:
        """See ``Perceptual``."""
        levels = _halvings(pixels.float())
        parts = [part for level in levels for part in (level, level.diff(dim=2), level.diff(dim=3))]
        gain = 1 / math.sqrt(len(levels))
        vectors = [part.flatten(1) * (gain / math.sqrt(part[0].numel())) for part in parts if part[0].numel()]
        return torch.cat(vectors, dim=1)


def _halvings(pixels: Tensor, smallest: int = 8) -> list[Tensor]:
    levels = [pixels]
    while min(levels[-1].shape[2:]) >= 2 * smallest:
        levels.append(F.avg_pool2d(levels[-1], 2))
    return levels


class Stage(nn.Module):
    """Convolutions with ReLU up to one place where LPIPS looks at the features; a max pool may come first."""

    def __init__(self, convolutions: Sequence[nn.Conv2d], pool: int) -> None:
        super().__init__()
        self.convolutions = nn.ModuleList(convolutions)
        self.channels = convolutions[-1].out_channels
        self.pool = pool  # window of the max pool with stride 2 before the convolutions; 0: none

    def forward(self, x: Tensor) -> Tensor:
        """[N, C, H, W] -> the features [N, C', H', W'] of this stage."""
        if self.pool:
            x = F.max_pool2d(x, self.pool, stride=2)
        for convolution in self.convolutions:
            x = F.relu(convolution(x))
        return x


class DeepFeatures(Perceptual):
    """Features of an image classifier's convolutions, each place scaled to length 1 over the channels.

    ``weights``: one vector [C] for each stage, LPIPS's; None counts all channels alike, which is the paper's
    baseline without training and no LPIPS.
    """

    shift: Tensor
    scale: Tensor

    def __init__(
        self, stages: Sequence[Stage], weights: Sequence[Tensor] | None, name: str, smallest: int
    ) -> None:
        super().__init__()
        self.stages, self.smallest = nn.ModuleList(stages), smallest
        self.is_lpips = weights is not None
        self.title = f"LPIPS ({name})" if weights is not None else f"{name} features"
        self.register_buffer("shift", torch.tensor(SHIFT).reshape(1, 3, 1, 1))
        self.register_buffer("scale", torch.tensor(SCALE).reshape(1, 3, 1, 1))
        for i in range(len(stages)):  # the vectors are squared: LPIPS's weights are never negative
            width = stages[i].channels
            root = torch.ones(width) if weights is None else weights[i].clamp_min(0).sqrt()
            self.register_buffer(f"root{i}", root.reshape(1, -1, 1, 1))
        self.requires_grad_(False).eval()

    def features(self, pixels: Tensor) -> Tensor:
        """See ``Perceptual``. Pictures too small for the network are enlarged."""
        x = (self._large_enough(pixels.float()) - self.shift) / self.scale
        vectors = []
        for i, stage in enumerate(self.stages):
            x = stage(x)
            vectors.append(self._vector(x, getattr(self, f"root{i}")))
        return torch.cat(vectors, dim=1)

    def _vector(self, x: Tensor, root: Tensor) -> Tensor:
        height, width = x.shape[2:]
        length = (x.square().sum(dim=1, keepdim=True) + 1e-20).sqrt() + 1e-10  # a gradient also at zero
        return (x * (root / math.sqrt(height * width)) / length).flatten(1)

    def _large_enough(self, pixels: Tensor) -> Tensor:
        factor = self.smallest / min(pixels.shape[2:])
        if factor <= 1:
            return pixels
        size = [math.ceil(side * factor) for side in pixels.shape[2:]]
        return F.interpolate(pixels, size, mode="bilinear", align_corners=False)
