"""Seeds or latents to pictures, sample by sample, with progress; what the node and the command line both
call.
"""

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

from ..common.errors import FiguraInputError
from ..common.images import to_uint8
from ..common.progress import Progress, part, silent
from .latents.edit import Stack, check_edit, check_strength, edited_styles
from .latents.latents import check_ws, seeds_to_z
from .networks.generator import Generator, device_of
from .networks.noise import NOISE_MODES, noise_source
from .networks.synthesis import Context

MAX_BYTES = 16 << 30  # of finished pictures in one call; beyond it the request is a slip of the hand


@torch.no_grad()
def sample_ws(
    generator: Generator, seeds: Sequence[int], psi: float = 1.0, cutoff: int | None = None
) -> Tensor:
    """ws [N, num_ws, w_dim] of the seeds, truncated; each row computed alone, so a batch changes nothing."""
    if not -10 <= psi <= 10:
        raise FiguraInputError("truncation psi", str(psi), "a number from -10 to 10, usually 0.5 to 1")
    z = seeds_to_z(seeds, generator.config.z_dim).to(device_of(generator), torch.float32)
    return torch.cat([generator.mapping(row, None, psi, cutoff) for row in z.split(1)])


@torch.no_grad()
def synthesize(
    generator: Generator,
    ws: Tensor,
    noise_mode: str = "const",
    noise_seeds: Sequence[int] | None = None,
    force_fp32: bool = False,
    batch_size: int | None = None,
    progress: Progress = silent,
    edits: Stack = (),
) -> Tensor:
    """Pixels [N, 3, H, W] float32 on the CPU from ws [N, num_ws, w_dim].

    ``batch_size`` pictures run together: by default 1 on a CPU, where more are slower each, and 4 on a GPU.
    ``noise_seeds``, one per picture, drive ``random`` noise; 0, 1, … when None. ``progress`` is called
    several times within a picture. ``edits`` are applied to every picture.
    """
    if noise_mode not in NOISE_MODES:
        raise FiguraInputError("noise mode", repr(noise_mode), ", ".join(NOISE_MODES))
    ws = check_ws(ws, generator.config.num_ws, generator.config.w_dim)
    for edit, strength in edits:
        check_edit(edit, generator)
        check_strength(strength)
    height, width = generator.image_size
    _check_size(len(ws), 3 * height * width * 4)
    noise_seeds = range(len(ws)) if noise_seeds is None else noise_seeds
    device, count = device_of(generator), batch_size or (4 if device_of(generator).type == "cuda" else 1)
    chunks = list(zip(ws.split(count), _chunks(noise_seeds, count), strict=True))
    pixels = torch.empty(len(ws), generator.config.img_channels, height, width)
    for i, (rows, seeds) in enumerate(chunks):
        styles = edited_styles(generator.synthesis, rows.to(device), edits)
        context = Context(styles, noise_source(noise_mode, seeds), force_fp32)
        picture = generator.synthesis.render(context, part(progress, i, len(chunks)))
        pixels[i * count : i * count + len(rows)] = picture.cpu()
    return pixels


def frames(
    generator: Generator,
    ws: Tensor,
    noise_mode: str = "const",
    noise_seed: int = 0,
    progress: Progress = silent,
    edits: Stack = (),
) -> Iterator[np.ndarray]:
    """The pictures of ``ws`` as uint8 [H, W, 3], a few at a time, so that a long film never lies in memory.

    Random noise is the same in every frame; else it would flicker.
    """
    chunks = ws.split(4 if device_of(generator).type == "cuda" else 1)
    for i, chunk in enumerate(chunks):
        seeds = [noise_seed] * len(chunk)
        listener = part(progress, i, len(chunks))
        yield from to_uint8(synthesize(generator, chunk, noise_mode, seeds, progress=listener, edits=edits))


def _check_size(count: int, picture_bytes: int) -> None:
    if count * picture_bytes > MAX_BYTES:
        raise FiguraInputError(
            "batch size", f"{count} pictures ({count * picture_bytes / 2**30:.0f} GiB)",
            f"at most {MAX_BYTES // picture_bytes}",
        )  # fmt: skip


def _chunks(seeds: Sequence[int], count: int) -> list[Sequence[int]]:
    return [seeds[start : start + count] for start in range(0, len(seeds), count)]
