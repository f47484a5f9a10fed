"""HOLA, CosmicMan's training loss: cross-attention of a body group's tokens drawn to the group's own pixels.

The maps are those of the layers at half the latents' resolution (stride 16). Only the columns of the groups'
tokens are computed, by one more call of the fused attention kernel whose values are a one-hot selector: it
returns softmax(Q K^T)[:, tokens] itself, so no full map is ever stored.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..common.text import MAX_TOKENS
from .captions import Span

STRIDE = 16  # pixels per query position of the layers used
Form = Literal["code", "paper"]
Spans = Sequence[Sequence[Span | None]]


def grid(height: int, width: int, stride: int = STRIDE) -> tuple[int, int]:
    """Rows and columns of the layers used for a picture of this size; halves are rounded to even."""
    return round(height / stride), round(width / stride)


def uses_layer(queries: int, keys: int, height: int, width: int, stride: int = STRIDE) -> bool:
    """Whether a cross-attention layer takes part: its queries are the grid, its keys one window of CLIP."""
    rows, columns = grid(height, width, stride)
    return keys == MAX_TOKENS and queries == rows * columns


def layer_targets(masks: Tensor, rows: int, columns: int) -> Tensor:
    """Masks [B, G, H, W] brought down to a layer, bilinear without antialiasing: [B, G, rows, columns]."""
    return F.interpolate(masks.float(), size=(rows, columns), mode="bilinear", align_corners=False)


def tokens_of(spans: Sequence[Span | None]) -> list[int]:
    """The token positions of all groups of one sample, group by group."""
    return [token for span in spans if span for token in range(*span)]


def selector(spans: Spans, like: Tensor) -> Tensor:
    """One-hot values [B, 77, T] that pick every sample's group tokens; short ones padded with zeros."""
    tokens = [tokens_of(sample) for sample in spans]
    longest = max(map(len, tokens))
    width = -(-longest // 8) * 8  # fused kernels want head sizes of multiples of 8
    values = torch.zeros(len(tokens), MAX_TOKENS, width, dtype=like.dtype, device=like.device)
    for row, sample in enumerate(tokens):
        values[row, sample, range(len(sample))] = 1
    return values


def attention_columns(query: Tensor, key: Tensor, values: Tensor, scale: float | None = None) -> Tensor:
    """softmax(Q K^T scale) of the selected tokens only: [B, heads, N, T] from q, k [B, heads, ., d]."""
    spread = values[:, None].expand(-1, query.shape[1], -1, -1)
    return F.scaled_dot_product_attention(query, key, spread, scale=scale)


def sample_loss(
    columns: Tensor, spans: Sequence[Span | None], targets: Tensor, form: Form = "code"
) -> Tensor:
    """The loss of one sample in one layer, per head.

    Args:
        columns: [heads, N, T], the maps of the groups' tokens, group by group.
        spans: one per group; None takes no part.
        targets: [G, N] in [0, 1].
        form: ``code`` averages over all columns, a group's mean being one more column of it, as the released
            code; ``paper`` sums a group's columns and averages over groups.
    """
    total = columns.new_zeros(columns.shape[0], dtype=torch.float32)
    start = count = groups = 0
    for span, target in zip(spans, targets, strict=True):
        if span is None:
            continue
        length = span[1] - span[0]
        own = columns[..., start : start + length].float()
        own = torch.cat([own, own.mean(dim=-1, keepdim=True)], dim=-1)
        total = total + (own - target[None, :, None]).square().mean(dim=1).sum(dim=-1)
        start, count, groups = start + length, count + length + 1, groups + 1
    return total / (count if form == "code" else groups)


def layer_loss(columns: Tensor, spans: Spans, targets: Tensor, form: Form = "code") -> dict[int, Tensor]:
    """The loss per head of every sample that has a group: ``{sample: [heads]}``."""
    flat = targets.flatten(2)
    return {
        row: sample_loss(columns[row], spans[row], flat[row], form)
        for row in range(len(spans))
        if any(spans[row])
    }


def merge(layers: Sequence[dict[int, Tensor]]) -> Tensor | None:
    """Mean over layers and heads, then over the samples that have a group; None where none has."""
    samples = sorted({row for layer in layers for row in layer})
    if not samples:
        return None
    means = [torch.cat([layer[row] for layer in layers if row in layer]).mean() for row in samples]
    return torch.stack(means).mean()


@dataclass
class Watch:
    """What the watched layers leave during one forward pass."""

    masks: Tensor
    """[B, G, H, W] in {0, 1}, at the size of the picture."""
    spans: Spans
    stride: int = STRIDE
    form: Form = "code"
    keep_columns: bool = False
    layers: dict[str, dict[int, Tensor]] = field(default_factory=dict)
    """Layer -> sample -> loss per head, in the order of the calls."""
    columns: dict[str, Tensor] = field(default_factory=dict)
    """Layer -> [B, heads, N, T], only with ``keep_columns``."""

    def see(self, name: str, query: Tensor, key: Tensor, scale: float | None = None) -> None:
        """Called by a layer with its projected q, k [B, heads, ., d]; does nothing where it takes no part."""
        height, width = self.masks.shape[-2:]
        if not any(map(any, self.spans)):
            return
        if not uses_layer(query.shape[-2], key.shape[-2], height, width, self.stride):
            return
        columns = attention_columns(query, key, selector(self.spans, query), scale)
        targets = layer_targets(self.masks, *grid(height, width, self.stride))
        self.layers[name] = layer_loss(columns, self.spans, targets, self.form)
        if self.keep_columns:
            self.columns[name] = columns.detach()

    def loss(self) -> Tensor:
        """L_HOLA of what was seen; 0 where nothing took part."""
        merged = merge(list(self.layers.values()))
        return self.masks.new_zeros((), dtype=torch.float32) if merged is None else merged


class _Processor:
    """Cross-attention of diffusers, that shows its q and k to the watch of the moment."""

    def __init__(self, name: str, watch: Watch) -> None:
        self.name, self.watch = name, watch

    def __call__(
        self, attn: Any, hidden_states: Tensor, encoder_hidden_states: Tensor | None = None,
        attention_mask: Tensor | None = None, *args: Any, **kwargs: Any,
    ) -> Tensor:  # fmt: skip
        context = hidden_states if encoder_hidden_states is None else encoder_hidden_states
        query, key, value = (
            part.unflatten(-1, (attn.heads, -1)).transpose(1, 2)
            for part in (attn.to_q(hidden_states), attn.to_k(context), attn.to_v(context))
        )
        self.watch.see(self.name, query, key, attn.scale)
        out = F.scaled_dot_product_attention(query, key, value, attn_mask=attention_mask, scale=attn.scale)
        return attn.to_out[1](attn.to_out[0](out.transpose(1, 2).flatten(2)))


@contextmanager
def watching(unet: nn.Module, watch: Watch) -> Iterator[Watch]:
    """Let the cross-attention of a diffusers UNet report to ``watch``; restored when the block ends.

    Self-attention is left alone: its maps are never used.
    """
    layers: list[tuple[str, Any]] = [(n, m) for n, m in unet.named_modules() if n.endswith("attn2")]
    before = [module.processor for _, module in layers]
    try:
        for name, module in layers:
            module.processor = _Processor(name, watch)
        yield watch
    finally:
        for (_, module), processor in zip(layers, before, strict=True):
            module.processor = processor
