"""Self-attention over the target and its reference parts together.

Parts2Whole (arXiv 2404.15267, section 3.3) joins the features of every reference, multiplied by its mask, to
the keys and values of the target's self-attention. to_k and to_v have no bias, so a token under an empty mask
has key 0 and value 0: it adds nothing to the sum and exp(0) = 1 to the softmax's denominator. Here such
tokens are not computed at all; their number ``sink`` enters the denominator instead. With lse the log of the
denominator over the tokens that are kept,

    softmax over all  =  softmax over the kept  *  exp(lse) / (exp(lse) + sink),

which is exact. A part of weight w counts each of its tokens w times, so w = 0 is a part that was not given.

Tensors are [B, N, C] outside and [B, heads, N, C / heads] ("heads layout") inside.
"""

import logging
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor

log = logging.getLogger(__name__)

KeysValues = tuple[Tensor, Tensor]
"""Keys and values in heads layout, [1, heads, tokens, head_dim] each."""


@dataclass(frozen=True)
class References:
    """What one attention layer sees of the parts: keys and values projected once, masked tokens left out."""

    groups: tuple[tuple[Tensor, Tensor, float], ...]
    """(keys, values, weight) in heads layout [1, heads, tokens, head_dim]; one group per distinct weight."""
    sink: float
    """How many all-zero tokens were left out, each counted by its part's weight."""


def split_heads(x: Tensor, heads: int) -> Tensor:
    """[B, N, C] -> [B, heads, N, C / heads]."""
    return x.unflatten(-1, (heads, -1)).transpose(1, 2)


def join_heads(x: Tensor) -> Tensor:
    """[B, heads, N, C / heads] -> [B, N, C]."""
    return x.transpose(1, 2).flatten(2)


def attend(query: Tensor, key: Tensor, value: Tensor, heads: int) -> Tensor:
    """Plain attention, [B, N, C] with [B, M, C] -> [B, N, C]."""
    q, k, v = (split_heads(x, heads) for x in (query, key, value))
    return join_heads(F.scaled_dot_product_attention(q, k, v))


def attend_references(
    query: Tensor, key: Tensor, value: Tensor, heads: int, references: References
) -> Tensor:
    """Attention of the target's queries over its own tokens and all reference tokens.

    Args:
        query, key, value: the target's own projections, [B, N, C] and [B, M, C].
        heads: number of attention heads.
        references: shared by all B rows.

    Returns: [B, N, C], before the output projection.
    """
    q, k, v = (split_heads(x, heads) for x in (query, key, value))
    # a group without tokens is dropped: torch's CPU kernel divides by its length and kills the process
    groups = [group for group in references.groups if group[2] > 0 and group[0].shape[2] > 0]
    if _has_kernel(q):
        return join_heads(_merged(q, k, v, groups, references.sink))
    return join_heads(_biased(q, k, v, groups, references.sink))


def _merged(q: Tensor, k: Tensor, v: Tensor, groups: list, sink: float) -> Tensor:
    """One fused kernel per distinct weight; the results are merged by their log-sum-exp."""
    alike = [(keys, values) for keys, values, weight in groups if weight == 1]
    sets = [(*_append(k, v, alike), 1.0)] + [group for group in groups if group[2] != 1]
    parts = [
        (*_fused(q, keys.expand(q.shape[0], -1, -1, -1), values.expand(q.shape[0], -1, -1, -1)), weight)
        for keys, values, weight in sets
    ]
    if len(parts) == 1:
        out, lse, _ = parts[0]
        return out * torch.sigmoid(lse - math.log(sink))[..., None].to(out.dtype) if sink > 0 else out
    logits = [lse + math.log(weight) for _, lse, weight in parts]
    extra = [torch.full_like(logits[0], math.log(sink))] if sink > 0 else []
    total = torch.logsumexp(torch.stack(logits + extra), dim=0)
    shares = [torch.exp(logit - total)[..., None].to(q.dtype) for logit in logits]
    return sum(
        (part[0] * share for part, share in zip(parts[1:], shares[1:], strict=True)), parts[0][0] * shares[0]
    )


def _append(k: Tensor, v: Tensor, more: list[KeysValues]) -> KeysValues:
    """Own tokens followed by the tokens of parts, repeated over the batch."""
    if not more:
        return k, v
    keys = [k] + [keys.expand(k.shape[0], -1, -1, -1) for keys, _ in more]
    values = [v] + [values.expand(k.shape[0], -1, -1, -1) for _, values in more]
    return torch.cat(keys, dim=2), torch.cat(values, dim=2)


