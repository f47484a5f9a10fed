"""The arithmetic of ``attention`` hung on diffusers' UNet, for use outside ComfyUI."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from ..common.errors import FiguraWeightsError
from .attention import References, attend, attend_full, attend_references, attend_rows
from .checkpoint import UNetWeights
from .encoders import new
from .reference import Bank, PartFeatures, project

UNet = Any  # diffusers.UNet2DConditionModel, imported only when one is built


def build_unet(weights: UNetWeights, what: str = "unet") -> UNet:
    """Build diffusers' UNet of the sizes in the configuration and fill it, strictly."""
    from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel

    unet = new(UNet2DConditionModel, weights.config)
    state = {name: tensor.float() for name, tensor in weights.state.items()}
    shapes = {name: tensor.shape for name, tensor in unet.state_dict().items()}
    missing, unexpected = sorted(set(shapes) - set(state)), sorted(set(state) - set(shapes))
    other = [name for name in shapes if name in state and shapes[name] != state[name].shape]
    if missing or unexpected or other:
        came = f"{len(missing)} missing, {len(unexpected)} unexpected, {len(other)} tensors of another shape"
        raise FiguraWeightsError(
            what, f"{came}: {(missing + unexpected + other)[:5]}", "what its config.json says"
        )
    unet.load_state_dict(state)
    return unet.eval().requires_grad_(False)


@torch.inference_mode()
def read_part(
    reference_unet: UNet,
    part: PartFeatures,
    latents: Tensor,
    label_embeds: Tensor,
    store: torch.dtype | None = None,
) -> PartFeatures:
    """Run the reference UNet once on a part and record its features.

    Args:
        latents: VAE latents of the part's picture, already scaled, [1, 4, H/8, W/8]; no noise is added.
        label_embeds: the label as the text encoder reads it, [1, 77, D].
        store: dtype to round the features to (the published pipeline rounds to float16).
    """
    hooks = [
        attn1.register_forward_pre_hook(
            lambda _, args, kwargs, block=block: part.record(
                block, (args or (kwargs["hidden_states"],))[0], store
            ),
            with_kwargs=True,
        )
        for block, attn1 in self_attentions(reference_unet).items()
    ]
    try:
        timestep = torch.zeros(1, dtype=torch.long, device=latents.device)
        reference_unet(latents, timestep, encoder_hidden_states=label_embeds, return_dict=False)
    finally:
        for hook in hooks:
            hook.remove()
    return part


def self_attentions(unet: UNet) -> dict[str, nn.Module]:
    """Every block's self-attention by the block's name, in the order in which they run."""
    mark = ".transformer_blocks.0.attn1"
    found = {name.removesuffix(mark): module for name, module in unet.named_modules() if name.endswith(mark)}
    order = {"down": 0, "mid_": 1, "up_b": 2}
    return dict(sorted(found.items(), key=lambda item: (order[item[0][:4]], item[0])))


@dataclass
class Condition:
    """What acts on a denoising UNet while it is ``conditioned``."""

    bank: Bank | None = None
    image_keys: dict[str, tuple[Tensor, Tensor]] | None = None
    """Per block, keys and values of the six CLIP tokens for decoupled attention, [1, 6, width]."""
    pose: Tensor | None = None
    """Pose features [1 or B, C, h, w], added after the first convolution in every row."""
    conditional: Sequence[bool] = (False, True)
    """One flag per equal chunk of the batch: whether the references act on it."""
    reference_strength: float = 1.0
    image_strength: float = 1.0
    full: bool = False
    """Use the formulation as published, every token a key, projected anew at every step (for comparison)."""
    projected: dict[str, References] = field(default_factory=dict)


@contextmanager
def conditioned(unet: UNet, condition: Condition) -> Iterator[UNet]:
    """Hang a condition on the UNet for as long as the block lasts; the UNet is left as it was."""
    before = unet.attn_processors
    hooks = []
    try:
        unet.set_attn_processor(_processors(unet, condition))
        pose = condition.pose
        if pose is not None:
            hooks.append(unet.conv_in.register_forward_hook(lambda _, args, out: add_pose(out, pose)))
        yield unet
    finally:
        for hook in hooks:
            hook.remove()
        unet.set_attn_processor(before)
        condition.projected.clear()


def add_pose(hidden: Tensor, pose: Tensor) -> Tensor:
    """Add pose features [1 or b, C, h, w] to [B, C, h, w]; b poses are repeated for each chunk."""
    pose = pose.to(hidden.device, hidden.dtype)
    return hidden + pose.repeat(hidden.shape[0] // pose.shape[0], 1, 1, 1)


def _processors(unet: UNet, condition: Condition) -> dict[str, Any]:
    chosen = dict(unet.attn_processors)
    for block in self_attentions(unet):
        if condition.bank is not None:
            chosen[f"{block}.transformer_blocks.0.attn1.processor"] = _SelfAttention(block, condition)
        if condition.image_keys:
            chosen[f"{block}.transformer_blocks.0.attn2.processor"] = _CrossAttention(block, condition)
    return chosen


@dataclass
class _SelfAttention:
    """Self-attention that sees the bank in conditional rows."""

    block: str
    condition: Condition

    def __call__(self, attn: Any, hidden_states: Tensor, encoder_hidden_states=None, *_, **__) -> Tensor:
        query, key, value = attn.to_q(hidden_states), attn.to_k(hidden_states), attn.to_v(hidden_states)
        acted = self._full if self.condition.full else self._fast

        def plain(q, k, v, _):
            return attend(q, k, v, attn.heads)

        def referenced(q, k, v, _):
            return acted(attn, q, k, v)

        out = attend_rows((query, key, value), self.condition.conditional, plain, referenced)
        return attn.to_out[1](attn.to_out[0](out))

    def _fast(self, attn: Any, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        seen, bank = self.condition.projected, self.condition.bank
        assert bank is not None
        if self.block not in seen:
            strength = self.condition.reference_strength
            seen[self.block] = project(bank, self.block, attn.to_k, attn.to_v, q, attn.heads, strength)
        return attend_references(q, k, v, attn.heads, seen[self.block])

    def _full(self, attn: Any, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        assert self.condition.bank is not None
        features = [part.full(self.block).to(q.device, q.dtype) for part in self.condition.bank.parts]
        return attend_full(q, k, v, attn.heads, [(attn.to_k(x), attn.to_v(x)) for x in features])


@dataclass
class _CrossAttention:
    """Cross-attention over the text, plus a second one over the CLIP tokens in conditional rows."""

    block: str
    condition: Condition

    def __call__(self, attn: Any, hidden_states: Tensor, encoder_hidden_states: Tensor, *_, **__) -> Tensor:
        keys = self.condition.image_keys or {}
        image_k, image_v = (x.to(hidden_states.device, hidden_states.dtype) for x in keys[self.block])
        text = encoder_hidden_states
        tensors = attn.to_q(hidden_states), attn.to_k(text), attn.to_v(text)

        def plain(q, k, v, _):
            return attend(q, k, v, attn.heads)

        def referenced(q, k, v, _):
            image = attend(q, image_k.expand(len(q), -1, -1), image_v.expand(len(q), -1, -1), attn.heads)
            return attend(q, k, v, attn.heads) + self.condition.image_strength * image

        out = attend_rows(tensors, self.condition.conditional, plain, referenced)
        return attn.to_out[1](attn.to_out[0](out))
