"""HRNet, the backbone that keeps a high resolution throughout (Sun et al. 2019, figure 1), as HigherHRNet
uses it.

Parameter names are those of mmpose 0.x and 1.x checkpoints (``backbone.*``).
"""

from dataclasses import dataclass
from functools import reduce
from typing import cast

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class HRNetConfig:
    """Sizes of an HRNet.

    Attributes:
        stem: channels after the stem, at a quarter of the picture's size.
        bottleneck: inner channels and number of the bottleneck blocks of stage 1 (they give 4 times as many).
        channels: of the branches of stages 2, 3 and 4.
        modules: exchange modules of stages 2, 3 and 4.
        blocks: basic blocks in each branch of a module.
    """

    stem: int = 64
    bottleneck: tuple[int, int] = (64, 4)
    channels: tuple[tuple[int, ...], ...] = ((48, 96), (48, 96, 192), (48, 96, 192, 384))
    modules: tuple[int, int, int] = (1, 4, 3)
    blocks: int = 4


def w48() -> HRNetConfig:
    """HumanSD's own: higherhrnet_w48_humanart_512x512_udp."""
    return HRNetConfig()


def w32() -> HRNetConfig:
    """The smaller one of the COCO checkpoints."""
    return HRNetConfig(channels=((32, 64), (32, 64, 128), (32, 64, 128, 256)))


def tiny() -> HRNetConfig:
    """For tests: 43 thousand parameters."""
    return HRNetConfig(64, (8, 1), ((8, 16), (8, 16, 16), (8, 16, 16, 16)), (1, 1, 1), 1)


def _conv(inputs: int, outputs: int, kernel: int, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False)


class BasicBlock(nn.Module):
    """Two 3x3 convolutions around a shortcut."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1, self.bn1 = _conv(channels, channels, 3), nn.BatchNorm2d(channels)
        self.conv2, self.bn2 = _conv(channels, channels, 3), nn.BatchNorm2d(channels)

    def forward(self, x: Tensor) -> Tensor:
        out = torch.relu(self.bn1(self.conv1(x)))
        return torch.relu(self.bn2(self.conv2(out)) + x)


class Bottleneck(nn.Module):
    """1x1, 3x3 and 1x1 convolutions around a shortcut, four times as many channels out as inside."""

    def __init__(self, inputs: int, inner: int) -> None:
        super().__init__()
        outputs = 4 * inner
        self.conv1, self.bn1 = _conv(inputs, inner, 1), nn.BatchNorm2d(inner)
        self.conv2, self.bn2 = _conv(inner, inner, 3), nn.BatchNorm2d(inner)
        self.conv3, self.bn3 = _conv(inner, outputs, 1), nn.BatchNorm2d(outputs)
        same = inputs == outputs
        self.downsample = None if same else nn.Sequential(_conv(inputs, outputs, 1), nn.BatchNorm2d(outputs))

    def forward(self, x: Tensor) -> Tensor:
        out = torch.relu(self.bn1(self.conv1(x)))
        out = torch.relu(self.bn2(self.conv2(out)))
        out = self.bn3(self.conv3(out))
        return torch.relu(out + (x if self.downsample is None else self.downsample(x)))


class HRModule(nn.Module):
    """Branches of several resolutions, then each of the first ``outputs`` takes the sum of all."""

    def __init__(self, channels: tuple[int, ...], blocks: int, outputs: int) -> None:
        super().__init__()
        self.branches = nn.ModuleList(
            nn.Sequential(*(BasicBlock(width) for _ in range(blocks))) for width in channels
        )
        self.fuse_layers = nn.ModuleList(
            nn.ModuleList(_fuse(channels, source, target) for source in range(len(channels)))
            for target in range(outputs)
        )

    def forward(self, features: list[Tensor]) -> list[Tensor]:
        features = [branch(x) for branch, x in zip(self.branches, features, strict=True)]
        fused = []
        for layers in self.fuse_layers:
            parts = [layer(x) for layer, x in zip(cast(nn.ModuleList, layers), features, strict=True)]
            fused.append(torch.relu(reduce(torch.add, parts)))
        return fused


def _fuse(channels: tuple[int, ...], source: int, target: int) -> nn.Module:
    """Bring branch ``source`` to the channels and resolution of branch ``target``."""
    inputs, outputs = channels[source], channels[target]
    if source == target:
        return nn.Identity()
    if source > target:
        up = nn.Upsample(scale_factor=2 ** (source - target), mode="nearest")
        return nn.Sequential(_conv(inputs, outputs, 1), nn.BatchNorm2d(outputs), up)
    steps = []
    for step in range(target - source):
        last = step == target - source - 1
        width = outputs if last else inputs
        layers = [_conv(inputs, width, 3, 2), nn.BatchNorm2d(width)]
        steps.append(nn.Sequential(*layers, *([] if last else [nn.ReLU()])))
    return nn.Sequential(*steps)


class HRNet(nn.Module):
    """Pixels [B, 3, H, W] -> the feature of highest resolution, [B, channels, H / 4, W / 4]. H, W: steps of
    32.
    """

    def __init__(self, config: HRNetConfig) -> None:
        super().__init__()
        stem, (inner, count) = config.stem, config.bottleneck
        self.conv1, self.bn1 = _conv(3, stem, 3, 2), nn.BatchNorm2d(stem)
        self.conv2, self.bn2 = _conv(stem, stem, 3, 2), nn.BatchNorm2d(stem)
        first = [Bottleneck(stem, inner), *(Bottleneck(4 * inner, inner) for _ in range(count - 1))]
        self.layer1 = nn.Sequential(*first)
        before: tuple[int, ...] = (4 * inner,)
        for stage, (channels, modules) in enumerate(zip(config.channels, config.modules, strict=True), 2):
            setattr(self, f"transition{stage - 1}", _transition(before, channels))
            outputs = [len(channels)] * modules
            if stage == 4:
                outputs[-1] = 1  # the head reads the finest branch only
            stages = nn.Sequential(*(HRModule(channels, config.blocks, count) for count in outputs))
            setattr(self, f"stage{stage}", stages)
            before = channels

    def forward(self, pixels: Tensor) -> Tensor:
        x = torch.relu(self.bn1(self.conv1(pixels)))
        x = torch.relu(self.bn2(self.conv2(x)))
        features = [self.layer1(x)]
        for stage in (2, 3, 4):
            transition = getattr(self, f"transition{stage - 1}")
            given = [features[min(index, len(features) - 1)] for index in range(len(transition))]
            features = [layer(x) for layer, x in zip(transition, given, strict=True)]
            features = getattr(self, f"stage{stage}")(features)
        return features[0]


def _transition(before: tuple[int, ...], after: tuple[int, ...]) -> nn.ModuleList:
    """Branches of one stage to those of the next: as they are, widened, or a new coarser one."""
    layers = nn.ModuleList()
    for index, width in enumerate(after):
        if index >= len(before):
            coarser = nn.Sequential(_conv(before[-1], width, 3, 2), nn.BatchNorm2d(width), nn.ReLU())
            layers.append(nn.Sequential(coarser))
        elif before[index] != width:
            layers.append(nn.Sequential(_conv(before[index], width, 3), nn.BatchNorm2d(width), nn.ReLU()))
        else:
            layers.append(nn.Identity())
    return layers
