"""Where a caption's body groups look in the picture, and moving them: HOLA's maps used at inference.

Reading averages the maps of training's layers over heads and a group's tokens. Refocus adds
``weight * (2 mask - 1)`` to the logits of a group's tokens, so that they are drawn to the mask; no training.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from ..common.errors import FiguraInputError
from ..common.text import MAX_TOKENS
from .captions import Caption, Span
from .hola import attention_columns, layer_targets, selector, tokens_of

Block = tuple[str, int, int]  # "input" or "output", its number, the layer in its stack


def watched_blocks(unet_config: dict[str, Any]) -> list[Block]:
    """The cross-attention layers at half the latents' resolution (training's), under LDM's block numbers."""
    res = unet_config["num_res_blocks"]
    depth, depth_out = unet_config["transformer_depth"], unet_config["transformer_depth_output"]
    if len(res) < 2:
        return []
    blocks: list[Block] = []
    first = 2 + res[0]  # conv_in, level 0, its downsampler
    for i in range(res[1]):
        blocks += [("input", first + i, layer) for layer in range(depth[res[0] + i])]
    total = sum(count + 1 for count in res)
    low = res[0] + 1
    for place in reversed(range(low, low + res[1] + 1)):
        blocks += [("output", total - 1 - place, layer) for layer in range(depth_out[place])]
    return blocks


def group_named(caption: Caption, name: str) -> Span:
    """The tokens of a group, by its name or its words; FiguraInputError where there is none, or no place."""
    found = [group for group in caption.groups if name in (group.name, group.text)]
    if not found:
        known = ", ".join(f"{group.name} ({group.text})" for group in caption.groups)
        raise FiguraInputError("group", repr(name), f"a group of the caption: {known}")
    if found[0].span is None:
        raise FiguraInputError(
            "group", f"'{found[0].text}', which does not occur exactly once in the caption",
            "words that stand in one place of the first 77 tokens", "Say it in other words.",
        )  # fmt: skip
    return found[0].span


@dataclass
class Maps:
    """Sums the maps of every group over the layers seen; ``mean`` gives [G, rows, columns] in [0, 1]."""

    spans: Sequence[Span | None]
    total: dict[tuple[int, int], Tensor] = field(default_factory=dict)
    count: int = 0

    def see(self, query: Tensor, key: Tensor, rows: int, columns: int) -> None:
        """Add a layer: q, k [B, heads, ., d] of the prompt's half of the batch; the window of 77 first."""
        if not tokens_of(self.spans):
            return
        spans = [self.spans] * query.shape[0]
        values = F.pad(selector(spans, query), (0, 0, 0, key.shape[-2] - MAX_TOKENS))
        mean = attention_columns(query, key, values).float().mean(dim=(0, 1))  # [N, T]
        start, maps = 0, []
        for span in self.spans:
            length = span[1] - span[0] if span else 0
            own = mean[:, start : start + length].mean(dim=1) if length else mean.new_zeros(mean.shape[0])
            maps.append(own.reshape(rows, columns).cpu())
            start += length
        place = (rows, columns)
        self.total[place] = self.total.get(place, torch.zeros(len(maps), rows, columns)) + torch.stack(maps)
        self.count += 1

    def mean(self) -> Tensor:
        """[G, rows, columns], a group's strongest place 1; zero for a group that has no place."""
        if not self.total:
            raise FiguraInputError("caption", "no group with a place of its own", "groups that occur once")
        (total,) = self.total.values()
        return total / total.flatten(1).amax(dim=1).clamp_min(1e-12)[:, None, None]


@dataclass(frozen=True)
class Focus:
    """One group drawn to a mask: its tokens, mask [B, H, W], weight, and the noise levels where it acts."""

    span: Span
    mask: Tensor
    weight: float
    sigma_start: float
    sigma_end: float


def focus_bias(focuses: Sequence[Focus], sigma: float, rows: int, columns: int, keys: int) -> Tensor | None:
    """What to add to the logits [B, rows * columns, keys] at this noise level; None for nothing."""
    acting = [focus for focus in focuses if focus.sigma_end <= sigma <= focus.sigma_start]
    if not acting:
        return None
    batch = max(focus.mask.shape[0] for focus in acting)
    bias = torch.zeros(batch, rows * columns, keys)
    for focus in acting:
        target = layer_targets(focus.mask[:, None], rows, columns).flatten(1)  # [B, N]
        bias[..., focus.span[0] : focus.span[1]] += focus.weight * (2 * target - 1)[..., None]
    return bias


def biased_attention(query: Tensor, key: Tensor, value: Tensor, bias: Tensor) -> Tensor:
    """Attention [B, heads, N, d] with a bias [B', N, keys] on the logits; B a multiple of B', or B' = 1."""
    repeat = -(-query.shape[0] // bias.shape[0])
    spread = bias.repeat(repeat, 1, 1)[: query.shape[0], None].to(query)
    return F.scaled_dot_product_attention(query, key, value, attn_mask=spread)
