"""HigherHRNet (Cheng et al. 2020): all people's joints in one pass, with a tag on each that tells whose it
is.

The estimator HumanSD was trained and scored with. Checkpoints of mmpose 0.x load (``backbone.*`` and
``keypoint_head.*``), also out of a HumanSD checkpoint that carries one (``mmpose_model.*``).
"""

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

from ...common.errors import FiguraWeightsError
from ...common.weights import Header, StateDict, check_keys, load_state_dict, read_header
from .hrnet import BasicBlock, HRNet, HRNetConfig

PREFIXES = ("mmpose_model.", "")


@dataclass(frozen=True)
class HigherHRNetConfig:
    """Sizes of a HigherHRNet.

    Attributes:
        backbone: of the HRNet.
        joints: how many joints it knows.
        deconv: channels of the doubled resolution.
        blocks: basic blocks there.
    """

    backbone: HRNetConfig
    joints: int = 17
    deconv: int = 48
    blocks: int = 4


class HigherResolutionHead(nn.Module):
    """Heat maps and tags at a quarter of the picture's size, heat maps again at half (section 3.2, figure
    2).
    """

    def __init__(self, config: HigherHRNetConfig) -> None:
        super().__init__()
        channels, joints, width = config.backbone.channels[-1][0], config.joints, config.deconv
        up = nn.Sequential(
            nn.ConvTranspose2d(channels + 2 * joints, width, 4, 2, 1, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(),
        )
        blocks = (nn.Sequential(BasicBlock(width)) for _ in range(config.blocks))
        self.deconv_layers = nn.ModuleList([nn.Sequential(up, *blocks)])
        self.final_layers = nn.ModuleList([nn.Conv2d(channels, 2 * joints, 1), nn.Conv2d(width, joints, 1)])

    def forward(self, feature: Tensor) -> tuple[Tensor, Tensor]:
        coarse = self.final_layers[0](feature)
        fine = self.deconv_layers[0](torch.cat([feature, coarse], dim=1))
        return coarse, self.final_layers[1](fine)


class HigherHRNet(nn.Module):
    """Pixels [B, 3, H, W] (ImageNet normalised) -> outputs [B, 2K, H/4, W/4] (heat maps, then tags) and
    [B, K, H/2, W/2] (heat maps)."""

    def __init__(self, config: HigherHRNetConfig) -> None:
        super().__init__()
        self.config = config
        self.backbone = HRNet(config.backbone)
        self.keypoint_head = HigherResolutionHead(config)

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        return self.keypoint_head(self.backbone(pixels))

    def heatmaps_and_tags(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """Both stages' heat maps averaged at the larger size, and the tags there: [B, K, H/2, W/2] each."""
        coarse, fine = self(pixels)
        size = fine.shape[-2:]
        coarse = interpolate(coarse, size, mode="bilinear", align_corners=True)
        heatmaps, tags = coarse.split(self.config.joints, dim=1)
        return (heatmaps + fine) / 2, tags


def config_of(header: Header, prefix: str = "") -> HigherHRNetConfig:
    """Tell the sizes from the names and shapes of a checkpoint."""

    def channels(name: str) -> int:
        return header[f"{prefix}{name}.weight"][1][0]

    def count(pattern: str) -> int:
        """How many numbers can stand for {} in a name."""
        number = 0
        while f"{prefix}{pattern.format(number)}.weight" in header:
            number += 1
        return number

    branches = tuple(
        tuple(channels(f"backbone.stage{stage}.0.branches.{i}.0.conv1") for i in range(stage))
        for stage in (2, 3, 4)
    )
    second, third, fourth = (count(f"backbone.stage{stage}.{{}}.branches.0.0.conv1") for stage in (2, 3, 4))
    bottleneck = channels("backbone.layer1.0.conv1"), count("backbone.layer1.{}.conv1")
    blocks = count("backbone.stage2.0.branches.0.{}.conv1")
    backbone = HRNetConfig(channels("backbone.conv1"), bottleneck, branches, (second, third, fourth), blocks)
    head = "keypoint_head."
    extra = 1
    while f"{prefix}{head}deconv_layers.0.{extra}.0.conv1.weight" in header:
        extra += 1
    return HigherHRNetConfig(
        backbone, *header[f"{prefix}{head}final_layers.1.weight"][1][:2], blocks=extra - 1
    )


def prefix_of(header: Header, name: str) -> str:
    """Where a file keeps its HigherHRNet; FiguraWeightsError when it holds none."""
    for prefix in PREFIXES:
        if {
            f"{prefix}keypoint_head.final_layers.1.weight",
            f"{prefix}backbone.conv1.weight",
        } <= header.keys():
            return prefix
    raise FiguraWeightsError(
        name, "a file without a HigherHRNet",
        "one of mmpose 0.x, such as higherhrnet_w48_humanart_512x512_udp.pth",
        "RTMPose and other estimators of mmpose 1.x go into the backend 'mmpose'.",
    )  # fmt: skip


def load(path: str | Path) -> HigherHRNet:
    """Read a HigherHRNet in float32, in eval mode, without gradients."""
    header = read_header(path)
    prefix = prefix_of(header, Path(path).name)
    try:
        config = config_of(header, prefix)
    except (KeyError, IndexError) as error:
        raise FiguraWeightsError(
            Path(path).name, f"a HigherHRNet that lacks {error}", "a whole checkpoint", "Download it again."
        ) from None
    return from_state(load_state_dict(path, prefix=prefix), config, prefix, Path(path).name)


def from_state(state: StateDict, config: HigherHRNetConfig, prefix: str, name: str) -> HigherHRNet:
    """Build the network around tensors; see ``load``."""
    model = HigherHRNet(config)
    state = {
        key.removeprefix(prefix): tensor.float() if tensor.is_floating_point() else tensor
        for key, tensor in state.items()
        if key.startswith((f"{prefix}backbone.", f"{prefix}keypoint_head."))
    }
    # Some files leave out the counters of the batch norms, which inference does not use.
    own = model.state_dict()
    state = {key: own[key] for key in own if key.endswith("num_batches_tracked")} | state
    check_keys(model, state, name)
    model.load_state_dict(state)
    return model.eval().requires_grad_(False)
