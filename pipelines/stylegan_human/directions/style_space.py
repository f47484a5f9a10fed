"""StyleSpace (Wu, Lischinski and Shechtman 2021): which channels of which style carry an attribute.

Styles of many latents at once, and, from those with and without the attribute, how far each channel's mean
lies from the population's, in standard deviations (their section 4, "attribute-specific channels").
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from ...common.errors import FiguraInputError
from ...common.progress import Progress, silent
from ..latents.edit import Edit, style_layers
from ..latents.latents import check_ws
from ..networks.generator import Generator, device_of


@torch.no_grad()
def styles_of(
    generator: Generator, ws: Tensor, batch: int = 256, progress: Progress = silent
) -> list[Tensor]:
    """Styles s_0, s_1, … [N, C_i] of ws [N, num_ws, w_dim] on the CPU, those of ``style_layers`` alone."""
    config, synthesis = generator.config, generator.synthesis
    ws = check_ws(ws, config.num_ws, config.w_dim)
    wanted = set(style_layers(synthesis))
    slots = [slot for slot in synthesis.slots if slot.name in wanted]
    chunks = ws.split(batch)
    parts: list[list[Tensor]] = [[] for _ in slots]
    for done, chunk in enumerate(chunks, 1):
        chunk = chunk.to(device_of(generator))
        for found, slot in zip(parts, slots, strict=True):
            found.append(synthesis.style(slot, chunk[:, slot.row]).flatten(1).cpu())
        progress(done, len(chunks))
    return [torch.cat(found) for found in parts]


def channel_scores(styles: Sequence[Tensor], chosen: Tensor) -> list[Tensor]:
    """For each style [N, C]: (mean of the ``chosen`` [N] bool - mean of all) / deviation of all, [C]."""
    count = int(chosen.sum())
    if not 2 <= count <= len(chosen) - 2:
        raise FiguraInputError("labels", f"{count} of {len(chosen)} with the attribute", "2 with, 2 without")
    return [
        (style[chosen].mean(dim=0) - style.mean(dim=0)) / style.std(dim=0).clamp_min(1e-8) for style in styles
    ]


def strongest_channels(
    styles: Sequence[Tensor], chosen: Tensor, count: int = 5, layer: int | None = None, name: str = "channels"
) -> tuple[Edit, list[tuple[int, int, float]]]:
    """An edit that shifts the ``count`` channels that tell the attribute best.

    At strength 1 each moves from the mean of those without to the mean of those with. ``layer``: look in one
    style only. Also returns (style, channel, score) of each, best first.
    """
    if layer is not None and not 0 <= layer < len(styles):
        raise FiguraInputError("style layer", str(layer), f"0 to {len(styles) - 1}")
    if not 1 <= count <= 4096:
        raise FiguraInputError("channels", str(count), "1 to 4096")
    scores = channel_scores(styles, chosen)
    places = [
        (i, channel, float(value))
        for i, found in enumerate(scores) if layer in (None, i) for channel, value in enumerate(found)
    ]  # fmt: skip
    best = sorted(places, key=lambda place: -abs(place[2]))[:count]
    vectors: dict[int, Tensor] = {}
    for i, channel, _ in best:
        style = styles[i][:, channel]
        vector = vectors.setdefault(i, torch.zeros(styles[i].shape[1]))
        vector[channel] = style[chosen].mean() - style[~chosen].mean()
    return Edit(name, styles=vectors), best
