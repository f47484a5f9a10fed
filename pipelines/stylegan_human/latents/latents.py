"""Latents as values: seeds -> z, truncation, style mixing, interpolation, blending. Functions on z and ws.

z is [N, z_dim]; ws is [N, num_ws, w_dim], one row for each place where a style enters the synthesis network.
"""

import math
import re
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from ...common.errors import FiguraInputError
from ...common.seeds import check_seed, numpy_seed
from ..choices import BLEND_MODES, OPERATIONS
from ..networks.mapping import truncate


def seeds_to_z(seeds: Sequence[int], z_dim: int) -> Tensor:
    """z [N, z_dim] in float64, row i drawn from numpy's ``RandomState(seeds[i])`` as the released scripts do.

    ``RandomState`` knows 32 bits, so larger seeds are reduced modulo 2**32.
    """
    rows = [np.random.RandomState(numpy_seed(seed)).randn(1, z_dim) for seed in seeds]
    return torch.from_numpy(np.concatenate(rows))


def parse_seeds(text: str, limit: int = 4096, what: str = "seeds") -> list[int]:
    """Read a list of seeds such as ``1,3,5-9``: numbers and inclusive ranges, in the order given."""
    seeds: list[int] = []
    for part in filter(None, (part.strip() for part in text.split(","))):
        match = re.fullmatch(r"(\d+)(?:\s*-\s*(\d+))?", part)
        if not match:
            raise FiguraInputError(what, f"'{part}'", "numbers and ranges such as 1,3,5-9")
        first, last = int(match[1]), int(match[2] or match[1])
        if last < first:
            raise FiguraInputError(what, f"the range '{part}'", f"the smaller number first: {last}-{first}")
        if len(seeds) + last - first >= limit:
            raise FiguraInputError(what, f"more than {limit}", f"{limit} or fewer")
        seeds += range(first, last + 1)
    if not seeds:
        raise FiguraInputError(what, "an empty list", "at least one, such as 1,3,5-9")
    for seed in seeds:
        check_seed(seed, what)
    return seeds


def truncate_rows(ws: Tensor, w_avg: Tensor, psi: float, rows: Sequence[int] | None) -> Tensor:
    """``truncate`` in ``rows`` only; None means all."""
    if not -10 <= psi <= 10:
        raise FiguraInputError("truncation psi", str(psi), "a number from -10 to 10, usually 0.5 to 1")
    moved = truncate(ws, w_avg, psi)
    return moved if rows is None else mix_styles(ws, moved, rows)


def mix_styles(ws: Tensor, source: Tensor, rows: Sequence[int]) -> Tensor:
    """``ws`` with ``rows`` taken from ``source`` (both [N, num_ws, w_dim])."""
    check_same_model(ws, source, "style source")
    bad = [row for row in rows if not 0 <= row < ws.shape[1]]
    if bad:
        raise FiguraInputError("style rows", f"row {bad[0]}", f"rows from 0 to {ws.shape[1] - 1}")
    mixed = ws.expand(max(len(ws), len(source)), -1, -1).clone()
    mixed[:, list(rows)] = source[:, list(rows)].to(mixed)
    return mixed


def lerp(a: Tensor, b: Tensor, alpha: float | Tensor) -> Tensor:
    """(1 - alpha) * a + alpha * b, for z, w and ws alike."""
    return (1 - alpha) * a + alpha * b


def slerp(a: Tensor, b: Tensor, alpha: float, threshold: float = 0.9995) -> Tensor:
    """Move along the arc from ``a`` to ``b`` in the last axis; nearly parallel vectors are interpolated
    straight.
    """
    cosine = (torch.nn.functional.normalize(a, dim=-1) * torch.nn.functional.normalize(b, dim=-1)).sum(
        -1, keepdim=True
    )
    angle = torch.arccos(cosine.clamp(-1, 1))
    arc = (torch.sin((1 - alpha) * angle) * a + torch.sin(alpha * angle) * b) / torch.sin(angle)
    return torch.where(cosine.abs() > threshold, lerp(a, b, alpha), arc)


