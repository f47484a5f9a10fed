"""A skeleton laid over or beside the picture it belongs to."""

from collections.abc import Callable

import torch
from torch import Tensor

from ..common.errors import FiguraInputError
from ..common.images import check_image
from .canvas import fit_to
from .pose import Pose

LAYOUTS = ("over", "beside", "both")


def lay_over(
    image: Tensor, poses: list[Pose], draw: Callable[[list[Pose]], Tensor], layout: str, opacity: float = 0.8
) -> Tensor:
    """Compare pictures with poses: IMAGE [B, H, W or 2 W or 3 W, 3].

    Args:
        image: [B, H, W, C]; one picture serves every pose, one pose every picture.
        draw: makes an IMAGE of poses, black where nothing is.
        layout: "over" the picture, "beside" it, or "both".
    """
    if layout not in LAYOUTS:
        raise FiguraInputError("layout", f"'{layout}'", " or ".join(LAYOUTS))
    image = check_image(image)
    count = max(len(image), len(poses))
    if {len(image), len(poses)} - {1, count}:
        raise FiguraInputError(
            "pose", f"{len(poses)} poses for {len(image)} pictures", "as many of both, or one"
        )
    size = int(image.shape[1]), int(image.shape[2])
    drawn = draw([pose if pose.size == size else fit_to(pose, size) for pose in poses]).to(image)
    image, drawn = image.expand(count, -1, -1, -1), drawn.expand(count, -1, -1, -1)
    covered = (drawn.amax(-1, keepdim=True) > 0) * opacity
    over = image * (1 - covered) + drawn * covered
    rows = {"over": [over], "beside": [image, drawn], "both": [image, over, drawn]}
    return torch.cat(rows[layout], dim=2)
