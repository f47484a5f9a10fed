"""The exact-and-fast attention against the formulation as published."""

import pytest
import torch
from comfyui_figura.pipelines.parts2whole import attention
from comfyui_figura.pipelines.parts2whole.attention import (
    References,
    attend_full,
    attend_references,
    split_heads,
)
from hypothesis import given, settings
from hypothesis import strategies as st

HEADS, WIDTH, TOKENS = 8, 64, 160
MASKS = {
    "hard": lambda draw: (torch.rand(TOKENS, generator=draw) < 0.4).float(),
    "soft": lambda draw: torch.rand(TOKENS, generator=draw) * (torch.rand(TOKENS, generator=draw) < 0.5),
    "full": lambda draw: torch.ones(TOKENS),
    "nearly empty": lambda draw: (torch.arange(TOKENS) == 7).float(),
    "empty": lambda draw: torch.zeros(TOKENS),
}


def problem(masks, batch=2, dtype=torch.float32, seed=0, weights=None):
    """Own q, k, v [batch, TOKENS, WIDTH]; references as published, and with masked tokens left out."""
    draw = torch.Generator().manual_seed(seed)
    q, k, v = (torch.randn(batch, TOKENS, WIDTH, generator=draw).to(dtype) for _ in range(3))
    to_k, to_v = ((torch.randn(WIDTH, WIDTH, generator=draw) / WIDTH**0.5).to(dtype) for _ in range(2))
    full, groups, sink = [], [], 0.0
    weights = weights or [1.0] * len(masks)
    for mask, weight in zip(masks, weights, strict=True):
        mask = MASKS[mask](draw)
        features = (torch.randn(1, TOKENS, WIDTH, generator=draw) * mask[:, None]).to(dtype)
        full.append((features @ to_k, features @ to_v))
        kept = features[:, mask > 0]
        groups.append((split_heads(kept @ to_k, HEADS), split_heads(kept @ to_v, HEADS), weight))
        sink += weight * int((mask == 0).sum())
    return q, k, v, full, References(tuple(groups), sink)


def relative(got, wanted):
    return ((got - wanted).abs().max() / wanted.abs().max()).item()


@pytest.mark.parametrize("kernel", [True, False], ids=["lse kernel", "bias"])
@pytest.mark.parametrize(
    "masks", [[name] for name in MASKS] + [["hard", "soft", "empty"], ["full", "nearly empty"]]
)
def test_equals_the_published_formulation(masks, kernel, monkeypatch):
    """2e-6 of the largest value: the claim of the documentation, for every kind of mask."""
    monkeypatch.setattr(attention, "_has_kernel", lambda q: kernel)
    q, k, v, full, references = problem(masks)
    assert relative(attend_references(q, k, v, HEADS, references), attend_full(q, k, v, HEADS, full)) <= 2e-6


def test_dropping_masked_tokens_without_the_sink_is_wrong():
    """The test above can fail: leaving the rescale out is an error of per cents."""
    q, k, v, full, references = problem(["hard", "hard"])
    naive = attend_references(q, k, v, HEADS, References(references.groups, 0.0))
    assert relative(naive, attend_full(q, k, v, HEADS, full)) > 1e-2


@pytest.mark.parametrize("weights", [[1.0, 0.5], [2.0, 2.0], [0.0, 1.0], [0.3, 4.0]])
def test_weights_merge_by_lse_as_by_bias(weights, monkeypatch):
    q, k, v, _, references = problem(["hard", "soft"], weights=weights)
    merged = attend_references(q, k, v, HEADS, references)
    monkeypatch.setattr(attention, "_has_kernel", lambda q: False)
    assert relative(merged, attend_references(q, k, v, HEADS, references)) <= 2e-6


def test_weight_two_is_the_part_given_twice():
    q, k, v, full, references = problem(["hard"], weights=[2.0])
    assert (
        relative(attend_references(q, k, v, HEADS, references), attend_full(q, k, v, HEADS, full * 2)) <= 2e-6
    )


def test_weight_zero_is_the_part_not_given():
    q, k, v, _, references = problem(["hard"], weights=[0.0])
    assert relative(attend_references(q, k, v, HEADS, references), attend_full(q, k, v, HEADS, [])) <= 2e-6


def test_half_precision_stays_near_the_truth():
    """bfloat16 rounds at 4e-3; the rescale must not add to that."""
    q, k, v, full, references = problem(["hard", "soft"], dtype=torch.bfloat16)
    truth = attend_full(
        q.double(), k.double(), v.double(), HEADS, [(a.double(), b.double()) for a, b in full]
    )
    assert relative(attend_references(q, k, v, HEADS, references).double(), truth) <= 1e-2


def test_gradients_take_the_differentiable_way():
    q, k, v, full, references = problem(["hard", "empty"])
    for tensor in (q, k, v):
        tensor.requires_grad_()
    attend_references(q, k, v, HEADS, references).square().sum().backward()
    got = [tensor.grad.clone() for tensor in (q, k, v)]
    for tensor in (q, k, v):
        tensor.grad = None
    attend_full(q, k, v, HEADS, full).square().sum().backward()
    for mine, tensor in zip(got, (q, k, v), strict=True):
        assert relative(mine, tensor.grad) <= 1e-5


def test_a_kernel_that_is_wrong_is_not_used(monkeypatch):
    """torch may change its private kernel: the trial on a tiny problem finds that and falls back."""
    attention._kernel_agrees.cache_clear()
    right = attention._fused
    monkeypatch.setattr(attention, "_fused", lambda q, k, v: (right(q, k, v)[0], right(q, k, v)[1] * 1.4427))
    q, k, v, full, references = problem(["hard"])
    assert relative(attend_references(q, k, v, HEADS, references), attend_full(q, k, v, HEADS, full)) <= 2e-6
    attention._kernel_agrees.cache_clear()


@settings(max_examples=60, deadline=None)
@given(
    masks=st.lists(st.sampled_from(list(MASKS)), min_size=1, max_size=6),
    batch=st.integers(1, 3),
    seed=st.integers(0, 2**16),
)
def test_any_set_of_references(masks, batch, seed):
    q, k, v, full, references = problem(masks, batch, seed=seed)
    assert relative(attend_references(q, k, v, HEADS, references), attend_full(q, k, v, HEADS, full)) <= 2e-6


@settings(max_examples=40, deadline=None)
@given(flags=st.lists(st.booleans(), min_size=1, max_size=5), rows=st.integers(1, 3))
def test_rows_keep_their_places(flags, rows):
    x = torch.arange(len(flags) * rows, dtype=torch.float32)[:, None, None]
    got = attention.attend_rows((x,), flags, lambda x, _: x, lambda x, _: -x - 1)
    signs = torch.tensor(flags).repeat_interleave(rows)[:, None, None]
    assert torch.equal(got, torch.where(signs, -x - 1, x))
