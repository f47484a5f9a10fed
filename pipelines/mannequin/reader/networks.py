"""Two small networks: one finds parts, joints and kinds, the other regresses attributes."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .targets import ATTRIBUTES, KINDS, PARTS, POINTS

HEIGHT, WIDTH = 128, 64
"""Every picture is brought to this size before it is read."""
CELL = 2  # pixels of a cell of the maps
FEATURES = 64


class Block(nn.Module):
    """A 3x3 convolution, group norm, SiLU; added to its input when nothing changes size."""

    def __init__(self, inputs: int, outputs: int, stride: int = 1) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.norm = nn.GroupNorm(4, outputs)
        self.skip = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, H, W] -> [B, outputs, H / stride, W / stride]."""
        y = F.silu(self.norm(self.conv(x)))
        return x + y if self.skip else y


class BodyNet(nn.Module):
    """Pixels [B, 3, 128, 64] in [-1, 1] to part logits and joint maps at half size, and kinds."""

    def __init__(self, widths: tuple[int, int, int, int] = (16, 40, 64, 96)) -> None:
        super().__init__()
        a, b, c, d = widths
        self.down0 = nn.Sequential(Block(3, a, 2), Block(a, a))
        self.down1 = nn.Sequential(Block(a, b, 2), Block(b, b))
        self.down2 = nn.Sequential(Block(b, c, 2), Block(c, c))
        self.down3 = nn.Sequential(Block(c, d, 2), Block(d, d), Block(d, d))
        self.up2, self.up1, self.up0 = Block(c + d, c), Block(b + c, b), Block(a + b, 24)
        self.maps = nn.Sequential(Block(24, 24), nn.Conv2d(24, len(PARTS) + len(POINTS), 1))
        self.squeeze = nn.Conv2d(d, 24, 1)
        self.kinds = nn.ModuleDict(
            {name: nn.Linear(24 * HEIGHT * WIDTH // 256, len(kinds)) for name, kinds in KINDS.items()}
        )

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
        """Part logits [B, 18, 64, 32], joint logits [B, 17, 64, 32], kind logits by name [B, K]."""
        x0 = self.down0(pixels)
        x1 = self.down1(x0)
        x2 = self.down2(x1)
        x3 = self.down3(x2)
        y = self.up2(torch.cat([F.interpolate(x3, scale_factor=2.0), x2], 1))
        y = self.up1(torch.cat([F.interpolate(y, scale_factor=2.0), x1], 1))
        y = self.up0(torch.cat([F.interpolate(y, scale_factor=2.0), x0], 1))
        parts, points = self.maps(y).split([len(PARTS), len(POINTS)], 1)
        flat = F.silu(self.squeeze(x3)).flatten(1)
        return parts, points, {name: head(flat) for name, head in self.kinds.items()}


class AttributeNet(nn.Module):
    """Pixels [B, 3, 128, 64] in [-1, 1] to attributes [B, A] over 64 hidden units."""

    mean: Tensor
    deviation: Tensor

    def __init__(self, widths: tuple[int, int, int, int] = (24, 40, 64, 80)) -> None:
        super().__init__()
        a, b, c, d = widths
        self.body = nn.Sequential(
            Block(3, a, 2), Block(a, b, 2), Block(b, c, 2), Block(c, c), Block(c, d, 2), Block(d, d)
        )
        self.squeeze = nn.Conv2d(d, 24, 1)
        self.hidden = nn.Linear(24 * HEIGHT * WIDTH // 256, FEATURES)
        self.out = nn.Linear(FEATURES, len(ATTRIBUTES))
        self.register_buffer("mean", torch.zeros(len(ATTRIBUTES)))
        self.register_buffer("deviation", torch.ones(len(ATTRIBUTES)))

    def features(self, pixels: Tensor) -> Tensor:
        """The hidden units [B, 64]."""
        return F.silu(self.hidden(F.silu(self.squeeze(self.body(pixels))).flatten(1)))

    def forward(self, pixels: Tensor) -> Tensor:
        """Attributes in units of their spread in the world; ``mean`` and ``deviation`` give their own
        units."""
        return self.out(self.features(pixels))


def joint_points(logits: Tensor) -> Tensor:
    """Joint logits [B, K, h, w] to points [B, K, 3]: x, y in pixels of the 128 x 64 picture, and certainty.

    The place is the mean of the softmax in the 3 x 3 cells around its peak, the certainty their sum.
    """
    count, joints, height, width = logits.shape
    heat = logits.flatten(2).softmax(2)
    peak = heat.argmax(2)
    cx, cy = peak % width, peak // width
    x = torch.arange(width, device=logits.device)
    y = torch.arange(height, device=logits.device)
    near = ((y[:, None] - cy[..., None, None]).abs() <= 1) & ((x - cx[..., None, None]).abs() <= 1)
    heat = heat.view(count, joints, height, width) * near
    total = heat.sum((2, 3))
    place = [(heat.sum(2) * x).sum(2) / total, (heat.sum(3) * y).sum(2) / total]
    pixels = [value * CELL + (CELL - 1) / 2 for value in place]
    return torch.stack([*pixels, total], 2)
