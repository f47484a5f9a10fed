"""How right readings are: against the truth of renders, or against the captions that were asked for."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from ...common import feature_distances as distances
from ...common.errors import FiguraInputError
from ...common.feature_distances import Moments
from ..palette import CLOTHES, HAIR, WALLS
from .configs import HELD_OUT_SEED
from .data import WORLDS, Figures
from .networks import HEIGHT
from .reading import Reader, Reading
from .targets import COLORED, IGNORED, KINDS, PARTS, REGIONS, Target

CLOTHES_SLOTS = ("top", "bottom", "shoes")
PCK_PIXELS = 5.0  # at a height of 128
LIMBS = slice(5, 17)


@dataclass(frozen=True)
class Asked:
    """What a short caption asks for."""

    colors: dict[str, str] = field(default_factory=dict)
    kinds: dict[str, str] = field(default_factory=dict)


def parse_caption(text: str) -> Asked:
    """Read a short caption (captions.short_caption) back into colours and kinds; other words are passed
    over."""
    colors: dict[str, str] = {}
    kinds: dict[str, str] = {}
    if found := re.search(rf"\b(short|long) ({'|'.join(HAIR)}) hair\b", text):
        kinds["hair"], colors["hair"] = found.groups()
    if found := re.search(r"\ba (woman|man)\b", text):
        kinds["person"] = found.group(1)
    for slot in CLOTHES_SLOTS:
        if found := re.search(rf"\b({'|'.join(CLOTHES)}) ({'|'.join(KINDS[slot])})\b", text):
            colors[slot], kinds[slot] = found.groups()
    if found := re.search(rf"\ba ({'|'.join(WALLS)}) wall\b", text):
        colors["wall"] = found.group(1)
    return Asked(colors, kinds)


def caption_scores(readings: Sequence[Reading], captions: Sequence[str]) -> dict[str, float]:
    """Shares of what was asked that is read.

    ``color_<slot>``, ``kind_<slot>``; ``clothes_colors`` the mean over top, bottom and shoes (chance .125);
    ``all_three`` pictures with all three right; ``swapped`` how often a garment bears the colour asked for
    another one (where the two were asked to differ).
    """
    if len(readings) != len(captions) or not readings:
        raise FiguraInputError("captions", f"{len(captions)} for {len(readings)} pictures", "one per picture")
    hits: dict[str, list[bool]] = {}
    swapped: list[bool] = []
    whole: list[bool] = []
    for reading, asked in zip(readings, map(parse_caption, captions), strict=True):
        for slot, color in asked.colors.items():
            hits.setdefault(f"color_{slot}", []).append(reading.colors.get(slot) == color)
        for slot, kind in asked.kinds.items():
            hits.setdefault(f"kind_{slot}", []).append(reading.kinds[slot] == kind)
        clothes = {slot: asked.colors[slot] for slot in CLOTHES_SLOTS if slot in asked.colors}
        whole.append(all(reading.colors.get(slot) == color for slot, color in clothes.items()))
        for slot, color in clothes.items():
            others = set(clothes.values()) - {color}
            if others:
                swapped.append(reading.colors.get(slot) in others)
    scores = {name: float(np.mean(found)) for name, found in sorted(hits.items())}
    means = [scores[f"color_{slot}"] for slot in CLOTHES_SLOTS if f"color_{slot}" in scores]
    scores["clothes_colors"] = float(np.mean(means)) if means else 0.0
    scores["all_three"] = float(np.mean(whole))
    scores["swapped"] = float(np.mean(swapped)) if swapped else 0.0
    return scores


def pck(found: np.ndarray, wanted: np.ndarray, height: int, pixels: float = PCK_PIXELS) -> np.ndarray:
    """Whether each joint [N, 17] lies within ``pixels`` (at a height of 128) of where it should; NaN outside.

    Args:
        found, wanted: [N, 17, 3]; joints with ``wanted`` flag 0 lie outside the picture and do not count.
        height: of the pictures.
    """
    distance = np.linalg.norm(found[..., :2] - wanted[..., :2], axis=-1) * HEIGHT / height
    return np.where(wanted[..., 2] > 0, distance <= pixels, np.nan)


def truth_scores(readings: Sequence[Reading], truths: Sequence[Target]) -> dict[str, float]:
    """Accuracy against rendered truth: colours, kinds, ``pck``, ``pck_limbs``, ``iou_<region>``,
    ``iou_figure``, and ``iou_mean`` over the merged regions."""
    scores: dict[str, float] = {}
    for slot in COLORED:
        pairs = [
            (r.colors.get(slot), t.colors[slot])
            for r, t in zip(readings, truths, strict=True)
            if slot in t.colors
        ]
        if pairs:
            scores[f"color_{slot}"] = float(np.mean([found == wanted for found, wanted in pairs]))
    means = [scores[f"color_{slot}"] for slot in CLOTHES_SLOTS]
    scores["clothes_colors"] = float(np.mean(means))
    scores["all_three"] = float(
        np.mean([all(r.colors.get(s) == t.colors[s] for s in CLOTHES_SLOTS if s in t.colors)
                 for r, t in zip(readings, truths, strict=True)])
    )  # fmt: skip
    for index, name in enumerate(KINDS):
        known = [(r.kinds[name], KINDS[name][t.kinds[index]])
                 for r, t in zip(readings, truths, strict=True) if t.kinds[index] != IGNORED]  # fmt: skip
        if known:
            scores[f"kind_{name}"] = float(np.mean([found == wanted for found, wanted in known]))
    height = truths[0].parts.shape[0]
    hits = pck(np.stack([r.keypoints for r in readings]), np.stack([t.points for t in truths]), height)
    scores["pck"], scores["pck_limbs"] = float(np.nanmean(hits)), float(np.nanmean(hits[:, LIMBS]))
    return scores | _overlaps([r.parts for r in readings], [t.parts for t in truths])


def _overlaps(found: list[np.ndarray], wanted: list[np.ndarray]) -> dict[str, float]:
    """Intersection over union of each merged region, over all pictures together."""
    one, two = np.stack(found), np.stack(wanted)
    scores = {}
    for region, names in REGIONS.items():
        labels = [PARTS.index(name) for name in names]
        a, b = np.isin(one, labels), np.isin(two, labels)
        if b.any():
            scores[f"iou_{region}"] = float((a & b).sum() / (a | b).sum())
    scores["iou_mean"] = float(np.mean(list(scores.values())))
    scores["iou_figure"] = float(((one > 0) & (two > 0)).sum() / ((one > 0) | (two > 0)).sum())
    return scores


def held_out(count: int, world: int = 0, size: tuple[int, int] | None = None) -> tuple[Tensor, list[Target]]:
    """Pixels [count, 3, H, W] and truth of figures that no reader was trained on. ``world``: 0 standing,
    1 lively, 2 fully dressed (data.WORLDS)."""
    from dataclasses import replace

    config = WORLDS[world] if size is None else replace(WORLDS[world], height=size[0], width=size[1])
    figures = Figures(HELD_OUT_SEED, (config,))
    pairs = [figures[index] for index in range(count)]
    pixels = torch.from_numpy(np.stack([image for image, _ in pairs])).permute(0, 3, 1, 2).float() / 127.5 - 1
    return pixels, [target for _, target in pairs]


def round_trip_scores(
    reader: Reader, through: Callable[[Tensor], Tensor], count: int = 240, world: int = 0, batch: int = 16
) -> dict[str, float]:
    """Accuracy on held-out figures sent through ``through`` (pixels to pixels, e.g. a VAE there and back):
    the ceiling of whatever is generated behind it. The gate of the demo VAE: clothes_colors >= .95."""
    pixels, truths = held_out(count, world)
    with torch.no_grad():
        passed = torch.cat([through(chunk).float().cpu() for chunk in pixels.split(batch)])
    return truth_scores(reader.read(passed.clamp(-1, 1)), truths)


def accuracy(reader: Reader, count: int = 240) -> dict[str, float]:
    """The reader's own accuracy: ``sharp_…`` on renders, ``soft_…`` and ``softer_…`` on renders blurred
    by 1.2 and 2 pixels, ``half_…`` on renders of half the size, ``lively_…`` and ``dressed_…`` on the other
    worlds."""
    from .softening import blurred

    results = {}
    for name, world, size, change in (
        ("sharp", 0, None, None),
        ("soft", 0, None, lambda pixels: blurred(pixels, 1.2)),
        ("softer", 0, None, lambda pixels: blurred(pixels, 2.0)),
        ("half", 0, (64, 32), None),
        ("lively", 1, None, None),
        ("dressed", 2, None, None),
    ):
        pixels, truths = held_out(count, world, size)
        readings = reader.read(change(pixels) if change else pixels)
        if size is not None:  # masks are compared at the reader's own size
            truths = [_enlarged(truth) for truth in truths]
            readings = [_rescaled(reading, HEIGHT / size[0]) for reading in readings]
        results |= {f"{name}_{key}": value for key, value in truth_scores(readings, truths).items()}
    return results


def _enlarged(truth: Target) -> Target:
    from dataclasses import replace

    factor = HEIGHT // truth.parts.shape[0]
    points = truth.points.copy()
    points[:, :2] = (points[:, :2] + 0.5) * factor - 0.5
    return replace(truth, parts=truth.parts.repeat(factor, 0).repeat(factor, 1), points=points)


def _rescaled(reading: Reading, factor: float) -> Reading:
    from dataclasses import replace

    points = reading.keypoints.copy()
    points[:, :2] = (points[:, :2] + 0.5) * factor - 0.5
    return replace(reading, keypoints=points)


def attribute_fit(reader: Reader, count: int = 240, world: int = 2) -> dict[str, float]:
    """Share of each attribute's variance that the attribute network explains on held-out figures (R2)."""
    from .targets import ATTRIBUTES

    pixels, truths = held_out(count, world)
    found = reader.attributes_of(pixels).cpu().numpy()
    wanted = np.stack([truth.attributes for truth in truths])
    spread = ((wanted - wanted.mean(0)) ** 2).sum(0)
    fit = 1 - ((found - wanted) ** 2).sum(0) / np.maximum(spread, 1e-9)
    return {name: float(value) for name, value, s in zip(ATTRIBUTES, fit, spread, strict=True) if s > 1e-6}


def frechet_distance(first: np.ndarray, second: np.ndarray) -> float:
    """Fréchet distance of two sets of features [N, D], each taken as a Gaussian (Heusel et al. 2017,
    eq. 6)."""
    if min(len(first), len(second)) < 2 or first.shape[1] != second.shape[1]:
        raise FiguraInputError(
            "features", f"{first.shape} and {second.shape}", "[N, D] and [M, D], N and M over 1"
        )
    distance = distances.frechet_distance(Moments.of(first, unbiased=True), Moments.of(second, unbiased=True))
    return max(0.0, distance)


def render_distance(reader: Reader, count: int = 1500, world: int = 2) -> dict[str, float]:
    """The scale of Fréchet distances on this reader's features: two sets of ``count`` renders against each
    other, and one of them blurred by 2 pixels."""
    from .softening import blurred

    pixels, _ = held_out(2 * count, world)
    one, two = reader.features(pixels[:count]).cpu().numpy(), reader.features(pixels[count:]).cpu().numpy()
    soft = reader.features(blurred(pixels[:count], 2.0)).cpu().numpy()
    return {"frechet_renders": frechet_distance(one, two), "frechet_blurred": frechet_distance(soft, two)}
