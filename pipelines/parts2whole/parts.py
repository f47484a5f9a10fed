"""Reference parts: their labels, and pictures and masks made ready as the published pipeline makes them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor

from ..common.errors import FiguraInputError
from ..common.images import check_image
from ..common.masks import check_mask

if TYPE_CHECKING:
    from PIL.Image import Image

LABELS = (
    "upper body clothes",
    "lower body clothes",
    "whole body clothes",
    "hair or headwear",
    "face",
    "shoes",
)
"""The six labels of the training data. The text encoder reads them: their wording is part of the model."""
FOLDERS = {"hair_headwear": "hair or headwear", "hair_and_headwear": "hair or headwear"}
FITS = ("stretch", "pad", "crop")
"""How a picture of another shape meets the output's size; the model was trained with ``stretch``."""
MAX_PARTS = 6
MAX_WEIGHT = 10.0


@dataclass(frozen=True)
class Part:
    """One reference: a picture, what it shows, and where."""

    image: Tensor
    """[1, H, W, 3 or 4] in [0, 1]; a fourth channel is the mask when there is no other."""
    label: str
    mask: Tensor | None = None
    """[1, h, w] in [0, 1], 1 = keep, of any size; None: the picture's alpha, or all of it."""
    weight: float = 1.0
    """1 as trained, 0 as if the part were not given, 2 counts its tokens twice."""
    fit: str = "stretch"


@dataclass(frozen=True)
class PreparedPart:
    """A part at the output's size."""

    label: str
    pixels: Tensor
    """[1, 3, H, W] in [-1, 1]."""
    mask: Tensor
    """[1, 1, H, W] in [0, 1], soft values kept."""
    original: Tensor
    """The picture as it came, [1, h, w, 3] in [0, 1], alpha dropped: what the image encoder sees."""
    weight: float


def check_label(label: str, what: str = "label") -> str:
    """Return the exact label for ``label``; dataset folder names (``hair_headwear``) are understood too."""
    wanted = FOLDERS.get(label, label.replace("_", " "))
    if wanted not in LABELS:
        raise FiguraInputError(what, f"'{label}'", "one of: " + ", ".join(LABELS))
    return wanted


def make_part(
    image: Tensor,
    label: str,
    mask: Tensor | None = None,
    weight: float = 1.0,
    fit: str = "stretch",
    index: int = 1,
) -> Part:
    """Check one reference and return it as a Part. ``index`` counts from 1 and only serves the messages.

    Raises: FiguraInputError naming "reference <index>, <label>".
    """
    label = check_label(label, f"reference {index}, label")
    what = f"reference {index}, {label}"
    image, alpha = _split_alpha(image, what)
    if fit not in FITS:
        raise FiguraInputError(f"{what}: fit", f"'{fit}'", "one of: " + ", ".join(FITS))
    if not 0 <= weight <= MAX_WEIGHT:
        raise FiguraInputError(f"{what}: weight", f"{weight}", f"a number from 0 to {MAX_WEIGHT:g}")
    if mask is not None:
        mask = _check_part_mask(mask, what)
    elif alpha is not None:
        mask = _check_part_mask(alpha[..., 0], f"{what} (alpha)")
    return Part(image if alpha is None else torch.cat([image, alpha], -1), label, mask, float(weight), fit)


def _split_alpha(image: Tensor, what: str) -> tuple[Tensor, Tensor | None]:
    """Check one picture; returns its colours [1, H, W, 3] and its alpha [1, H, W, 1] if there is one."""
    alpha = None
    if isinstance(image, Tensor) and image.ndim == 4 and image.shape[-1] == 4 and image.shape[0] == 1:
        alpha = check_image(image[..., 3:], what)[..., :1]
        image = image[..., :3]
    image = check_image(image, what)
    if image.shape[0] != 1:
        raise FiguraInputError(
            what, f"{image.shape[0]} pictures", "one picture per reference", "Add one reference for each."
        )
    return image, alpha


