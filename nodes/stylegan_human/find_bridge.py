"""From a graph's numbers, masks and seeds to directions."""

import torch
from comfy.model_patcher import ModelPatcher
from torch import Tensor

from ...pipelines.common.errors import FiguraInputError
from ...pipelines.common.seeds import batch_seeds
from ...pipelines.stylegan_human.directions.attribute import (
    area,
    labels_of_seeds,
    mean_rows,
    parse_label,
    score_people,
    with_attribute,
)
from ...pipelines.stylegan_human.directions.clip_score import TextContrast, load_clip
from ...pipelines.stylegan_human.directions.fit import fit_direction
from ...pipelines.stylegan_human.directions.style_space import strongest_channels, styles_of
from ...pipelines.stylegan_human.latents.edit import EVERY_ROW, Edit
from ...pipelines.stylegan_human.latents.latent_file import Latents
from ...pipelines.stylegan_human.latents.latents import check_same_model, check_ws, parse_rows
from .. import host
from .bridge import check, check_edit_value, sample
from .folders import CLIP


def first(given: list | None, default):
    """The value of an optional widget of a node that takes lists."""
    return given[0] if given else default


def joined(given: list) -> Latents:
    """One batch of all latents that came, with their seeds where all have some."""
    latents = [check(one, "latents") for one in given]
    for other in latents[1:]:
        check_same_model(latents[0].ws[:1], other.ws[:1])
    seeds = [seed for one in latents for seed in one.seeds or ()]
    ws = torch.cat([one.ws for one in latents])
    return Latents(ws, tuple(seeds) if len(seeds) == len(ws) else None)


def values(people: Latents, chosen: list[str], numbers: list | None, masks: list | None) -> list[float]:
    """One number for each latent, from the one of three ways that was used."""
    picked, count = chosen[0].strip(), len(people.ws)
    ways = {"seeds_with_it": picked, "numbers": numbers is not None, "masks": masks is not None}
    used = [way for way, given in ways.items() if given]
    if len(used) != 1:
        raise FiguraInputError("attribute", " and ".join(used) or "nothing", "one of " + ", ".join(ways))
    if picked:
        return labels_of_seeds(picked, people.seeds, count)
    found = (
        _numbers(numbers) if numbers is not None else [value for mask in masks or [] for value in area(mask)]
    )
    if len(found) != count:
        raise FiguraInputError(used[0], f"{len(found)} for {count} latents", "one for each latent, in order")
    return found


def _numbers(given: list) -> list[float]:
    """A list of numbers or words as it came, or one text with all of them."""
    flat = [value for item in given for value in (item if isinstance(item, list | tuple) else [item])]
    if len(flat) == 1 and isinstance(flat[0], str):
        flat = flat[0].replace(",", " ").replace(";", " ").split()
    return [parse_label(value) for value in flat]


def sampled(patcher: ModelPatcher, seed: int, count: int, psi: float) -> Latents:
    """Latents of ``seed``, ``seed`` + 1, …"""
    return sample(patcher, batch_seeds(seed, count), psi, 0)


def likeness(patcher: ModelPatcher, people: Latents, clip: str, text: str, versus: str) -> list[float]:
    """How much more each looks like ``text`` than like ``versus``."""
    generator = host.on_device(patcher)
    model = host.as_patcher(load_clip(host.model_path(CLIP, clip)))
    contrast = TextContrast(host.on_device(model), text, versus)
    progress = host.NodeProgress(len(people.ws) * generator.synthesis.num_steps)
    return score_people(generator, people.ws, contrast, progress=progress)


def fitted(
    people: Latents,
    numbers: list[float],
    rows: str,
    others: list,
    method: str = "auto",
    extremes: float = 1.0,
    name: str = "fitted",
) -> tuple[Edit, float, str]:
    """The direction as an edit, its score, and the report."""
    chosen = parse_rows(rows, people.ws.shape[1])
    kept_out = [vector for edit in others for vector in _vectors(check_edit_value(edit))]
    fit = fit_direction(mean_rows(people.ws, chosen), numbers, method, extremes, kept_out)
    return fit.edit(chosen or [EVERY_ROW], name), fit.score, fit.report()


def _vectors(edit: Edit) -> list[Tensor]:
    if edit.styles or not edit.rows:
        raise FiguraInputError("keep_out", f"edit '{edit.name}', which moves styles", "a direction of w")
    return list(edit.rows.values())


def channels(
    patcher: ModelPatcher, people: Latents, numbers: list[float], count: int, layer: int
) -> tuple[Edit, str]:
    """An edit of the channels that tell the attribute best, and a line for each; amounts: the upper half."""
    known, chosen = with_attribute(numbers)
    generator = host.on_device(patcher)
    ws = check_ws(people.ws, generator.config.num_ws, generator.config.w_dim)[known]
    edit, best = strongest_channels(styles_of(generator, ws), chosen, count, None if layer < 0 else layer)
    return edit, "\n".join(f"style {i}, channel {channel}: {score:+.2f}" for i, channel, score in best)


def difference(without: Latents, with_it: Latents, rows: str) -> Edit:
    """The way from the mean of some people to the mean of others, row by row."""
    check_same_model(without.ws[:1], with_it.ws[:1], "with_it")
    every = range(without.ws.shape[1])
    chosen = parse_rows(rows, len(every)) or every
    way = with_it.ws.mean(dim=0) - without.ws.mean(dim=0)
    return Edit("difference", rows={row: way[row].clone() for row in chosen})