def blend(
    a: Tensor, b: Tensor, factor: float, mode: str = "linear", rows: Sequence[int] | None = None
) -> Tensor:
    """ws ``a`` moved towards ``b`` by ``factor`` (0 stays, 1 arrives), in all rows or in ``rows`` only."""
    check_same_model(a, b)
    if mode not in BLEND_MODES:
        raise FiguraInputError("mode", repr(mode), " or ".join(BLEND_MODES))
    if not math.isfinite(factor):
        raise FiguraInputError("factor", str(factor), "a number, usually 0 to 1")
    moved = lerp(a, b, factor) if mode == "linear" else slerp(a, b, factor)
    return moved if rows is None else mix_styles(a, moved, rows)


def combine(
    a: Tensor, b: Tensor, operation: str, factor: float = 1.0, rows: Sequence[int] | None = None
) -> Tensor:
    """a + factor * b, or a - factor * b, in all rows or in ``rows`` only: sums and differences of latents.

    A difference of two latents is no person but a way from one to the other, to be added to a third.
    """
    check_same_model(a, b)
    if operation not in OPERATIONS:
        raise FiguraInputError("operation", repr(operation), " or ".join(OPERATIONS))
    if not abs(factor) <= 1e4:
        raise FiguraInputError("factor", str(factor), "a number from -10000 to 10000")
    result = a + (factor if operation == "add" else -factor) * b
    return result if rows is None else mix_styles(a, result, rows)


def parse_rows(text: str, num_ws: int) -> list[int] | None:
    """Read rows of ws such as ``0-6`` or ``8,9``; ``all`` (or nothing) gives None."""
    if text.strip().lower() in ("", "all"):
        return None
    rows = parse_seeds(text, limit=num_ws, what="rows")
    if max(rows) >= num_ws:
        raise FiguraInputError("rows", f"row {max(rows)}", f"rows from 0 to {num_ws - 1}")
    return rows


def interpolation_alphas(steps: int) -> list[float]:
    """0, 1/steps, … , 1 - 1/steps: the weights of the released interpolation, which never reaches 1."""
    if steps < 1:
        raise FiguraInputError("interpolation steps", str(steps), "1 or more")
    return [step / steps for step in range(steps)]


def check_same_model(ws: Tensor, other: Tensor, what: str = "second latent") -> None:
    """Raise FiguraInputError unless both belong to generators of one shape and their batches fit."""
    if ws.shape[1:] != other.shape[1:]:
        raise FiguraInputError(
            what, f"{other.shape[1]} rows of {other.shape[2]}", f"{ws.shape[1]} rows of {ws.shape[2]}",
            "Both latents must come from the same model.",
        )  # fmt: skip
    if len(ws) != len(other) and 1 not in (len(ws), len(other)):
        raise FiguraInputError(what, f"a batch of {len(other)}", f"a batch of 1 or {len(ws)}")


def check_ws(ws: Tensor, num_ws: int, w_dim: int, what: str = "latent") -> Tensor:
    """Return ``ws`` as float32 [N, num_ws, w_dim], or raise FiguraInputError; a plain w [N, w_dim] is
    repeated.
    """
    if not isinstance(ws, Tensor) or ws.ndim not in (2, 3):
        came = f"shape {list(ws.shape)}" if isinstance(ws, Tensor) else type(ws).__name__
        raise FiguraInputError(what, came, f"[batch, {num_ws}, {w_dim}]")
    if ws.ndim == 2:
        ws = ws[:, None].expand(-1, num_ws, -1)
    if ws.shape[0] == 0:
        raise FiguraInputError(what, "an empty batch", "at least one latent")
    if ws.shape[1:] != (num_ws, w_dim):
        raise FiguraInputError(
            what, f"{ws.shape[1]} rows of {ws.shape[2]}", f"{num_ws} rows of {w_dim}, as this model takes",
            "It was made with another model; sample it again with this one.",
        )  # fmt: skip
    if not torch.isfinite(ws).all():
        raise FiguraInputError(what, "values that are NaN or infinite", "finite values")
    return ws.float()
