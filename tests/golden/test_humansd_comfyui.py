"""HumanSD inside ComfyUI against tensors of the original implementation: its UNet, its VAE, its samplers."""

import os
from pathlib import Path

import pytest
import torch

pytest.importorskip("comfy", reason="no ComfyUI: set COMFYUI_PATH")

import comfy.sample
import comfy.samplers
import comfy.sd
from comfyui_figura.nodes import native
from comfyui_figura.nodes.humansd import bridge
from comfyui_figura.pipelines.common.ldm import strip_prefix
from comfyui_figura.pipelines.common.weights import load_state_dict
from comfyui_figura.pipelines.humansd import ddim
from comfyui_figura.pipelines.humansd.checkpoint import Checkpoint
from comfyui_figura.pipelines.humansd.defaults import LATENT_SCALE
from comfyui_figura.pipelines.humansd.unet import unet_config

DATA = Path(os.environ.get("FIGURA_GOLDEN") or Path(__file__).parent / "data") / "humansd"
HEAD_WIDTH = 16  # of the golden network (its README); no shape tells it


@pytest.fixture(scope="module")
def golden():
    return load_state_dict(DATA / "tensors.safetensors")


@pytest.fixture(scope="module")
def parts():
    """The tiny checkpoint in float32, as our loader hands it on; it has no text encoder."""
    state = {name: tensor.float() for name, tensor in load_state_dict(DATA / "tiny_ckpt.safetensors").items()}
    unet = strip_prefix(state, "model.diffusion_model.")
    vae = strip_prefix(state, "first_stage_model.")
    return Checkpoint("tiny_ckpt", unet, unet_config(unet, HEAD_WIDTH), vae, {})


@pytest.fixture(scope="module")
def model(parts):
    with torch.inference_mode():
        return bridge.load_model(parts, torch.float32)


def conditioned(golden, side):
    """CONDITIONING of one recorded text with the recorded skeleton, which ComfyUI wants unscaled."""
    return [[golden[f"ddim.context_{side}"], {bridge.SKELETON: golden["ddim.c_concat"] / LATENT_SCALE}]]


def sample(model, golden, scale, plan, start=None, noise=None):
    noise = golden["ddim.x_T"] if noise is None else noise
    conds = [conditioned(golden, side) for side in ("pos", "neg")]
    return bridge.sample_latents(model, *conds, noise, scale, plan, start) * LATENT_SCALE


def close(actual, expected, tolerance):
    worst = (actual - expected).abs().max().item()
    assert worst <= tolerance, f"differs by {worst:.2e}, allowed {tolerance:.0e}"


@torch.inference_mode()
def test_unet(golden, model):
    joined = torch.cat([golden["unet.x"], golden["unet.c_concat"]], 1)
    eps = model.model.diffusion_model(joined, golden["unet.t"], golden["unet.context"])
    close(eps, golden["unet.eps"], 1e-4)


@torch.inference_mode()
def test_vae(golden, parts):
    vae = native.load_vae(parts.vae, dtype=torch.float32)
    latents = vae.encode(golden["vae.pose_image"].movedim(1, -1) / 2 + 0.5) * LATENT_SCALE
    close(latents, golden["vae.latent_mode_scaled"], 1e-4)
    image = vae.decode(golden["vae.decode_in"] / LATENT_SCALE)
    expected = (golden["vae.decode_out"].movedim(1, -1) / 2 + 0.5).clamp(0, 1)
    close(image, expected, 1e-4)  # half of 2e-4: the range is half as wide


@pytest.mark.parametrize("scale", [1, 4, 10])
@pytest.mark.parametrize(("name", "legacy"), [("full5", False), ("demo4of5", True)])
@torch.inference_mode()
def test_our_sampler_is_the_released_ddim(golden, model, scale, name, legacy):
    plan = ddim.plan(len(golden["ddim.timesteps"]), legacy=legacy)
    close(sample(model, golden, scale, plan), golden[f"ddim.{name}_cfg{scale}"], 2e-3)


@torch.inference_mode()
def test_our_sampler_starts_from_a_picture(golden, model):
    plan = ddim.plan(len(golden["ddim.timesteps"]), strength=0.6)
    latents = sample(model, golden, 10, plan, golden["img2img.z0"], golden["img2img.noise"])
    close(latents, golden["img2img.out_strength0.6_cfg10"], 2e-3)


@pytest.mark.parametrize("scale", [1, 4, 10])
@torch.inference_mode()
def test_stock_ddim_ends_one_hundredth_beside(golden, model, scale):
    """Stock ``ddim`` goes on to sigma 0, where the original stops at its first alpha: 1 % of full scale."""
    steps = len(golden["ddim.timesteps"])
    sigma = ddim.sigma_of(ddim.full_plan(steps).alphas[-1])
    noise = golden["ddim.x_T"] * (1 + sigma**2) ** 0.5 / sigma  # ComfyUI multiplies by sigma alone
    conds = [conditioned(golden, side) for side in ("pos", "neg")]
    latents = comfy.sample.sample(
        model, noise, steps, scale, "ddim", "ddim_uniform", *conds, torch.zeros_like(noise), seed=0
    )
    expected = golden[f"ddim.full5_cfg{scale}"]
    close(latents * LATENT_SCALE, expected, 0.01 * expected.abs().max().item())
