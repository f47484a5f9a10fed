"""The bank: what the reference UNet saw of each part, kept only where the part's mask is not zero.

The reference UNet runs once per part, on the clean latents, at timestep 0, with the part's label as its
prompt. At each of the 16 transformer blocks the input of self-attention (the output of ``norm1``) is
multiplied by the mask and kept (paper section 3.3).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from .attention import References, split_heads
from .parts import MAX_PARTS, level_mask


@dataclass
class PartFeatures:
    """One part's features. Blocks are named as in diffusers, ``down_blocks.0.attentions.0`` and so on."""

    label: str
    weight: float
    mask: Tensor
    """[1, 1, H, W] at the output's size."""
    kept: dict[str, Tensor] = field(default_factory=dict)
    """Per block [1, M, C]: features times mask, of the M tokens where the mask is not zero."""
    levels: dict[int, Tensor] = field(default_factory=dict)
    """Per number of tokens N the mask of that level, [N]."""
    tokens: dict[str, int] = field(default_factory=dict)
    """Per block its number of tokens N."""

    def record(self, block: str, normed: Tensor, store: torch.dtype | None = None) -> None:
        """Keep the features ``normed`` [1, N, C] of one block, on the CPU, rounded to ``store`` if given."""
        count = normed.shape[1]
        if count not in self.levels:
            self.levels[count] = level_mask(self.mask, count)
        level = self.levels[count].to(normed.device)
        index = level.nonzero()[:, 0]
        scaled = normed[:, index] * level[index, None].to(normed.dtype)
        self.tokens[block] = count
        self.kept[block] = scaled.to("cpu", store or normed.dtype)

    def full(self, block: str) -> Tensor:
        """The features as published, [1, N, C], zeros under the mask."""
        kept = self.kept[block]
        out = kept.new_zeros(1, self.tokens[block], kept.shape[2])
        out[:, self.levels[self.tokens[block]].cpu() > 0] = kept
        return out

    def sink(self, block: str) -> int:
        """How many tokens of a block lie wholly under the mask."""
        return self.tokens[block] - self.kept[block].shape[1]


@dataclass(frozen=True)
class Bank:
    """All parts of one person, ready to be applied at one picture size."""

    parts: tuple[PartFeatures, ...]
    image_tokens: Tensor
    """[1, parts, D] image embeddings times their part's weight, on the CPU."""
    label_embeds: Tensor
    """[1, 77, D]: the first part's label, which the published pipeline uses as the prompt."""
    width: int
    height: int
    compatible: bool = False
    """Made as the published script does: the first label takes the prompt's place too."""

    @property
    def blocks(self) -> list[str]:
        """Names of the transformer blocks that were recorded."""
        return list(self.parts[0].kept)

    def bytes(self) -> int:
        """Memory of all features that were kept."""
        return sum(x.numel() * x.element_size() for part in self.parts for x in part.kept.values())

    def padded_tokens(self) -> Tensor:
        """Image tokens with zero vectors up to exactly six, as decoupled attention was trained: [1, 6, D]."""
        _, count, width = self.image_tokens.shape
        padding = self.image_tokens.new_zeros(1, MAX_PARTS - count, width)
        return torch.cat([self.image_tokens, padding], dim=1)


def make_bank(
    parts: Sequence[PartFeatures],
    image_embeds: Sequence[Tensor],
    label_embeds: Tensor,
    size: tuple[int, int],
    compatible: bool = False,
) -> Bank:
    """Join parts, their image embeddings [1, D] each, and the first label's prompt [1, 77, D] into a Bank."""
    tokens = [embeds.reshape(1, 1, -1).float().cpu() * part.weight for part, embeds in
              zip(parts, image_embeds, strict=True)]  # fmt: skip
    return Bank(tuple(parts), torch.cat(tokens, dim=1), label_embeds.float().cpu(), *size, compatible)


Projection = Callable[[Tensor], Tensor]


def project(
    bank: Bank,
    block: str,
    to_k: Projection,
    to_v: Projection,
    like: Tensor,
    heads: int,
    strength: float = 1.0,
) -> References:
    """Project one block's features through the target's own to_k and to_v, once for all steps.

    Args:
        to_k, to_v: the layer's projections; they must have no bias, or masked tokens were not zero.
        like: a tensor of the layer, for device and dtype.
        strength: multiplies every part's weight.
    """
    groups: dict[float, list[PartFeatures]] = {}
    for part in bank.parts:
        groups.setdefault(part.weight * strength, []).append(part)
    projected = []
    for weight, members in groups.items():
        features = torch.cat([part.kept[block] for part in members], dim=1).to(like.device, like.dtype)
        if weight > 0 and features.shape[1] > 0:
            projected.append((split_heads(to_k(features), heads), split_heads(to_v(features), heads), weight))
    sink = sum(part.sink(block) * part.weight * strength for part in bank.parts)
    return References(tuple(projected), sink)
