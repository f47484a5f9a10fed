"""The fast forms of StyleGAN3's activation against the definition: insert zeros, pad, filter, thin out."""

import pytest
import torch
import torch.nn.functional as F
from comfyui_figura.pipelines.stylegan_human.configs import V3Config, stylegan3_r
from comfyui_figura.pipelines.stylegan_human.networks import filtered_lrelu as module
from comfyui_figura.pipelines.stylegan_human.networks.filtered_lrelu import Resampling, filtered_lrelu
from comfyui_figura.pipelines.stylegan_human.networks.filters import design, plan_layers

PLANS = [
    plan
    for config in (V3Config(128, channel_base=1024, channel_max=16), stylegan3_r(128))
    for plan in plan_layers(config)
    if not plan.to_rgb
]


def by_definition(x, bias, resampling, gain, slope, clamp):
    """Everything computed the long way, in float64."""
    (top, bottom), (left, right) = resampling.padding
    up, taps = resampling.up, resampling.up_filter.double()
    x = x.double() + bias.double().reshape(1, -1, 1, 1)
    n, c, h, w = x.shape
    zeros = x.new_zeros(n, c, h * up, w * up)
    zeros[:, :, ::up, ::up] = x
    x = F.pad(zeros, (left, right, top, bottom))
    kernel = torch.outer(taps, taps).flip(0, 1) * up**2
    x = F.conv2d(x.reshape(n * c, 1, *x.shape[2:]), kernel[None, None])
    x = (F.leaky_relu(x, slope) * gain).clamp(-clamp, clamp)
    taps = resampling.down_filter.double()
    kernel = (torch.outer(taps, taps) if taps.ndim == 1 else taps).flip(0, 1)
    x = F.conv2d(x, kernel[None, None], stride=resampling.down)
    return x.reshape(n, c, *x.shape[2:]).float()


def case(plan, channels=5, batch=1):
    up = design(plan.up_taps, plan.in_cutoff, plan.in_half_width, plan.tmp_rate)
    down = design(plan.down_taps, plan.out_cutoff, plan.out_half_width, plan.tmp_rate, plan.radial)
    resampling = Resampling(up, down, plan.up, plan.down, (plan.padding(0), plan.padding(1)))
    generator = torch.Generator().manual_seed(1)
    size = [length + plan.kernel - 1 for length in plan.in_size]
    x = torch.randn(batch, channels, *size, generator=generator)
    return x, torch.randn(channels, generator=generator), resampling


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("plan", PLANS, ids=[plan.name for plan in PLANS])
def test_tiles_equal_the_definition(plan, layout, monkeypatch):
    """Tiles as small as they get, so that every picture has many; float32 rounding only (values reach 3)."""
    monkeypatch.setattr(module, "TILE_BYTES", 1)
    monkeypatch.setattr(module, "TILE_CHANNELS", 2)
    x, bias, resampling = case(plan)
    arguments = (bias, resampling, 2**0.5, 0.2, 0.7)
    with torch.no_grad():
        ours = filtered_lrelu(x.contiguous(memory_format=layout), *arguments)
    assert ours.shape[2:] == plan.out_size
    torch.testing.assert_close(ours, by_definition(x, *arguments), rtol=0, atol=3e-6)


@pytest.mark.parametrize("plan", PLANS[::3], ids=[plan.name for plan in PLANS[::3]])
def test_path_with_gradients_equals_the_definition(plan):
    x, bias, resampling = case(plan, batch=2)
    arguments = (resampling, 2**0.5, 0.2, 0.7)
    ours = filtered_lrelu(x.requires_grad_(), bias, *arguments)
    expected = by_definition(x, bias, *arguments)
    torch.testing.assert_close(ours, expected, rtol=0, atol=3e-6)
    gradients = [torch.autograd.grad(y.square().sum(), x)[0] for y in (ours, expected)]
    torch.testing.assert_close(*gradients, rtol=1e-4, atol=1e-5)


def test_any_padding():
    """More zeros than the filter reaches, and crops beyond it, on both sides."""
    x, bias, resampling = case(PLANS[0])
    for before, after in [(30, 40), (-3, 5), (11, -6)]:
        padding = ((before, after), (after, before))
        other = Resampling(resampling.up_filter, resampling.down_filter, 2, 2, padding)
        with torch.no_grad():
            ours = filtered_lrelu(x, bias, other, 1.0, 0.2, 256.0)
        expected = by_definition(x, bias, other, 1.0, 0.2, 256.0)
        torch.testing.assert_close(ours, expected, rtol=0, atol=3e-6)
