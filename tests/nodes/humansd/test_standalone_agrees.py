"""The same tiny file gives the same picture through the command line's code and through ComfyUI.

Two differences are the samplers' own and are taken out here: stock ``ddim`` goes on to sigma 0 where the
released one stops at its first alpha, and ComfyUI scales the first noise by sigma alone.
"""

from dataclasses import replace

import comfy.sample
import comfy.samplers
import pytest
import torch
from comfyui_figura.nodes.humansd import bridge
from comfyui_figura.nodes.humansd.sampling import FiguraHumanSDSampler
from comfyui_figura.pipelines.common.seeds import batch_seeds, noise
from comfyui_figura.pipelines.demo import humansd as demo
from comfyui_figura.pipelines.humansd import ddim, generate, model
from comfyui_figura.pipelines.humansd.configs import SampleConfig
from comfyui_figura.pipelines.humansd.defaults import LATENT_SCALE

STEPS, SCALE, SEED = 5, 4.0, 11
RELATIVE = 1e-4  # of the largest value: fp32 sums in another order, over all steps


def close(actual, expected):
    worst = (actual - expected).abs().max() / expected.abs().max()
    assert worst <= RELATIVE, f"relative difference {worst:.1e}"


@pytest.fixture(scope="module")
def standalone(models_dir):
    return model.load(models_dir / "checkpoints" / demo.CHECKPOINT, "cpu", "fp32")


def test_text(standalone, loaded):
    for prompt in ("two dancers", "a man, (his hat:on) 12!", "word " * 100, ""):
        theirs = bridge.encode_prompt(loaded[1], prompt)[0][0]
        if prompt.startswith("word"):
            theirs = theirs[:, :77]  # ComfyUI goes on to a second window
            close(model.encode_prompts(standalone, [prompt])[:, :50], theirs[:, :50])
        elif "(" not in prompt:  # ComfyUI reads weights in parentheses
            close(model.encode_prompts(standalone, [prompt]), theirs)


@pytest.mark.parametrize("schedule", ["full", "legacy_49"])
def test_one_node_sampler(standalone, loaded, skeleton, schedule):
    settings = {
        "prompt": "two dancers",
        "negative_prompt": "blurry",
        "added_prompt": "",
        "schedule": schedule,
    }
    image, _ = FiguraHumanSDSampler.execute(
        *loaded, skeleton, seed=SEED, steps=STEPS, cfg=SCALE, batch_size=2, **settings
    ).result
    sample = SampleConfig(ddim_steps=STEPS, scale=SCALE, schedule=schedule)
    painted = generate.paint(standalone, "two dancers", "blurry", skeleton, batch_seeds(SEED, 2), sample)
    close(image, painted)


def test_one_node_sampler_from_a_picture(standalone, loaded, skeleton):
    start = torch.rand(1, 192, 128, 3, generator=torch.Generator().manual_seed(3))
    image, _ = FiguraHumanSDSampler.execute(
        *loaded,
        skeleton,
        "two dancers",
        "blurry",
        SEED,
        STEPS,
        SCALE,
        added_prompt="",
        image=start,
        strength=0.6,
    ).result
    sample = SampleConfig(ddim_steps=STEPS, scale=SCALE, strength=0.6)
    painted = generate.paint(standalone, "two dancers", "blurry", skeleton, [SEED], sample, start)
    close(image, painted)


def latents_of(standalone, skeleton, steps):
    """The command line's latents, and the unit noise they began with."""
    from comfyui_figura.pipelines.common.images import to_pixels
    from comfyui_figura.pipelines.humansd import vae
    from comfyui_figura.pipelines.humansd.canvas import on_canvas

    fresh = noise((4, skeleton.shape[1] // 8, skeleton.shape[2] // 8), [SEED])
    pose = vae.encode(standalone.vae, to_pixels(on_canvas(skeleton)))
    positive, negative = (model.encode_prompts(standalone, [text]) for text in ("two dancers", "blurry"))
    predict = model.predictor(standalone, pose, positive, negative, SCALE)
    return ddim.denoise(predict, fresh, steps), fresh


def comfyui_noise(fresh, sigma):
    return fresh * (1 + sigma**2) ** 0.5 / sigma


def test_stock_ddim_with_the_released_last_sigma(standalone, loaded, apply, skeleton):
    """SamplerCustom with stock ``ddim`` and a sigma schedule that ends where the released one does."""
    steps = ddim.full_plan(STEPS)
    expected, fresh = latents_of(standalone, skeleton, steps)
    positive, negative, latent = apply()
    sigmas = ddim.sigmas(steps)
    samples = comfy.sample.sample_custom(
        loaded[0], comfyui_noise(fresh, float(sigmas[0])), SCALE, comfy.samplers.sampler_object("ddim"),
        sigmas, positive, negative, latent["samples"], seed=0,
    )  # fmt: skip
    close(ddim.from_euler(samples, steps) * LATENT_SCALE, expected)


def test_stock_ksampler(standalone, loaded, apply, skeleton):
    """KSampler as it is, ``ddim`` with ``ddim_uniform``, against our DDIM sent on to alpha 1."""
    released = ddim.full_plan(STEPS)
    steps = replace(released, alphas_prev=(1.0, *released.alphas_prev[1:]))
    expected, fresh = latents_of(standalone, skeleton, steps)
    positive, negative, latent = apply()
    samples = comfy.sample.sample(
        loaded[0], comfyui_noise(fresh, ddim.sigma_of(steps.alphas[-1])), STEPS, SCALE, "ddim",
        "ddim_uniform", positive, negative, latent["samples"], seed=0,
    )  # fmt: skip
    close(samples * LATENT_SCALE, expected)
