"""Style mixing: a matrix of people with each other's styles, and a film of it along a walk.

Pictures that share their first layers are drawn after each other, so that those layers run once.
"""

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

from ...common.errors import FiguraInputError
from ...common.images import to_uint8
from ...common.progress import Progress, part, silent
from ..choices import NOISE_MODES
from ..networks.generator import Generator, device_of
from ..networks.noise import noise_source
from ..networks.synthesis import Context, PrefixCache
from .latents import check_same_model, check_ws, mix_styles


class _Painter:
    """Draws single latents, each re-using what it shares with the one before; counts for the progress bar."""

    def __init__(
        self, generator: Generator, noise_mode: str, noise_seed: int, total: int, progress: Progress
    ) -> None:
        if noise_mode not in NOISE_MODES:
            raise FiguraInputError("noise mode", repr(noise_mode), ", ".join(NOISE_MODES))
        self.synthesis, self.device = generator.synthesis, device_of(generator)
        self.cache, self.noise = PrefixCache(generator.synthesis), noise_source(noise_mode, [noise_seed])
        self.progress, self.total, self.done = progress, total, 0

    @torch.no_grad()
    def draw(self, ws: Tensor) -> Tensor:
        """Pixels [3, H, W] on the CPU of ws [1, num_ws, w_dim]."""
        context = Context(self.synthesis.styles(ws.to(self.device)), self.noise)
        pixels = self.cache.render(context, part(self.progress, self.done, self.total))[0].cpu()
        self.done += 1
        return pixels


def mixing_matrix(
    generator: Generator,
    row_ws: Tensor,
    column_ws: Tensor,
    styles: Sequence[int],
    noise_mode: str = "const",
    noise_seed: int = 0,
    progress: Progress = silent,
) -> Tensor:
    """Pixels [(1 + R) * (1 + C), 3, H, W]: sources in the first row and column, white in the corner.

    Cell (i, j) is row person i with the rows ``styles`` of ws taken from column person j.
    """
    check_same_model(row_ws[:1], column_ws[:1], "columns")
    height, width = generator.image_size
    columns = 1 + len(column_ws)
    cells = _cells(row_ws, column_ws, styles)
    painter = _Painter(generator, noise_mode, noise_seed, len(cells), progress)
    pixels = torch.ones((1 + len(row_ws)) * columns, generator.config.img_channels, height, width)
    for row, column, ws in cells:
        pixels[row * columns + column] = painter.draw(ws)
    return pixels


def _cells(row_ws: Tensor, column_ws: Tensor, styles: Sequence[int]) -> list[tuple[int, int, Tensor]]:
    """(row, column, ws) of every cell, those with equal first rows of ws next to each other."""
    rows = [(i + 1, 0, row_ws[i : i + 1]) for i in range(len(row_ws))]
    columns = [(0, j + 1, column_ws[j : j + 1]) for j in range(len(column_ws))]
    mixed = [(i, j, mix_styles(a, b, styles)) for i, _, a in rows for _, j, b in columns]
    cells = rows + columns + mixed
    by_column = 0 in styles  # then cells of one column begin alike, else those of one row
    return sorted(cells, key=lambda cell: (cell[1], cell[0]) if by_column else (cell[0], cell[1]))


def default_overlap(generator: Generator) -> int:
    """Pixels that pictures of the released mixing video overlap: 30 at 512 wide, in proportion elsewhere."""
    return round(30 * generator.image_size[1] / 512)


def mixing_frames(
    generator: Generator,
    walk: Tensor,
    people: Tensor,
    styles: Sequence[int],
    only_mixed: bool = False,
    overlap: int | None = None,
    noise_mode: str = "const",
    noise_seed: int = 0,
    progress: Progress = silent,
) -> Iterator[np.ndarray]:
    """Frames uint8 [H', W', 3] of the mixing video, one after another: people above, below each of them a
    mixture, and the walking source on the left.

    Args:
        walk: ws [frames, …] whose rows ``styles`` go into the people.
        people: ws [N, …] who are mixed with it.
        only_mixed: leave the sources out: a frame is the row of mixtures.
        overlap: pixels by which neighbours overlap (their white margins); see ``default_overlap``.
    """
    config, (height, width) = generator.config, generator.image_size
    walk, people = (check_ws(ws, config.num_ws, config.w_dim) for ws in (walk, people))
    overlap = default_overlap(generator) if overlap is None else overlap
    if not 0 <= overlap < width:
        raise FiguraInputError("overlap", f"{overlap} pixels", f"0 to {width - 1}: less than a picture")
    mix_styles(walk[:1], people[:1], styles)  # refuses rows that are not there, before anything is drawn
    each = len(people) + (0 if only_mixed else 1)
    total = each * len(walk) + (0 if only_mixed else len(people))
    painter = _Painter(generator, noise_mode, noise_seed, total, progress)
    return _mixing_frames(painter, walk, people, styles, only_mixed, (height, width - overlap))


def _mixing_frames(
    painter: _Painter,
    walk: Tensor,
    people: Tensor,
    styles: Sequence[int],
    only_mixed: bool,
    cell: tuple[int, int],
) -> Iterator[np.ndarray]:
    above = [] if only_mixed else [painter.draw(ws) for ws in people.split(1)]
    for source in walk.split(1):
        below = [] if only_mixed else [painter.draw(source)]
        below += [painter.draw(mix_styles(ws, source, styles)) for ws in people.split(1)]
        yield _canvas(above, below, cell)


def _canvas(above: list[Tensor], below: list[Tensor], cell: tuple[int, int]) -> np.ndarray:
    """White paper with pictures every ``cell`` = (height, step) pixels: a later one covers an earlier one.

    The last loses the overlap at the edge. Video takes even sizes only, so an odd one gains a white line.
    """
    height, step = cell
    size = (2 if above else 1) * height, step * len(below)
    paper = np.full((size[0] + size[0] % 2, size[1] + size[1] % 2, 3), 255, dtype=np.uint8)
    rows = ((above, 0, 1), (below, height, 0)) if above else ((below, 0, 0),)
    for pictures, top, first in rows:
        for i, pixels in enumerate(pictures, first):
            picture = to_uint8(pixels[None])[0]
            left, right = i * step, min(i * step + picture.shape[1], size[1])
            paper[top : top + height, left:right] = picture[:, : right - left]
    return paper
