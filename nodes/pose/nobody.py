"""What happens with pictures in which nobody was found."""

from torch import Tensor

from ...pipelines.common.errors import FiguraInputError
from ...pipelines.common.images import check_image
from ...pipelines.pose.pose import Pose

NOBODY = ("error", "blank", "pass through")


def check_choice(choice: str) -> None:
    """Refuse an unknown choice, which older ComfyUI lets through."""
    if choice not in NOBODY:
        raise FiguraInputError("if_nobody", f"'{choice}'", " or ".join(NOBODY))


def settle(image: Tensor, poses: list[Pose], skeleton: Tensor, choice: str) -> Tensor:
    """The skeleton IMAGE, with the choice applied to the pictures whose pose is empty."""
    alone = [index for index, pose in enumerate(poses) if not len(pose)]
    if not alone or choice == "blank":
        return skeleton
    if choice == "error":
        raise FiguraInputError(
            "image", f"no person in picture {', '.join(str(index + 1) for index in alone[:10])}",
            "at least one person", "Lower the threshold, choose a detector, or set 'if_nobody' to blank.",
        )  # fmt: skip
    skeleton = skeleton.clone()
    skeleton[alone] = check_image(image)[alone].to(skeleton)
    return skeleton
