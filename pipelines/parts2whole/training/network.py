"""Everything that Parts2Whole trains, as one module whose ``forward`` is one prediction (paper section 3).

Unlike in ``unet.py``, every row of a batch has references of its own and gradients reach the reference UNet
through what it leaves in the bank. The attention processors stay where they are put: gradient checkpointing
runs them a second time, in the backward pass.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..attention import attend, join_heads, split_heads
from ..checkpoint import Decoupled
from ..parts import MAX_PARTS, level_mask
from ..pose_guider import PoseGuider
from ..unet import self_attentions

FROZEN = ("conv_in", "conv_norm_out", "conv_out")  # of the denoising UNet, as released
ATTENTION = ".transformer_blocks.0."


@dataclass(frozen=True)
class Reference:
    """One part in every row of a batch."""

    latents: Tensor
    """Of the part's picture, scaled, without noise: [B, 4, h, w]."""
    mask: Tensor
    """[B, 1, H, W] in [0, 1]."""
    label_embeds: Tensor
    """The label as the text encoder reads it, [1, 77, D]."""
    present: Tensor
    """bool [B]: rows that have the part."""


@dataclass
class Seen:
    """What the denoising UNet's attention sees besides its own tokens, until the next prediction."""

    features: dict[str, list[Tensor]] = field(default_factory=dict)
    """By block, of each reference: features times mask [B, N, C]."""
    present: list[Tensor] = field(default_factory=list)
    """Of each reference, bool [B]."""
    images: dict[str, tuple[Tensor, Tensor]] = field(default_factory=dict)
    """By block, keys and values of the six image tokens, [B, 6, width]."""
    pose: Tensor | None = None
    """Pose features [B, C, h, w]."""


class Composer(nn.Module):
    """The denoising UNet with all that acts on it.

    Args:
        unet, reference_unet: diffusers' UNets. guider: reads the pose picture.
        decoupled: projections of the image tokens; None copies them from the text's, as training starts.
        store: type to which the bank is rounded (the released trainer rounds to float16); None keeps it.
    """

    def __init__(
        self, unet: Any, reference_unet: Any, guider: PoseGuider, decoupled: Decoupled | None = None,
        store: torch.dtype | None = None,
    ) -> None:  # fmt: skip
        super().__init__()
        self.unet: Any = unet.train().requires_grad_(True)
        self.reference_unet: Any = reference_unet.train().requires_grad_(True)
        self.pose_guider = guider.train().requires_grad_(True)
        for name in FROZEN:
            getattr(self.unet, name).requires_grad_(False)
        self.to_k_dc, self.to_v_dc = self._image_layers(decoupled)
        self.store = store
        self._seen, self._recording = Seen(), False
        self._hang()

    @property
    def blocks(self) -> list[str]:
        """The transformer blocks' names, in the order in which they run."""
        return list(self_attentions(self.unet))

    def _image_layers(self, decoupled: Decoupled | None) -> tuple[nn.ModuleDict, nn.ModuleDict]:
        """Projections of the image tokens to keys and to values, by block; a ModuleDict allows no dots."""
        keys, values = nn.ModuleDict(), nn.ModuleDict()
        for block in self.blocks:
            text = self.unet.get_submodule(f"{block}{ATTENTION}attn2")
            given = decoupled.weights[block] if decoupled else (text.to_k.weight, text.to_v.weight)
            for layers, weight in zip((keys, values), given, strict=True):
                layers[block.replace(".", "/")] = _linear(weight)
        return keys, values

    def _hang(self) -> None:
        """Put processors on the denoising UNet, and ears on the reference UNet."""
        processors = dict(self.unet.attn_processors)
        for block, listener in self_attentions(self.reference_unet).items():
            processors[f"{block}{ATTENTION}attn1.processor"] = _SelfAttention(block, self._seen)
            processors[f"{block}{ATTENTION}attn2.processor"] = _CrossAttention(block, self._seen)
            listener.register_forward_pre_hook(_Ear(self, block), with_kwargs=True)
        self.unet.set_attn_processor(processors)
        self.unet.conv_in.register_forward_hook(
            lambda _, args, out: out if self._seen.pose is None else out + self._seen.pose
        )

    def forward(
        self,
        noisy: Tensor,
        times: Tensor,
        text: Tensor,
        images: Tensor,
        references: Sequence[Reference],
        pose: Tensor | None = None,
    ) -> Tensor:
        """The predicted noise [B, 4, h, w].

        Args:
            noisy: latents [B, 4, h, w] at ``times`` [B].
            text: embeddings [B, 77, D]; zeros where the text was dropped.
            images: one embedding per part [B, R <= 6, D]; zeros where a row lacks the part or dropped it.
            references: those that act; none where the bank was dropped.
            pose: pictures [B, 3, H, W] in [0, 1]; None where the pose was dropped.
        """
        seen = self._seen
        seen.features, seen.present = self._bank(references), [part.present for part in references]
        tokens = F.pad(images, (0, 0, 0, MAX_PARTS - images.shape[1]))
        seen.images = {block: self._projected(block, tokens) for block in self.blocks}
        seen.pose = None if pose is None else self.pose_guider(pose)
        return self.unet(noisy, times, encoder_hidden_states=text).sample

    def _projected(self, block: str, tokens: Tensor) -> tuple[Tensor, Tensor]:
        name = block.replace(".", "/")
        return self.to_k_dc[name](tokens), self.to_v_dc[name](tokens)

    def _bank(self, references: Sequence[Reference]) -> dict[str, list[Tensor]]:
        """Run the reference UNet on every part, at time 0."""
        bank: dict[str, list[Tensor]] = {}
        for part in references:
            self._heard, self._recording = {}, True
            times = torch.zeros(len(part.latents), dtype=torch.long, device=part.latents.device)
            words = part.label_embeds.expand(len(part.latents), -1, -1)
            self.reference_unet(part.latents, times, encoder_hidden_states=words)
            self._recording = False
            for block, normed in self._heard.items():
                bank.setdefault(block, []).append(self._masked(normed, part.mask))
        return bank

    def hear(self, block: str, normed: Tensor) -> None:
        """Keep what a block of the reference UNet attends over, [B, N, C]. No arithmetic here: checkpointing
        runs the block again, and must find what it found."""
        if self._recording:
            self._heard[block] = normed

    def _masked(self, normed: Tensor, mask: Tensor) -> Tensor:
        """Features [B, N, C] times the mask of their level, rounded where asked for."""
        levels = torch.stack([level_mask(one[None], normed.shape[1]) for one in mask])
        masked = normed * levels[..., None].to(normed)
        return masked if self.store is None else masked.to(self.store).to(masked)

    def decoupled(self) -> dict[str, Tensor]:
        """``decoupled_attn.pth``'s tensors under their released names."""
        found = {}
        for which, layers in (("to_k_dc", self.to_k_dc), ("to_v_dc", self.to_v_dc)):
            for name, layer in layers.items():
                block = name.replace("/", ".")
                found[f"{block}{ATTENTION}attn2.processor.{which}.weight"] = layer.weight
        return found


