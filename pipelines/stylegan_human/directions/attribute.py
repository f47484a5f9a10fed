"""One number for each picture: by a function of the user's, by text, by labels typed in.

What comes out is what ``fit.fit_direction`` learns from. Pictures are drawn a few at a time and forgotten.
"""

import csv
import math
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path
from typing import cast

import torch
from torch import Tensor

from ...common.errors import FiguraInputError
from ...common.images import to_image
from ...common.progress import Progress, part, silent
from ..generate import synthesize
from ..latents.latents import parse_seeds
from ..networks.generator import Generator

Attribute = Callable[[Tensor], Sequence[float] | Tensor]
"""IMAGE batch [N, H, W, 3] in [0, 1] -> N numbers; NaN where there is none."""


def score_people(
    generator: Generator, ws: Tensor, attribute: Attribute, batch: int = 4, progress: Progress = silent
) -> list[float]:
    """Draw ``ws`` [N, num_ws, w_dim], ``batch`` pictures at a time, and ask ``attribute`` for each."""
    chunks, values = ws.split(batch), []
    for i, chunk in enumerate(chunks):
        images = to_image(synthesize(generator, chunk, progress=part(progress, i, len(chunks))))
        values += numbers(attribute(images), len(images))
    return values


def numbers(answer: Sequence[float] | Tensor, count: int) -> list[float]:
    """``answer`` as ``count`` floats, or FiguraInputError."""
    try:
        values = [float(value) for value in answer]
    except (TypeError, ValueError, RuntimeError) as error:
        raise FiguraInputError(
            "attribute", f"{type(answer).__name__} ({error})", "one number for each picture"
        ) from error
    if len(values) != count:
        raise FiguraInputError("attribute", f"{len(values)} numbers for {count} pictures", "one for each")
    return values


def load_attribute(name: str) -> Attribute:
    """The function that ``module:function`` names; modules of the working directory are found too.

    This runs the user's own code, which is what it is for. On the command line only.
    """
    module, _, function = name.partition(":")
    wanted = "module:function, such as brightness:mean for mean() in brightness.py"
    if not function:
        raise FiguraInputError("attribute", f"'{name}'", wanted)
    sys.path.insert(0, str(Path.cwd()))
    try:
        found = getattr(import_module(module), function)
    except (ImportError, AttributeError, ValueError) as error:
        raise FiguraInputError("attribute", f"'{name}' ({error})", wanted) from error
    finally:
        sys.path.pop(0)
    if not callable(found):
        raise FiguraInputError("attribute", f"'{name}', which is no function", wanted)
    return cast(Attribute, found)


def with_attribute(values: Sequence[float]) -> tuple[Tensor, Tensor]:
    """(which latents have a number [N], which of those show the attribute): amounts part at the median."""
    scores = torch.tensor(values, dtype=torch.float64)
    known = torch.isfinite(scores)
    if not known.any():
        raise FiguraInputError("attribute", "no number at all", "one for each latent")
    scores = scores[known]
    middle = scores.median() if len(scores.unique()) > 2 else scores.mean()
    return known, scores > middle


def area(mask: Tensor) -> list[float]:
    """Mean of each mask [N, H, W]: the share of the picture it covers."""
    if not isinstance(mask, Tensor) or mask.ndim != 3 or 0 in mask.shape:
        came = f"shape {list(mask.shape)}" if isinstance(mask, Tensor) else type(mask).__name__
        raise FiguraInputError("masks", came, "masks of shape [batch, height, width]")
    return mask.float().mean(dim=(1, 2)).tolist()


WORDS = {"yes": 1.0, "true": 1.0, "no": 0.0, "false": 0.0, "": math.nan, "?": math.nan, "nan": math.nan}


def parse_label(word: str) -> float:
    """A number, or yes, no, true, false; nothing or ``?`` is NaN: not known."""
    word = str(word).strip().lower()
    try:
        return WORDS[word] if word in WORDS else float(word)
    except ValueError as error:
        raise FiguraInputError("label", f"'{word[:40]}'", "a number, yes, no, or ? for unknown") from error


def labels_of_seeds(chosen: str, seeds: Sequence[int] | None, count: int) -> list[float]:
    """1 for the latents whose seeds are listed in ``chosen`` (``3,7,9-12``), 0 for the others."""
    if seeds is None or len(seeds) != count:
        raise FiguraInputError(
            "seeds with it", "latents that came from no seeds", "latents of StyleGAN Seed Grid or Sampler",
            "Join numbers or masks instead.",
        )  # fmt: skip
    wanted = set(parse_seeds(chosen, what="seeds with it"))
    if strangers := sorted(wanted - set(seeds)):
        raise FiguraInputError("seeds with it", f"seed {strangers[0]}", "seeds that are among the latents")
    return [float(seed in wanted) for seed in seeds]


def read_labels(path: str | Path, limit: int = 100_000) -> dict[int, float]:
    """Seed -> label from a table with the columns ``seed`` and ``label`` (.csv)."""
    path = Path(path)
    wanted = "a .csv with the columns seed and label"
    try:
        with open(path, encoding="utf-8", newline="") as file:
            lines = list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise FiguraInputError(path.name, f"a file that cannot be read ({error})", wanted) from error
    if not lines or not {"seed", "label"} <= set(lines[0]) or len(lines) > limit:
        raise FiguraInputError(path.name, f"{len(lines)} lines", f"{wanted}, at most {limit} lines")
    found: dict[int, float] = {}
    for line in lines:
        (seed,) = parse_seeds(str(line["seed"]), limit=1, what=f"{path.name}, seed")
        found[seed] = parse_label(line["label"])
    return found


def mean_rows(ws: Tensor, rows: Sequence[int] | None) -> Tensor:
    """One w [N, w_dim] for each latent: the mean of its ``rows`` (all when None)."""
    return (ws if rows is None else ws[:, list(rows)]).mean(dim=1)


def on_square(images: Tensor, size: int) -> Tensor:
    """IMAGE [N, H, W, 3] on a white square, scaled to [N, 3, size, size]; nothing is cut off."""
    pixels = images.movedim(-1, 1)
    height, width = pixels.shape[2:]
    side = max(height, width)
    left, top = (side - width) // 2, (side - height) // 2
    padding = (left, side - width - left, top, side - height - top)
    square = torch.nn.functional.pad(pixels, padding, value=1.0)
    return torch.nn.functional.interpolate(
        square, size=(size, size), mode="bicubic", antialias=True, align_corners=False
    ).clamp(0, 1)