def _check_part_mask(mask: Tensor, what: str) -> Tensor:
    mask = check_mask(mask, f"{what}: mask", batch=1)
    if mask.max() < 1 / 255:
        raise FiguraInputError(
            f"{what}: the mask is empty", f"no selected pixel in {mask.shape[2]}x{mask.shape[1]}",
            "a mask that is 1 on the part to keep",
            "Load Image gives 1 - alpha as its mask, which is empty for a picture without alpha:"
            " leave the mask unconnected, or invert it.",
        )  # fmt: skip
    return mask


def check_parts(parts: Sequence[Part]) -> list[Part]:
    """Return ``parts`` as a list if there are one to six of them."""
    if not 1 <= len(parts) <= MAX_PARTS:
        raise FiguraInputError(
            "references", f"{len(parts)}", f"1 to {MAX_PARTS}",
            "The model was trained with at most six parts." if parts else "Connect at least one reference.",
        )  # fmt: skip
    return list(parts)


def check_size(width: int, height: int) -> tuple[int, int]:
    """Return (width, height) if both are multiples of 8 from 64 to 4096."""
    for name, value in (("width", width), ("height", height)):
        if not 64 <= value <= 4096 or value % 8:
            raise FiguraInputError(name, str(value), "a multiple of 8 from 64 to 4096")
    return width, height


def prepare(part: Part, width: int, height: int) -> PreparedPart:
    """Bring a part to the output's size: bicubic, aspect ratio by ``part.fit``, alpha on white."""
    from PIL import Image

    picture = to_pil(check_image(part.image)[0])
    mask = Image.new("L", picture.size, 255) if part.mask is None else to_pil(part.mask[0])
    if mask.size != picture.size and part.fit != "stretch":
        mask = mask.resize(picture.size)
    picture, mask = _fit(picture, part.fit, width / height, 255), _fit(mask, part.fit, width / height, 0)
    pixels = from_pil(picture.resize((width, height))) * 2 - 1
    return PreparedPart(
        part.label, pixels, from_pil(mask.resize((width, height))), part.image[..., :3], part.weight
    )


def to_pil(image: Tensor) -> "Image":
    """[H, W] or [H, W, C] in [0, 1] -> 8-bit picture."""
    from PIL import Image

    return Image.fromarray((image.clamp(0, 1) * 255).round().to(torch.uint8).cpu().numpy())


def from_pil(picture: "Image") -> Tensor:
    """8-bit picture -> [1, C, H, W] in [0, 1]."""
    import numpy as np

    array = torch.from_numpy(np.array(picture, dtype=np.float32) / 255)
    return (array if array.ndim == 3 else array[..., None]).movedim(-1, 0)[None]


def _fit(picture: "Image", fit: str, aspect: float, fill: int) -> "Image":
    """Pad with ``fill`` or crop around the centre to width / height = ``aspect``; ``stretch`` leaves it."""
    from PIL import Image

    if fit == "stretch":
        return picture
    wide = picture.width > picture.height * aspect
    if (fit == "pad") == wide:
        size = picture.width, max(1, round(picture.width / aspect))
    else:
        size = max(1, round(picture.height * aspect)), picture.height
    corner = (size[0] - picture.width) // 2, (size[1] - picture.height) // 2
    page = Image.new(picture.mode, size, fill if picture.mode == "L" else (fill,) * 3)
    page.paste(picture, corner)
    return page


def level_mask(mask: Tensor, tokens: int) -> Tensor:
    """The mask as one attention layer of ``tokens`` tokens sees it: [1, 1, H, W] -> [tokens].

    Nearest neighbour to the layer's grid, then a 3x3 sum clamped to [0, 1]: a dilation by one cell that keeps
    soft values. Layers halve the picture 8, 16, 32, 64 times, rounding up.
    """
    height, width = mask.shape[-2:]
    stride = 1
    while -(-height // stride) * -(-width // stride) > tokens:
        stride *= 2
    grid = -(-height // stride), -(-width // stride)
    if grid[0] * grid[1] != tokens:
        raise FiguraInputError(
            "mask", f"{width}x{height} for a layer of {tokens} tokens", "the size of the picture"
        )
    small = F.interpolate(mask.float(), grid)
    ones = torch.ones(1, 1, 3, 3, dtype=small.dtype, device=small.device)
    return F.conv2d(small, ones, padding=1).clamp(0, 1).flatten()
