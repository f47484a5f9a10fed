"""The released DDIM, against diffusers' scheduler and the released scripts' arithmetic."""

import numpy as np
import pytest
import torch
from comfyui_figura.pipelines.common.errors import FiguraInputError
from comfyui_figura.pipelines.humansd import ddim


def toy(latents, timestep):
    """A smooth stand-in for a network."""
    return torch.tanh(latents * 0.7 + timestep / 1000)


@pytest.mark.parametrize("steps", [1, 2, 5, 10, 50, 100, 250])
@pytest.mark.parametrize("eta", [0.0, 1.0])
def test_diffusers_agrees(steps, eta):
    """With the configuration of the spec; noise of eta from the same generator."""
    from diffusers import DDIMScheduler

    scheduler = DDIMScheduler(
        beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", steps_offset=1,
        set_alpha_to_one=False, clip_sample=False, timestep_spacing="leading",
    )  # fmt: skip
    scheduler.set_timesteps(steps)
    latents = torch.randn(2, 4, 8, 8, generator=torch.Generator().manual_seed(1))
    generators = [torch.Generator().manual_seed(seed) for seed in (5, 6)]
    expected = latents
    for t in scheduler.timesteps:
        step = scheduler.step(toy(expected, int(t)), t, expected, eta=eta, generator=generators)
        expected = step.prev_sample
    ours = ddim.denoise(toy, latents, ddim.full_plan(steps), eta=eta, seeds=[5, 6])
    torch.testing.assert_close(ours, expected, rtol=0, atol=1e-4)  # fp32 over up to 250 steps


def test_fifty_steps():
    plan = ddim.full_plan(50)
    assert plan.timesteps == tuple(range(1, 1000, 20))
    assert plan.alphas_prev[0] == ddim.alphas_cumprod()[0]
    assert plan.alphas_prev[1:] == plan.alphas[:-1]


def test_legacy_leaves_out_the_noisiest():
    assert ddim.plan(50, legacy=True).timesteps[-1] == 961
    assert len(ddim.plan(50, legacy=True).timesteps) == 49
    assert ddim.plan(50).timesteps[-1] == 981


@pytest.mark.parametrize(("strength", "count"), [(0.02, 1), (0.5, 25), (0.6, 30), (0.999, 49)])
def test_strength(strength, count):
    """int(strength * steps) steps from the noise of the entry above them, as released."""
    plan = ddim.plan(50, strength)
    assert len(plan.timesteps) == count
    assert plan.start == ddim.full_plan(50).alphas[count]
    assert plan == ddim.plan(50, strength, legacy=True)


@pytest.mark.parametrize("steps", [3, 7, 30, 333, 499, 999, 1000])
def test_counts_that_do_not_divide(steps):
    """As many timesteps as fit, all inside the training's 1000; the released code runs past its end."""
    plan = ddim.full_plan(steps)
    assert len(plan.timesteps) >= min(steps, 999)
    assert 0 < plan.timesteps[0] and plan.timesteps[-1] < 1000
    assert np.all(np.diff(plan.alphas) < 0)


BAD_PLANS = [
    {"steps": 0},
    {"steps": 1001},
    {"steps": 5, "strength": 0.0},
    {"steps": 5, "strength": 1.1},
    {"steps": 5, "strength": 0.1},
    {"steps": 5, "strength": float("nan")},
    {"steps": 1, "legacy": True},
]


@pytest.mark.parametrize("bad", BAD_PLANS)
def test_bad_plans(bad):
    with pytest.raises(FiguraInputError):
        ddim.plan(**bad)


def test_bad_eta():
    with pytest.raises(FiguraInputError):
        ddim.denoise(toy, torch.zeros(1, 4, 8, 8), ddim.full_plan(2), eta=1.5)


def test_rows_are_independent():
    latents = torch.randn(3, 4, 8, 8, generator=torch.Generator().manual_seed(1))
    together = ddim.denoise(toy, latents, ddim.full_plan(4), eta=1.0, seeds=[1, 2, 3])
    alone = ddim.denoise(toy, latents[1:2], ddim.full_plan(4), eta=1.0, seeds=[2])
    assert torch.equal(together[1:2], alone)


def test_euler_over_sigmas_is_the_same():
    """What lets ComfyUI's Euler run the released DDIM."""
    plan, latents = ddim.full_plan(10), torch.randn(1, 4, 8, 8, dtype=torch.float64)
    x, levels = ddim.to_euler(latents, plan), ddim.sigmas(plan).double()
    for timestep, here, there in zip(reversed(plan.timesteps), levels, levels[1:], strict=False):
        x = x + (there - here) * toy(x / (1 + here**2) ** 0.5, timestep)
    expected = ddim.denoise(toy, latents, plan)
    torch.testing.assert_close(ddim.from_euler(x, plan), expected, rtol=0, atol=1e-5)  # sigmas are fp32


def test_stops_where_the_listener_says():
    calls = []

    class Stop(Exception):
        pass

    def listener(done, total, preview=None):
        calls.append((done, total))
        if done == 2:
            raise Stop

    with pytest.raises(Stop):
        ddim.denoise(toy, torch.zeros(1, 4, 8, 8), ddim.full_plan(5), progress=listener)
    assert calls == [(1, 5), (2, 5)]
