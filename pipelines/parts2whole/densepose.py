"""DensePose pictures: Parts2Whole reads raw IUV values, not the coloured part maps most preprocessors draw.

Background is black; blue is the part index I as a bare number 1..24; green and red are the surface
coordinates U and V, 0..255.
"""

import logging

import torch
from torch import Tensor

from ..common.errors import FiguraInputError
from ..common.images import check_image

log = logging.getLogger(__name__)

PARTS = 24
PALETTES = {"viridis": "COLORMAP_VIRIDIS", "parula": "COLORMAP_PARULA"}
"""Colour tables that common preprocessors paint the part index with, and OpenCV's names for them."""
UNKNOWN_UV = 128  # a coloured map has lost U and V; the middle of their range stands in


def check_iuv(image: Tensor, what: str = "pose", tolerance: float = 0.01) -> Tensor:
    """Return a DensePose picture [B, H, W, 3] in [0, 1] as IUV, or say what it is instead.

    Pictures whose red and blue are exchanged (saved in BGR order) are put right with a warning.

    Args:
        tolerance: share of pixels that may break the rules, for resized or slightly damaged pictures.
    """
    image = _rgb(image, what)
    values = (image * 255).round()
    if _breaks_rules(values) <= tolerance:
        return image
    if _breaks_rules(values.flip(-1)) <= tolerance:
        log.warning("%s: red and blue are exchanged (BGR order); put right", what)
        return image.flip(-1)
    palette = find_palette(image)
    if palette:
        raise FiguraInputError(
            what, f"a DensePose part map painted in {palette} colours", "a raw DensePose IUV picture",
            "Make IUV pictures, or set 'coloured maps' to 'convert': the parts come back, U and V are lost.",
        )  # fmt: skip
    raise FiguraInputError(
        what, _describe(values), f"a raw DensePose IUV picture: blue = part 1..{PARTS}, black around it",
        "Skeletons and coloured part maps do not fit this pose guider.",
    )  # fmt: skip


def _rgb(image: Tensor, what: str) -> Tensor:
    """Alpha is dropped, not composited: white would break the black background."""
    if isinstance(image, Tensor) and image.ndim == 4 and image.shape[-1] == 4:
        image = image[..., :3]
    return check_image(image, what)


def _breaks_rules(values: Tensor) -> float:
    """Share of pixels that cannot be IUV: blue above 24, or red or green without blue; 1 if all is black."""
    red, green, blue = values.unbind(-1)
    wrong = (blue > PARTS) | ((blue == 0) & ((red > 2) | (green > 2)))
    return wrong.float().mean().item() if (blue > 0).any() else 1.0


def _describe(values: Tensor) -> str:
    red, green, blue = values.unbind(-1)
    if not (values > 0).any():
        return "an all-black picture (nobody found)"
    share = (blue > PARTS).float().mean().item()
    if share > 0:
        return f"blue values up to {int(blue.max())}, above {PARTS} in {share:.0%} of the picture"
    share = ((blue == 0) & ((red > 2) | (green > 2))).float().mean().item()
    return f"red or green values without a part in {share:.0%} of the picture"


def find_palette(image: Tensor, share: float = 0.9) -> str | None:
    """Name the palette a part map [B, H, W, 3] was painted with, or None."""
    colours, counts = _common_colours(image)
    for name in PALETTES:
        distance, index = _nearest(colours, name)
        painted = counts[(distance < 12) & (index > 0)].sum()
        if painted > 0 and counts[distance < 12].sum() >= share * counts.sum() and len(index.unique()) > 2:
            return name
    return None


def to_iuv(image: Tensor, convert: bool, what: str = "pose") -> Tensor:
    """Check a DensePose picture; with ``convert`` a part map in a known palette is accepted and converted."""
    if convert and find_palette(_rgb(image, what)):
        return convert_part_map(image, what)
    return check_iuv(image, what)


def convert_part_map(image: Tensor, what: str = "pose") -> Tensor:
    """A part map in a known palette -> IUV with the right parts and U, V in the middle of their range.

    U and V are lost in such a map, so the pose acts by its parts alone; expect it to be followed less
    exactly.
    """
    image = _rgb(image, what)
    palette = find_palette(image)
    if palette is None:
        known = ", ".join(PALETTES)
        raise FiguraInputError(
            what, "a picture in no known palette", f"a part map painted in one of: {known}"
        )
    values = image.reshape(-1, 3)
    colours, inverse = torch.unique((values * 255).round(), dim=0, return_inverse=True)
    index = _nearest(colours, palette)[1][inverse].reshape(image.shape[:3]).float()
    middle = torch.where(index > 0, float(UNKNOWN_UV), 0.0)
    return torch.stack([middle, middle, index], dim=-1) / 255


def _common_colours(image: Tensor, most: int = 4096) -> tuple[Tensor, Tensor]:
    """Colours 0..255 [n, 3] of a thinned picture and how often each occurs."""
    step = max(1, int((image.shape[1] * image.shape[2] / 65536) ** 0.5))
    thin = (image[:, ::step, ::step].reshape(-1, 3) * 255).round()
    colours, counts = torch.unique(thin, dim=0, return_counts=True)
    order = counts.argsort(descending=True)[:most]
    return colours[order], counts[order]


def _nearest(colours: Tensor, palette: str) -> tuple[Tensor, Tensor]:
    """Distance to, and index 0..24 of, the palette's nearest colour; black is background too."""
    table = torch.cat([palette_colours(palette), torch.zeros(1, 3)])
    distance, index = torch.cdist(colours, table).min(dim=1)
    return distance, index % (PARTS + 1)


def palette_colours(palette: str) -> Tensor:
    """RGB colours 0..255 [25, 3] that part indices 0..24 are painted with."""
    import cv2
    import numpy as np

    ramp = (np.arange(PARTS + 1) * 255 / PARTS).astype(np.uint8)[None]
    painted = cv2.applyColorMap(ramp, getattr(cv2, PALETTES[palette]))
    return torch.from_numpy(painted[0, :, ::-1].astype(np.float32).copy())


def prepare_pose(image: Tensor, width: int, height: int) -> Tensor:
    """Pose pictures [B, H, W, 3] in [0, 1] -> [B, 3, height, width] in [0, 1], Lanczos as published."""
    from PIL import Image

    from .parts import from_pil, to_pil

    pictures = [to_pil(picture).resize((width, height), Image.Resampling.LANCZOS) for picture in image]
    return torch.cat([from_pil(picture) for picture in pictures])
