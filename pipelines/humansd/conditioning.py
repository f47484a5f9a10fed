"""The skeleton as the UNet sees it: a latent, how strongly it counts, and for which part of the steps.

The empty skeleton is a black picture: what the network was shown where nobody stands.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ..common.errors import FiguraInputError
from .canvas import on_canvas

Encode = Callable[[Tensor], Tensor]  # IMAGE [B, H, W, 3] in [0, 1] -> latents [B, 4, H/8, W/8]
GAP = 1e-6  # between neighbouring ranges, so that no step falls into both
MAX_STRENGTH = 2.0


@dataclass(frozen=True)
class Segment:
    """A part of the steps, ``start`` to ``end`` (0 noisiest, 1 cleanest), and whether the skeleton counts."""

    start: float
    end: float
    active: bool


def segments(start: float, end: float) -> list[Segment]:
    """Split the steps at ``start`` and ``end``; the skeleton counts between them."""
    if not 0 <= start < end <= 1:
        raise FiguraInputError(
            "start and end", f"{start:g} to {end:g}", "0 <= start < end <= 1",
            "Raise the end, or lower the start."
        )  # fmt: skip
    parts = [Segment(start, end, True)]
    if start > 0:
        parts.insert(0, Segment(0.0, max(0.0, start - GAP), False))
    if end < 1:
        parts.append(Segment(min(1.0, end + GAP), 1.0, False))
    return parts


def overlap(part: Segment, start: float, end: float) -> Segment | None:
    """What of ``part`` lies between ``start`` and ``end``, or None."""
    low, high = max(part.start, start), min(part.end, end)
    return Segment(low, high, part.active) if low < high else None


@dataclass(frozen=True)
class SkeletonLatents:
    """``pose`` [B, 4, h, w] as the UNet is to see it; ``empty`` [1, 4, h, w] outside its range, if used."""

    pose: Tensor
    empty: Tensor | None


def check_strength(strength: float) -> None:
    """Refuse a strength of the skeleton that it was never meant for."""
    if not 0 <= strength <= MAX_STRENGTH:
        raise FiguraInputError("strength", f"{strength:g}", f"0 to {MAX_STRENGTH:g}")


def encode_skeleton(encode: Encode, skeleton: Tensor, strength: float, always: bool) -> SkeletonLatents:
    """Encode skeleton pictures with the model's own VAE.

    Args:
        skeleton: IMAGE [B, H, W, C]; sides are brought to the nearest multiples of 64 before encoding.
        strength: 1 as drawn, 0 as an empty picture, between them a straight mix of the two latents.
        always: whether the skeleton counts in all steps; else the empty latent comes along.
    """
    check_strength(strength)
    picture = on_canvas(skeleton)
    pose = encode(picture)
    if strength == 1 and always:
        return SkeletonLatents(pose, None)
    empty = encode(torch.zeros_like(picture[:1]))
    return SkeletonLatents(empty + strength * (pose - empty) if strength != 1 else pose, empty)


def repeat_rows(latents: Tensor, count: int) -> Tensor:
    """Skeletons for ``count`` pictures: one for all, or in turn; a batch that does not fit is refused."""
    if count % len(latents):
        raise FiguraInputError(
            "skeleton", f"{len(latents)} skeletons for {count} pictures", "one, or as many as pictures",
            "Connect the latent of HumanSD Apply Skeleton to the sampler.",
        )  # fmt: skip
    return latents.repeat(count // len(latents), 1, 1, 1)


def with_added(prompt: str, added: str) -> str:
    """The prompt with the added words behind it, as the released scripts join them."""
    return ", ".join(part for part in (prompt.strip(), added.strip()) if part)


def check_prompts(prompts: Sequence[str]) -> None:
    """An empty prompt is allowed to a sampler but almost always a mistake: refuse it on the command line."""
    if not any(prompt.strip() for prompt in prompts):
        raise FiguraInputError("prompt", "an empty text", "what to paint")
