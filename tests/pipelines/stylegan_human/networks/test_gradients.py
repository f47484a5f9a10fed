"""Hand-made derivatives against numeric ones, once and twice, and against plain autograd at real sizes."""

import pytest
import torch
import torch.nn.functional as F
from comfyui_figura.pipelines.stylegan_human.networks import gradients
from comfyui_figura.pipelines.stylegan_human.networks.gradients import (
    scaled_noisy_bias_act,
    styled_convolution,
)
from comfyui_figura.pipelines.stylegan_human.networks.ops import SQRT2

DOUBLE = {"dtype": torch.float64}


def random(*shape, seed=0, **options):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), **options)


def plain_convolution(x, weight, styles, up, padding):
    x = x * styles[:, :, None, None]
    if up == 1:
        return F.conv2d(x, weight, padding=padding)
    return F.conv_transpose2d(x, weight.transpose(0, 1), stride=2)


def plain_end(x, scale, noise, bias, clamp):
    x = x * scale[:, :, None, None] + bias.reshape(1, -1, 1, 1)
    x = F.leaky_relu(x if noise is None else x + noise, 0.2) * SQRT2
    return x if clamp is None else x.clamp(-clamp, clamp)


@pytest.mark.parametrize("trained", [True, False], ids=["weights trained", "weights frozen"])
@pytest.mark.parametrize("up,kernel", [(1, 3), (1, 1), (2, 3)])
def test_convolution_can_be_differentiated_twice(up, kernel, trained):
    x, styles = random(1, 3, 4, 2, **DOUBLE), random(1, 3, seed=1, **DOUBLE) + 2
    weight = random(2, 3, kernel, kernel, seed=2, **DOUBLE)
    inputs = [x.requires_grad_(), weight.requires_grad_(trained), styles.requires_grad_()]

    def work(*values):
        return styled_convolution(*values, up, kernel // 2)

    assert torch.allclose(work(*inputs), plain_convolution(*inputs, up, kernel // 2))
    assert torch.autograd.gradcheck(work, inputs)
    assert torch.autograd.gradgradcheck(work, inputs)


@pytest.mark.parametrize("noise", [None, (4, 2), (2, 1, 4, 2)])
@pytest.mark.parametrize("clamp", [None, 256, 1.5])
def test_end_of_layer_can_be_differentiated_twice(noise, clamp):
    noise = None if noise is None else random(*noise, seed=3, **DOUBLE).requires_grad_()
    x, bias = random(2, 3, 4, 2, **DOUBLE).requires_grad_(), random(3, seed=1, **DOUBLE).requires_grad_()
    scale = (random(2, 3, seed=2, **DOUBLE).abs() + 0.5).requires_grad_()

    def work(x, scale, bias, *noise):
        return scaled_noisy_bias_act(x * 1, scale, noise[0] if noise else None, bias, clamp)

    inputs = [x, scale, bias] + ([] if noise is None else [noise])
    expected = plain_end(x, scale, noise, bias, clamp)
    assert torch.allclose(work(*inputs), expected)
    assert (clamp == 1.5) == bool((expected.abs() == 1.5).any()), "the small clamp is reached"
    assert torch.autograd.gradcheck(work, inputs)
    assert torch.autograd.gradgradcheck(work, inputs)


@pytest.mark.parametrize("batch", [1, 2])
@pytest.mark.parametrize("trained", [True, False], ids=["weights trained", "weights frozen"])
@pytest.mark.parametrize("up", [1, 2])
def test_a_layer_at_real_size_equals_plain_autograd(up, trained, batch, monkeypatch):
    """Float32 and channels last, tiles of a few rows, the matrix products of the upsampling weights."""
    monkeypatch.setattr(gradients, "TILE", 4096)
    x = random(batch, 24, 40, 20).contiguous(memory_format=torch.channels_last)
    weight, styles, bias = random(16, 24, 3, 3, seed=1), random(batch, 24, seed=2), random(16, seed=3)
    styles[0, 5] = 0
    scale, noise = random(batch, 16, seed=4).abs() + 0.1, random(40 * up + up - 1, 20 * up + up - 1, seed=5)
    inputs = [x, weight, styles, bias, scale, noise]
    results = []
    for convolution, end in (
        (styled_convolution, scaled_noisy_bias_act), (plain_convolution, plain_end)
    ):  # fmt: skip
        values = [value.clone().requires_grad_(value is not weight or trained) for value in inputs]
        y = end(convolution(*values[:3], up, 1), values[4], values[5], values[3], 256)
        (y * random(*y.shape, seed=6)).sum().backward()
        results.append([y.detach(), *[value.grad for value in values if value.grad is not None]])
    for ours, expected in zip(*results, strict=True):
        size = expected.abs().max()
        assert (ours - expected).abs().max() <= 2e-5 * size  # sums of 800 to 10,000 float32 in another order


def test_a_style_of_zero_has_a_gradient_in_frozen_weights():
    x, weight, styles = random(1, 3, 8, 4), random(2, 3, 3, 3, seed=1), torch.tensor([[0.0, 1.0, -2.0]])
    grads = []
    for work in (styled_convolution, plain_convolution):
        s = styles.clone().requires_grad_()
        work(x, weight, s, 1, 1).square().sum().backward()
        grads.append(s.grad)
    assert torch.allclose(*grads, rtol=1e-4)
