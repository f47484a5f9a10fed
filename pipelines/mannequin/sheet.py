"""Contact sheets: many figures on one page, with or without what is known about them."""

from pathlib import Path

import numpy as np

from ..common.files import atomic_path
from ..common.progress import Progress, silent
from .classes import PALETTE
from .configs import WorldConfig
from .scene import Picture, render

# pairs of COCO keypoints that a bone joins, and the hue of each
BONES = ((0, 1), (0, 2), (1, 3), (2, 4), (5, 7), (7, 9), (6, 8), (8, 10), (5, 6), (5, 11), (6, 12), (11, 12),
         (11, 13), (13, 15), (12, 14), (14, 16))  # fmt: skip


def draw_sheet(
    config: WorldConfig, seed: int, count: int, columns: int, truth: bool = False, progress: Progress = silent
) -> np.ndarray:
    """A page uint8 [H, W, 3] of ``count`` pictures; ``truth`` adds part map, skeleton and IUV under each."""
    cells = []
    for index in range(count):
        picture = render(config, seed, index)
        cells.append(np.concatenate(layers(picture), 0) if truth else picture.image)
        progress(index + 1, count)
    height, width = cells[0].shape[:2]
    gap = max(2, width // 64)
    rows = -(-count // columns)
    page = np.full((rows * (height + gap) + gap, columns * (width + gap) + gap, 3), 255, np.uint8)
    for index, cell in enumerate(cells):
        top, left = (
            gap + place * (size + gap)
            for place, size in zip(divmod(index, columns), cell.shape[:2], strict=True)
        )
        page[top : top + height, left : left + width] = cell
    return page


def layers(picture: Picture) -> list[np.ndarray]:
    """The picture, its part map in palette colours, its skeletons and its IUV (blue stretched to be seen)."""
    palette = np.array(PALETTE, np.uint8).reshape(-1, 3)
    iuv = picture.iuv()
    iuv[..., 2] = iuv[..., 2] * 10
    return [picture.image, palette[picture.parts], _skeletons(picture), iuv]


def _skeletons(picture: Picture) -> np.ndarray:
    import cv2

    page = np.zeros_like(picture.image)
    thick = max(1, picture.image.shape[0] // 90)
    for person in picture.people:
        for bone, (a, b) in enumerate(BONES):
            if person.keypoints[a, 2] and person.keypoints[b, 2]:
                hue = np.full((1, 1, 3), (bone * 180 // len(BONES), 150, 230), np.uint8)
                color = cv2.cvtColor(hue, cv2.COLOR_HSV2RGB)[0, 0]
                ends = [tuple(int(v * 16) for v in person.keypoints[k, :2]) for k in (a, b)]
                cv2.line(page, ends[0], ends[1], color.tolist(), thick, cv2.LINE_AA, 4)
    return page


def write_sheet(page: np.ndarray, path: Path) -> Path:
    """Write the page as PNG, whole or not at all."""
    from .encoding import png

    with atomic_path(path) as temporary:
        temporary.write_bytes(png(page))
    return path