def _linear(weight: Tensor) -> nn.Linear:
    layer = nn.Linear(weight.shape[1], weight.shape[0], bias=False)
    layer.weight.data.copy_(weight.detach())
    return layer


@dataclass
class _Ear:
    """Hands the input of one self-attention to the composer."""

    composer: Composer
    block: str

    def __call__(self, _: nn.Module, args: tuple, kwargs: dict[str, Any]) -> None:
        self.composer.hear(self.block, (args or (kwargs["hidden_states"],))[0])


@dataclass
class _SelfAttention:
    """Self-attention over the target's tokens and those of its references, masked ones as zeros."""

    block: str
    seen: Seen

    def __call__(self, attn: Any, hidden_states: Tensor, encoder_hidden_states=None, *_, **__) -> Tensor:
        features = self.seen.features.get(self.block, [])
        joined = torch.cat([hidden_states, *features], dim=1)
        q, k, v = (
            split_heads(layer(x), attn.heads)
            for layer, x in ((attn.to_q, hidden_states), (attn.to_k, joined), (attn.to_v, joined))
        )
        out = F.scaled_dot_product_attention(q, k, v, attn_mask=self._absent(q, features))
        return attn.to_out[1](attn.to_out[0](join_heads(out)))

    def _absent(self, query: Tensor, features: list[Tensor]) -> Tensor | None:
        """Which keys count, [B, 1, 1, keys]; None where every row has every part."""
        present = self.seen.present
        if all(bool(one.all()) for one in present):
            return None
        own = torch.ones(len(query), query.shape[2], dtype=torch.bool, device=query.device)
        more = [one[:, None].to(own).expand(-1, x.shape[1]) for one, x in zip(present, features, strict=True)]
        return torch.cat([own, *more], dim=1)[:, None, None]


@dataclass
class _CrossAttention:
    """Cross-attention over the text, and a second one over the image tokens."""

    block: str
    seen: Seen

    def __call__(self, attn: Any, hidden_states: Tensor, encoder_hidden_states: Tensor, *_, **__) -> Tensor:
        query, text = attn.to_q(hidden_states), encoder_hidden_states
        out = attend(query, attn.to_k(text), attn.to_v(text), attn.heads)
        out = out + attend(query, *self.seen.images[self.block], attn.heads)
        return attn.to_out[1](attn.to_out[0](out))
