"""The pose guider: a pose picture to features added after the UNet's first convolution (section 3.4)."""

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn

from ..common.errors import FiguraWeightsError
from ..common.weights import StateDict

STRUCTURES = ("densepose", "openpose")
"""What a guider was trained on: raw DensePose IUV pictures (released), or drawn skeletons."""


class PoseGuider(nn.Module):
    """Eight 3x3 convolutions, [B, 3, H, W] in [0, 1] -> [B, out_channels, H / 8, W / 8].

    Args:
        in_channels: channels of the pose picture.
        out_channels: channels of the UNet's first layer.
        widths: channels of the four resolutions.
        structure: one of STRUCTURES.
    """

    def __init__(
        self, in_channels: int, out_channels: int, widths: Sequence[int], structure: str = "densepose"
    ) -> None:
        super().__init__()
        self.structure = structure
        self.conv_in = nn.Conv2d(in_channels, widths[0], 3, padding=1)
        self.blocks = nn.ModuleList()
        for here, after in zip(widths[:-1], widths[1:], strict=True):
            self.blocks.append(nn.Conv2d(here, here, 3, padding=1))
            self.blocks.append(nn.Conv2d(here, after, 3, padding=1, stride=2))
        self.conv_out = nn.Conv2d(widths[-1], out_channels, 3, padding=1)

    def forward(self, pose: Tensor) -> Tensor:
        """[B, 3, H, W] in [0, 1] -> [B, out_channels, H / 8, W / 8]."""
        x = F.silu(self.conv_in(pose))
        for block in self.blocks:
            x = F.silu(block(x))
        return self.conv_out(x)


def load_pose_guider(state: StateDict, structure: str = "densepose") -> PoseGuider:
    """Build a guider of the sizes found in ``state`` and fill it."""
    widths = [state[f"blocks.{i}.weight"].shape[1] for i in range(0, 64, 2) if f"blocks.{i}.weight" in state]
    last = f"blocks.{2 * len(widths) - 1}.weight"
    if not widths or not {last, "conv_in.weight", "conv_out.weight"} <= set(state):
        raise FiguraWeightsError("pose_guider", f"tensors {sorted(state)[:5]}", "the released pose guider")
    guider = PoseGuider(
        state["conv_in.weight"].shape[1],
        state["conv_out.weight"].shape[0],
        [*widths, state[last].shape[0]],
        structure,
    )
    missing, unexpected = guider.load_state_dict({k: v.float() for k, v in state.items()}, strict=False)
    if missing or unexpected:
        came = (
            f"{len(missing)} missing and {len(unexpected)} unexpected tensors: {(missing + unexpected)[:5]}"
        )
        raise FiguraWeightsError("pose_guider", came, "the released pose guider")
    return guider.eval().requires_grad_(False)
