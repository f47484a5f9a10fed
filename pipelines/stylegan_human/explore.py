"""Walks between people, mixing matrices: many latents at once, and the cheapest order to draw them in."""

from collections.abc import Sequence

import torch
from torch import Tensor

from ..common.errors import FiguraInputError
from ..common.progress import Progress, part, silent
from .generate import device_of
from .generator import Generator
from .latents import blend, check_same_model, interpolation_alphas, lerp, mix_styles, seeds_to_z, slerp
from .noise import noise_source
from .synthesis import Context, PrefixCache

SPACES = ("z", "w")


def path_of_ws(ws: Tensor, steps: int, mode: str = "linear", loop: bool = False) -> Tensor:
    """ws of a walk through the batch ``ws``: ``steps`` per leg, the last latent reached, or (``loop``) the
    first.
    """
    stops = torch.cat([ws, ws[:1]]) if loop else ws
    if len(stops) < 2:
        raise FiguraInputError("latents", f"{len(ws)} latent", "two or more to walk between")
    alphas = interpolation_alphas(steps)
    legs = [
        blend(start[None], end[None], alpha, mode)
        for start, end in zip(stops, stops[1:], strict=False)
        for alpha in alphas
    ]
    return torch.cat(legs if loop else [*legs, stops[-1:]])


@torch.no_grad()
def path_of_seeds(
    generator: Generator, seeds: Sequence[int], steps: int, psi: float = 0.8, mode: str = "linear"
) -> Tensor:
    """ws of the released interpolation: in z, from the second seed towards the first, which it never
    reaches.
    """
    if len(seeds) != 2:
        raise FiguraInputError("seeds", f"{len(seeds)} seeds", "two seeds to interpolate between")
    z = seeds_to_z(seeds, generator.config.z_dim).float()
    between = lerp if mode == "linear" else slerp
    rows = [between(z[1:], z[:1], alpha) for alpha in interpolation_alphas(steps)]
    return torch.cat([generator.mapping(row.to(device_of(generator)), None, psi) for row in rows])


@torch.no_grad()
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

    Cell (i, j) is row person i with the rows ``styles`` of ws taken from column person j. Cells that share
    their first layers are drawn after each other, so those layers run once.
    """  # fmt: skip
    check_same_model(row_ws[:1], column_ws[:1], "columns")
    device, (height, width) = device_of(generator), generator.image_size
    cache, noise = PrefixCache(generator.synthesis), noise_source(noise_mode, [noise_seed])
    columns = 1 + len(column_ws)
    pixels = torch.ones((1 + len(row_ws)) * columns, generator.config.img_channels, height, width)
    cells = _cells(row_ws, column_ws, styles)
    for done, (row, column, ws) in enumerate(cells):
        styles_of_cell = generator.synthesis.styles(ws.to(device))
        pixels[row * columns + column] = cache.render(
            Context(styles_of_cell, noise), part(progress, done, len(cells))
        )[0].cpu()
    return pixels


def _cells(row_ws: Tensor, column_ws: Tensor, styles: Sequence[int]) -> list[tuple[int, int, Tensor]]:
    """(row, column, ws) of every cell, those with equal first rows of ws next to each other."""
    rows = [(i + 1, 0, row_ws[i : i + 1]) for i in range(len(row_ws))]
    columns = [(0, j + 1, column_ws[j : j + 1]) for j in range(len(column_ws))]
    mixed = [(i, j, mix_styles(a, b, styles)) for i, _, a in rows for _, j, b in columns]
    cells = rows + columns + mixed
    by_column = 0 in styles  # then cells of one column begin alike, else those of one row
    return sorted(cells, key=lambda cell: (cell[1], cell[0]) if by_column else (cell[0], cell[1]))