def _biased(q: Tensor, k: Tensor, v: Tensor, groups: list, sink: float) -> Tensor:
    """The same with one additive bias per key: for devices whose kernels return no lse, and training."""
    batch, heads, own, width = k.shape
    keys, values = _append(k, v, [group[:2] for group in groups])
    sizes = [(own, 1.0)] + [(group[0].shape[2], group[2]) for group in groups]
    if sink > 0:
        zero = k.new_zeros(batch, heads, 1, width)
        keys, values, sizes = torch.cat([keys, zero], 2), torch.cat([values, zero], 2), sizes + [(1, sink)]
    if all(weight == 1 for _, weight in sizes):
        return F.scaled_dot_product_attention(q, keys, values)
    bias = torch.cat([q.new_full((size,), math.log(weight)) for size, weight in sizes])
    return F.scaled_dot_product_attention(q, keys, values, attn_mask=bias.expand(1, 1, q.shape[2], -1))


def attend_full(query: Tensor, key: Tensor, value: Tensor, heads: int, bank: Sequence[KeysValues]) -> Tensor:
    """The formulation as published, for comparison: every reference token, masked ones as zeros, is a key.

    Args:
        bank: (keys, values) [1, M, C] of each reference, projected from features already times their mask.
    """
    keys = torch.cat([key] + [k.expand(key.shape[0], -1, -1) for k, _ in bank], dim=1)
    values = torch.cat([value] + [v.expand(value.shape[0], -1, -1) for _, v in bank], dim=1)
    return attend(query, keys, values, heads)


def attend_rows(
    tensors: Sequence[Tensor],
    conditional: Sequence[bool],
    plain: Callable[..., Tensor],
    referenced: Callable[..., Tensor],
) -> Tensor:
    """Run ``referenced`` on the conditional chunks of a batch and ``plain`` on the others, in order.

    Args:
        tensors: each [B, ...], cut into len(conditional) equal chunks.
        conditional: one flag per chunk.
        plain, referenced: called with ``(*chunks, indices)``, indices being the chunks' places in the batch.
    """
    count = len(conditional)
    if len(set(conditional)) == 1:
        return (referenced if conditional[0] else plain)(*tensors, list(range(count)))
    chunks = zip(*(tensor.chunk(count) for tensor in tensors), strict=True)
    return torch.cat(
        [(referenced if flag else plain)(*chunk, [index]) for index, (flag, chunk) in
         enumerate(zip(conditional, chunks, strict=True))]
    )  # fmt: skip


def _fused(q: Tensor, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
    """Attention [B, heads, N, d] and its log-sum-exp [B, heads, N] (natural log), in one fused kernel."""
    if q.device.type == "cpu":
        return torch.ops.aten._scaled_dot_product_flash_attention_for_cpu(q, k, v)[:2]
    if q.dtype in (torch.float16, torch.bfloat16):
        return torch.ops.aten._scaled_dot_product_flash_attention(q, k, v)[:2]
    out, lse = torch.ops.aten._scaled_dot_product_efficient_attention(q, k, v, None, True)[:2]
    return out, lse[..., : q.shape[2]]


def _has_kernel(q: Tensor) -> bool:
    """Whether ``_fused`` may be used: right on this device, and no gradient is wanted (lse carries none)."""
    return not (torch.is_grad_enabled() and q.requires_grad) and _kernel_agrees(
        q.device, q.dtype, q.shape[-1]
    )


@lru_cache(maxsize=64)
def _kernel_agrees(device: torch.device, dtype: torch.dtype, width: int) -> bool:
    """Try the kernel on a tiny problem against the definition: torch may change it, or lack this width."""
    draw = torch.Generator().manual_seed(0)
    q, k, v = (torch.randn(1, 2, 40, width, generator=draw).to(device, dtype) for _ in range(3))
    try:
        out, lse = _fused(q, k, v)
    except (RuntimeError, AttributeError, NotImplementedError) as error:
        log.info("attention kernel for %s %s, width %d not used: %s", device, dtype, width, error)
        return False
    logits = q.float() @ k.float().transpose(-1, -2) / math.sqrt(width)
    tolerance = 1e-4 if dtype == torch.float32 else 3e-2
    wanted = logits.softmax(-1) @ v.float()
    return (
        lse.shape == q.shape[:3]
        and torch.allclose(lse.float(), logits.logsumexp(-1), atol=tolerance)
        and torch.allclose(out.float(), wanted, atol=tolerance)
    )
