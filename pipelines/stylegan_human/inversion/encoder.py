"""The e4e encoder (Tov et al. 2021, section 4): a picture to ws in one pass.

A face recogniser's backbone (IR-SE-50, squeeze and excitation) gives features at three scales; a small stack
of convolutions for each row of ws turns them into a vector. Row 0 is w; the others are differences from it.
pSp (Richardson et al. 2021) has the same parts and makes every row whole. Pictures are 256 x 128 pixels.
"""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

INPUT_SIZE = (256, 128)
COARSE, MIDDLE = 3, 7  # rows from which the middle and the fine features are read
GROUPS = (3, 4, 14, 3)  # blocks of the backbone; the first of each halves the picture
TAPS = (6, 20, 23)  # blocks after which features leave: fine, middle, coarse


@dataclass(frozen=True)
class EncoderConfig:
    """Sizes, as the tensors of a file show them. Defaults are the released encoder's for 1024x512."""

    rows: int = 18
    w_dim: int = 512
    widths: tuple[int, ...] = (64, 64, 128, 256, 512)
    """Channels of the first convolution and of the four groups."""
    squeezed: int = 16
    """By what the excitation divides the channels."""
    whole_rows: bool = False
    """pSp: every row whole. e4e: rows after the first are differences from it."""


class SqueezeExcitation(nn.Module):
    """Scale every channel by a number from 0 to 1 that depends on all channels' means."""

    def __init__(self, channels: int, squeezed: int) -> None:
        super().__init__()
        inner = max(channels // squeezed, 1)
        self.fc1 = nn.Conv2d(channels, inner, 1, bias=False)
        self.fc2 = nn.Conv2d(inner, channels, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """[N, C, H, W] -> the same shape."""
        return x * torch.sigmoid(self.fc2(F.relu(self.fc1(x.mean(dim=(2, 3), keepdim=True)))))


class Residual(nn.Module):
    """One block of the backbone."""

    def __init__(self, width: int, channels: int, stride: int, squeezed: int) -> None:
        super().__init__()
        self.shortcut_layer = (
            nn.MaxPool2d(1, stride)
            if width == channels
            else nn.Sequential(nn.Conv2d(width, channels, 1, stride, bias=False), nn.BatchNorm2d(channels))
        )
        self.res_layer = nn.Sequential(
            nn.BatchNorm2d(width),
            nn.Conv2d(width, channels, 3, 1, 1, bias=False),
            nn.PReLU(channels),
            nn.Conv2d(channels, channels, 3, stride, 1, bias=False),
            nn.BatchNorm2d(channels),
            SqueezeExcitation(channels, squeezed),
        )

    def forward(self, x: Tensor) -> Tensor:
        """[N, width, H, W] -> [N, channels, H / stride, W / stride]."""
        return self.res_layer(x) + self.shortcut_layer(x)


class Scaled(nn.Linear):
    """A linear layer whose weights are kept at unit variance."""

    def forward(self, x: Tensor) -> Tensor:
        """[N, in] -> [N, out]."""
        return F.linear(x, self.weight / math.sqrt(self.in_features), self.bias)


class StyleHead(nn.Module):
    """Features of one scale to one row of ws: halved until a single pixel is left."""

    def __init__(self, width: int, channels: int, halvings: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for i in range(halvings):
            layers += [nn.Conv2d(channels if i else width, channels, 3, 2, 1), nn.LeakyReLU()]
        self.convs = nn.Sequential(*layers)
        self.linear = Scaled(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        """[N, C, H, W] -> [N, w_dim]."""
        return self.linear(self.convs(x).flatten(1))


class Encoder(nn.Module):
    """Pixels [N, 3, 256, 128] in [-1, 1] -> ws [N, rows, w_dim]. Names are the released file's."""

    latent_avg: Tensor | None

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        self.config = config
        first, *widths = config.widths
        self.input_layer = nn.Sequential(
            nn.Conv2d(3, first, 3, 1, 1, bias=False), nn.BatchNorm2d(first), nn.PReLU(first)
        )
        blocks, width = [], first
        for count, channels in zip(GROUPS, widths, strict=True):
            for i in range(count):
                blocks.append(Residual(width, channels, 1 if i else 2, config.squeezed))
                width = channels
        self.body = nn.ModuleList(blocks)
        self.styles = nn.ModuleList(
            StyleHead(width, config.w_dim, 4 if row < COARSE else 5 if row < MIDDLE else 6)
            for row in range(config.rows)
        )
        self.latlayer1 = nn.Conv2d(widths[2], width, 1)
        self.latlayer2 = nn.Conv2d(widths[1], width, 1)
        self.latent_avg = None
        self.requires_grad_(False).eval()

    def forward(self, pixels: Tensor) -> Tensor:
        """See the class."""
        coarse, middle, fine = self._features(pixels)
        sources = [coarse] * COARSE + [middle] * (MIDDLE - COARSE) + [fine] * self.config.rows
        rows = [head(source) for head, source in zip(self.styles, sources, strict=False)]
        if not self.config.whole_rows:
            rows = [rows[0], *[rows[0] + row for row in rows[1:]]]
        ws = torch.stack(rows, dim=1)
        return ws if self.latent_avg is None else ws + self.latent_avg.to(ws)

    def _features(self, pixels: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Features of three scales, coarse first; the finer ones have the coarser ones added."""
        x, taken = self.input_layer(pixels), []
        for i, block in enumerate(self.body):
            x = block(x)
            if i in TAPS:
                taken.append(x)
        fine, middle, coarse = taken
        middle = _enlarged(coarse, middle) + self.latlayer1(middle)
        return coarse, middle, _enlarged(middle, fine) + self.latlayer2(fine)


def _enlarged(x: Tensor, like: Tensor) -> Tensor:
    return F.interpolate(x, like.shape[2:], mode="bilinear", align_corners=True)


@torch.no_grad()
def encode(encoder: Encoder, pixels: Tensor) -> Tensor:
    """ws [N, rows, w_dim] of pixels [N, 3, H, W] in [-1, 1] of any size.

    They are shrunk as 8-bit pictures by Pillow, as when the encoder was trained.
    """
    device = encoder.latlayer1.weight.device
    small = torch.cat([_small(picture) for picture in pixels.cpu().split(1)])
    return torch.cat([encoder(picture.to(device)) for picture in small.split(1)])


def _small(pixels: Tensor) -> Tensor:
    import numpy as np
    from PIL import Image

    height, width = INPUT_SIZE
    bytes_ = ((pixels[0] + 1) / 2).mul(255).clamp(0, 255).to(torch.uint8).permute(1, 2, 0).numpy()
    picture = Image.fromarray(bytes_).resize((width, height), Image.Resampling.BILINEAR)
    return torch.from_numpy(np.array(picture)).permute(2, 0, 1)[None].float() / 127.5 - 1
