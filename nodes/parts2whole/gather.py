"""Parts from a node's inputs, checked, in ComfyUI's conventions."""

from collections.abc import Sequence
from typing import Any

from torch import Tensor

from ...pipelines.common.errors import FiguraInputError
from ...pipelines.parts2whole.parts import LABELS, Part, check_parts, make_part


def append(
    parts: Sequence[Part] | None,
    image: Tensor,
    label: str,
    mask: Tensor | None,
    weight: float,
    fit: str,
    invert: bool,
) -> list[Part]:
    """A new list with one part more; a batch of pictures gives one part each."""
    before = list(parts or [])
    if invert and mask is not None:
        mask = 1 - mask
    return check_parts([*before, make_part(image, label, mask, weight, fit, len(before) + 1)])


def board(given: dict[str, Any], fit: str) -> list[Part]:
    """The parts of a board, in the order of the labels. A mask without its picture is refused."""
    parts: list[Part] = []
    for label in LABELS:
        name = label.replace(" ", "_")
        image, mask = given.get(name), given.get(f"{name}_mask")
        if image is None and mask is not None:
            raise FiguraInputError(f"{name}_mask", "a mask without a picture", f"a picture at '{name}'")
        if image is not None:
            parts = append(parts, image, label, mask, given.get(f"{name}_weight", 1.0), fit, False)
    return check_parts(parts)
