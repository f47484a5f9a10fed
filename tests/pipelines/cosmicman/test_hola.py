"""The HOLA loss where the golden files do not look: precision, other forms, empty groups, checkpointing."""

import pytest
import torch
from comfyui_figura.pipelines.cosmicman import hola


def maps_and_targets(dtype=torch.float32, tokens=77):
    rng = torch.Generator().manual_seed(0)
    query = torch.randn(2, 3, 24, 16, generator=rng).to(dtype)
    key = torch.randn(2, 3, tokens, 16, generator=rng).to(dtype)
    masks = (torch.rand(2, 3, 64, 96, generator=rng) > 0.5).float()
    return query, key, masks


SPANS = [[(1, 4), None, (7, 8)], [(2, 9), (10, 12), None]]


@pytest.mark.parametrize(
    "dtype, tolerance", [(torch.float64, 1e-12), (torch.float32, 1e-6), (torch.bfloat16, 2e-2)]
)
def test_columns_equal_the_full_softmax(dtype, tolerance):
    query, key, _ = maps_and_targets(dtype)
    columns = hola.attention_columns(query, key, hola.selector(SPANS, query))
    full = (query.double() @ key.double().mT / 4).softmax(-1)
    for row, spans in enumerate(SPANS):
        tokens = hola.tokens_of(spans)
        got = columns[row, ..., : len(tokens)].double()
        assert (got - full[row][..., tokens]).abs().max() < tolerance


def test_gradients_equal_the_full_softmax():
    query, key, masks = maps_and_targets(torch.float64)
    query.requires_grad_(), key.requires_grad_()
    targets = hola.layer_targets(masks, 4, 6).double()

    def through(columns):
        return hola.merge([hola.layer_loss(columns, SPANS, targets)])

    fused = through(hola.attention_columns(query, key, hola.selector(SPANS, query)))
    full = (query @ key.mT / 4).softmax(-1)
    picked = torch.zeros(2, 3, 24, 16, dtype=torch.float64)
    for row, spans in enumerate(SPANS):
        tokens = hola.tokens_of(spans)
        picked[row, ..., : len(tokens)] = full[row][..., tokens]
    for got, want in zip(
        torch.autograd.grad(fused, (query, key)),
        torch.autograd.grad(through(picked), (query, key)),
        strict=True,
    ):
        # the loss itself is summed in fp32
        assert ((got - want).norm() / want.norm()).item() < 1e-6


def test_the_papers_form_weighs_groups_alike():
    columns = torch.zeros(1, 4, 4)
    spans, targets = [(1, 4), (5, 6)], torch.tensor([[1.0] * 4, [0.5] * 4])
    # group 1: three tokens and their mean, each 1 off; group 2: one token and its mean, 0.5 off
    assert hola.sample_loss(columns, spans, targets, "paper").item() == pytest.approx((4 * 1 + 2 * 0.25) / 2)
    assert hola.sample_loss(columns, spans, targets, "code").item() == pytest.approx((4 * 1 + 2 * 0.25) / 6)


def test_an_empty_mask_counts_and_a_missing_span_does_not():
    columns = torch.full((1, 4, 1), 0.5)
    assert hola.sample_loss(columns, [(1, 2)], torch.zeros(1, 4)).item() == pytest.approx(0.25)
    two = hola.sample_loss(columns, [None, (1, 2)], torch.tensor([[1.0] * 4, [0.0] * 4]))
    assert two.item() == pytest.approx(0.25)


def test_nothing_to_see_is_zero():
    query, key, masks = maps_and_targets()
    for spans, size in (([[None] * 3] * 2, masks), (SPANS, masks[..., :48])):
        watch = hola.Watch(size, spans)
        watch.see("layer", query, key)
        assert watch.loss().item() == 0 and not watch.layers


@pytest.mark.parametrize("height, width, want", [(64, 96, (4, 6)), (72, 56, (4, 4)), (1024, 768, (64, 48))])
def test_halves_round_to_even(height, width, want):
    assert hola.grid(height, width) == want


def test_gradient_checkpointing_gives_the_same():
    from comfyui_figura.pipelines.common import base_model
    from comfyui_figura.pipelines.demo import cosmicman as demo

    unet = base_model.build_unet(demo._unet(demo.SD_UNET, 1), demo.SD_UNET, "tiny").float().train()
    unet.requires_grad_(True)
    rng = torch.Generator().manual_seed(1)
    latents, context = torch.randn(2, 4, 8, 12, generator=rng), torch.randn(2, 77, 64, generator=rng)
    masks = (torch.rand(2, 3, 64, 96, generator=rng) > 0.5).float()
    grads = []
    for checkpointed in (False, True):
        if checkpointed:
            unet.enable_gradient_checkpointing()
        with hola.watching(unet, hola.Watch(masks, SPANS)) as watch:
            sample = unet(latents, torch.tensor([3, 700]), context).sample
            loss = watch.loss()
            assert loss.item() > 0
            (loss + sample.square().mean()).backward()
        weight = unet.down_blocks[1].attentions[0].transformer_blocks[0].attn2.to_q.weight
        grads.append(weight.grad.clone())
        unet.zero_grad()
    torch.testing.assert_close(grads[1], grads[0], rtol=1e-5, atol=1e-8)
