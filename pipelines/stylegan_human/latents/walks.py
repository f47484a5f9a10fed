"""Ways through the space of people, as latents: between stops, at random, across a sheet between corners.

Nothing is drawn here. Every function gives ws [frames, num_ws, w_dim] for ``synthesize`` or for a film.
"""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from ...common.errors import FiguraInputError
from ...common.seeds import numpy_seed
from ..choices import BLEND_MODES, SPACES
from ..networks.generator import Generator, device_of
from .latents import blend, interpolation_alphas, lerp, seeds_to_z, slerp

MAX_FRAMES = 20_000


def path_of_ws(ws: Tensor, steps: int, mode: str = "linear", loop: bool = False) -> Tensor:
    """ws of a walk through the batch ``ws``: ``steps`` per leg, the last latent reached, or (``loop``) the
    first.
    """
    return _path(ws, steps, lambda a, b, alpha: blend(a, b, alpha, mode), loop)


def _path(
    stops: Tensor, steps: int, between: Callable[[Tensor, Tensor, float], Tensor], loop: bool
) -> Tensor:
    """Rows of a walk along ``stops`` [N, …]; without ``loop`` the last stop is the last row."""
    count, stops = len(stops), torch.cat([stops, stops[:1]]) if loop else stops
    if len(stops) < 2 or (loop and count < 2):
        raise FiguraInputError("stops", f"{count} latent", "two or more to walk between")
    alphas = interpolation_alphas(steps)
    if steps * len(stops) > MAX_FRAMES:
        raise FiguraInputError("frames", str(steps * len(stops)), f"at most {MAX_FRAMES}")
    legs = [
        between(start[None], end[None], alpha)
        for start, end in zip(stops, stops[1:], strict=False)
        for alpha in alphas
    ]
    return torch.cat(legs if loop else [*legs, stops[-1:]])


@torch.no_grad()
def path_of_seeds(
    generator: Generator,
    seeds: Sequence[int],
    steps: int,
    psi: float = 0.8,
    mode: str = "linear",
    space: str = "z",
    loop: bool = False,
) -> Tensor:
    """ws of a walk through ``seeds`` in order, ``steps`` per leg, the last seed reached.

    ``space``: ``z`` before the mapping network, as the released script does; ``w`` after it, before
    truncation; ``w+`` the truncated rows, each on its own. Straight lines in ``w`` and ``w+`` are the same.
    """
    _check_choice("space", space, SPACES)
    _check_choice("mode", mode, BLEND_MODES)
    if not -10 <= psi <= 10:
        raise FiguraInputError("truncation psi", str(psi), "a number from -10 to 10, usually 0.5 to 1")
    stops = seeds_to_z(seeds, generator.config.z_dim).float()
    between = lerp if mode == "linear" else slerp
    if space == "z":
        return mapped(generator, _path(stops, steps, between, loop), psi)
    if space == "w+":
        return path_of_ws(mapped(generator, stops, psi), steps, mode, loop)
    w = mapped(generator, stops, 1.0)[:, 0]
    ws = _path(w, steps, between, loop)[:, None].repeat(1, generator.config.num_ws, 1)
    return generator.mapping.truncated(ws, psi)


def _check_choice(what: str, value: str, choices: Sequence[str]) -> None:
    if value not in choices:
        raise FiguraInputError(what, repr(value), "one of " + ", ".join(choices))


@torch.no_grad()
def mapped(generator: Generator, z: Tensor, psi: float) -> Tensor:
    """ws of the rows of ``z``, each through the mapping network alone, so that a batch changes nothing."""
    device = device_of(generator)
    return torch.cat([generator.mapping(row.to(device, torch.float32), None, psi) for row in z.split(1)])


def frame_count(seconds: float, fps: float) -> int:
    """Frames of a film, rounded to the nearest whole number, halves to even."""
    if not 0 < seconds <= 3600 or not 0 < fps <= 240:
        raise FiguraInputError("film", f"{seconds} s at {fps} frames a second", "up to 3600 s at up to 240")
    return max(1, round(seconds * fps))


def smooth_z(seed: int, frames: int, z_dim: int, sigma: float) -> Tensor:
    """z [frames, z_dim] float32 of a random walk that returns to its start, as the released mixing video's.

    Normal noise, smoothed along time by a gaussian of ``sigma`` frames that wraps around, then scaled to a
    root mean square of 1 over all frames.
    """
    from scipy.ndimage import gaussian_filter1d

    if not 1 <= frames <= MAX_FRAMES:
        raise FiguraInputError("frames", str(frames), f"1 to {MAX_FRAMES}")
    if not 0 <= sigma <= MAX_FRAMES:
        raise FiguraInputError("smoothness", str(sigma), f"0 to {MAX_FRAMES} frames")
    noise = np.random.RandomState(numpy_seed(seed)).randn(frames, z_dim).astype(np.float32)
    smooth = gaussian_filter1d(noise, sigma, axis=0, mode="wrap") if sigma else noise
    smooth = smooth / np.sqrt(np.mean(np.square(smooth)))
    return torch.from_numpy(smooth.astype(np.float32))


def random_walk(generator: Generator, seed: int, frames: int, sigma: float, psi: float = 1.0) -> Tensor:
    """ws [frames, num_ws, w_dim] of ``smooth_z``; the last frame joins the first."""
    return mapped(generator, smooth_z(seed, frames, generator.config.z_dim, sigma), psi)


def corner_grid(corners: Tensor, rows: int, columns: int, mode: str = "linear") -> Tensor:
    """ws [rows * columns, …] of a sheet between ``corners`` [2 or 4, …], row by row.

    Four corners: top left, top right, bottom left, bottom right. Two: left and right edge, all rows alike.
    """
    if len(corners) not in (2, 4):
        raise FiguraInputError("corners", f"{len(corners)} latents", "2 (left, right) or 4, row by row")
    if not (2 <= columns <= 256 and 1 <= rows <= 256) or (len(corners) == 4 and rows < 2):
        raise FiguraInputError("grid", f"{rows} rows of {columns}", "2 to 256 each way")
    left, right = corners[0::2], corners[1::2]  # [1 or 2, …]: top, bottom
    sheet = []
    for row in range(rows):
        down = row / (rows - 1) if len(corners) == 4 else 0.0
        start, end = (blend(edge[:1], edge[-1:], down, mode) for edge in (left, right))
        sheet += [blend(start, end, column / (columns - 1), mode) for column in range(columns)]
    return torch.cat(sheet)
