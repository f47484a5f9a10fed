"""Generators as modules: batches, gradients, noise, half precision rules, prefix re-use, the discriminator's
use.
"""

import pytest
import torch
from comfyui_figura.pipelines.demo.stylegan_human import random_generator
from comfyui_figura.pipelines.stylegan_human.configs import (
    V2Config,
    V3Config,
    from_dict,
    stylegan2_human,
    stylegan3_r,
    tiny,
    to_dict,
)
from comfyui_figura.pipelines.stylegan_human.generate import sample_ws, synthesize
from comfyui_figura.pipelines.stylegan_human.latents.latents import mix_styles
from comfyui_figura.pipelines.stylegan_human.networks.generator import build
from comfyui_figura.pipelines.stylegan_human.networks.noise import noise_source
from comfyui_figura.pipelines.stylegan_human.networks.synthesis import Context, PrefixCache


@pytest.mark.parametrize(
    "config", [tiny(1), tiny(2), tiny(3), stylegan3_r(128)], ids=["v1", "v2", "v3t", "v3r"]
)
def test_config_survives_json(config):
    assert from_dict(to_dict(config)) == config


def test_parameter_counts_of_released_models():
    """Counted in the reference implementation; two mapping layers fewer would be 525,312 less."""
    counts = {
        stylegan2_human(1024): 30_365_964,
        stylegan2_human(512): 30_272_487,
        V3Config(): 24_873_519,
        stylegan3_r(512): 16_665_594,
        V3Config(1024): 22_313_167,
    }
    for config, count in counts.items():
        assert sum(parameter.numel() for parameter in build(config).parameters()) == count


def test_path_with_gradients_equals_the_fast_path(generator):
    """Out of place and in place, tiled and whole: float32 rounding only."""
    ws = sample_ws(generator, [1, 2])
    fast = synthesize(generator, ws)
    with torch.enable_grad():
        slow = generator.synthesis(ws)
    torch.testing.assert_close(slow.detach(), fast, rtol=0, atol=2e-5)


def test_gradients_reach_every_parameter_and_ws(generator):
    ws = sample_ws(generator, [1, 2]).requires_grad_()
    with torch.enable_grad():
        generator.synthesis(ws).square().mean().backward()
    assert ws.grad.abs().sum() > 0
    for name, parameter in generator.synthesis.named_parameters():
        assert parameter.grad is not None and torch.isfinite(parameter.grad).all(), name
    generator.zero_grad()


def test_gradient_is_the_slope(generator):
    """Along one direction of ws, against a central difference in float32 (hence 2 %)."""
    ws = sample_ws(generator, [1])
    direction = torch.randn(ws.shape, generator=torch.Generator().manual_seed(0))

    def loss(amount: float) -> torch.Tensor:
        return generator.synthesis(ws + amount * direction).double().square().mean()

    with torch.enable_grad():
        moved = ws.clone().requires_grad_()
        gradient = torch.autograd.grad(generator.synthesis(moved).square().mean(), moved)[0]
    with torch.no_grad():
        slope = (loss(1e-3) - loss(-1e-3)) / 2e-3
    assert (gradient * direction).sum().item() == pytest.approx(slope.item(), rel=0.02, abs=1e-4)


def test_second_derivatives_exist(generator):
    """The path length penalty differentiates a gradient."""
    with torch.enable_grad():
        ws = sample_ws(generator, [1]).requires_grad_()
        gradient = torch.autograd.grad(generator.synthesis(ws).sum(), ws, create_graph=True)[0]
        gradient.square().sum().backward()
    assert torch.isfinite(ws.grad).all()
    generator.zero_grad()


def test_random_noise_does_not_depend_on_the_batch():
    generator = random_generator(tiny(2))
    ws = sample_ws(generator, [1, 2, 3])
    batch = synthesize(generator, ws, "random", [7, 8, 9])
    assert torch.equal(batch[1:2], synthesize(generator, ws[1:2], "random", [8]))
    assert not torch.equal(batch, synthesize(generator, ws, "random", [10, 11, 12]))
    together = synthesize(generator, ws, "random", [7, 8, 9], batch_size=3)
    torch.testing.assert_close(together, batch, rtol=0, atol=2e-5)


def test_half_precision_only_on_a_gpu():
    """On a CPU the blocks that would be float16 compute in float32 by themselves."""
    generator = random_generator(tiny(2))
    ws = sample_ws(generator, [1])
    assert torch.equal(synthesize(generator, ws), synthesize(generator, ws, force_fp32=True))
    blocks = [build(V2Config(1024)).synthesis.block(i) for i in range(9)]
    assert [block.resolution for block in blocks if block.use_fp16] == [128, 256, 512, 1024]


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_half_precision_on_a_gpu_is_close(generator):
    ws = sample_ws(generator, [1, 2])
    expected = synthesize(generator, ws)
    generator.cuda()
    half, full = synthesize(generator, ws), synthesize(generator, ws, force_fp32=True)
    generator.cpu()
    assert (full - expected).abs().max() < 1e-3
    assert (half - expected).abs().mean() < 2e-2


def test_labels_default_to_zeros():
    config = V2Config(32, z_dim=16, w_dim=16, c_dim=3, channel_base=256, channel_max=16)
    generator = random_generator(config)
    z = torch.randn(2, 16)
    assert torch.equal(generator.mapping(z), generator.mapping(z, torch.zeros(2, 3)))
    assert not torch.equal(generator.mapping(z), generator.mapping(z, torch.eye(3)[:2]))


def test_prefix_cache_gives_the_same_pictures_for_less_work(generator):
    first, second = sample_ws(generator, [1]), sample_ws(generator, [2])
    last_row = generator.config.num_ws - 1
    cache, synthesis = PrefixCache(generator.synthesis), generator.synthesis
    with torch.no_grad():
        for rows in ([], [last_row], [last_row - 1, last_row], [], [0]):
            ws = mix_styles(first, second, rows) if rows else first
            context = Context(synthesis.styles(ws), noise_source("const"))
            assert torch.equal(cache.render(context), synthesis.render(context))
    assert cache.steps_run < 5 * synthesis.num_steps * 0.8


def test_averages_are_tracked_only_when_asked():
    generator = random_generator(tiny(3)).train()
    z = torch.randn(4, 32)
    before = (
        generator.mapping.w_avg.clone(),
        generator.synthesis.get_submodule("L0_18_16").magnitude_ema.clone(),
    )
    generator(z)
    assert torch.equal(generator.mapping.w_avg, before[0])
    generator.synthesis(generator.mapping(z, update_emas=True), update_emas=True)
    assert not torch.equal(generator.mapping.w_avg, before[0])
    assert not torch.equal(generator.synthesis.get_submodule("L0_18_16").magnitude_ema, before[1])
