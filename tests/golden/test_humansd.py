"""HumanSD's networks and its DDIM against tensors of the original implementation.

``FIGURA_GOLDEN`` names another folder of the same files; all sizes but the heads' width are read from them.
"""

import os
from pathlib import Path

import pytest
import torch
from comfyui_figura.pipelines.common.base_model import build_vae
from comfyui_figura.pipelines.common.ldm import strip_prefix
from comfyui_figura.pipelines.common.weights import load_state_dict
from comfyui_figura.pipelines.humansd import ddim, vae
from comfyui_figura.pipelines.humansd.unet import build_unet

DATA = Path(os.environ.get("FIGURA_GOLDEN") or Path(__file__).parent / "data") / "humansd"
HEAD_WIDTH = 16  # of the golden network (its README); no shape tells it
CFGS = (1, 4, 10)


@pytest.fixture(scope="module")
def golden():
    """The recorded tensors."""
    return load_state_dict(DATA / "tensors.safetensors")


@pytest.fixture(scope="module")
def checkpoint():
    """The tiny network's weights in float32, under the released names."""
    return {name: tensor.float() for name, tensor in load_state_dict(DATA / "tiny_ckpt.safetensors").items()}


@pytest.fixture(scope="module")
def unet(checkpoint):
    """diffusers' UNet with the tiny weights."""
    return build_unet(strip_prefix(checkpoint, "model.diffusion_model."), HEAD_WIDTH)


@pytest.fixture(scope="module")
def autoencoder(checkpoint):
    """diffusers' autoencoder with the tiny weights."""
    return build_vae(strip_prefix(checkpoint, "first_stage_model."), {}, "VAE")


def close(actual: torch.Tensor, expected: torch.Tensor, tolerance: float) -> None:
    """Compare the largest absolute difference with the tolerance of the golden set's README."""
    worst = (actual - expected).abs().max().item()
    assert worst <= tolerance, f"differs by {worst:.2e}, allowed {tolerance:.0e}"


@torch.inference_mode()
def test_vae_encodes(golden, autoencoder):
    posterior = autoencoder.encode(golden["vae.pose_image"]).latent_dist
    close(posterior.parameters, golden["vae.moments"], 1e-4)
    close(vae.encode(autoencoder, golden["vae.pose_image"]), golden["vae.latent_mode_scaled"], 1e-4)


@torch.inference_mode()
def test_vae_decodes(golden, autoencoder):
    close(vae.decode(autoencoder, golden["vae.decode_in"]), golden["vae.decode_out"], 2e-4)


@torch.inference_mode()
def test_unet_takes_noise_first_and_pose_second(golden, unet):
    joined = torch.cat([golden["unet.x"], golden["unet.c_concat"]], 1)
    eps = unet(joined, golden["unet.t"], golden["unet.context"]).sample
    close(eps, golden["unet.eps"], 1e-4)
    swapped = torch.cat([golden["unet.c_concat"], golden["unet.x"]], 1)
    eps = unet(swapped, golden["unet.t"], golden["unet.context"]).sample
    close(eps, golden["unet.eps_if_concat_order_swapped"], 1e-4)
    assert (golden["unet.eps_if_concat_order_swapped"] - golden["unet.eps"]).abs().max() > 1e-2


def predictor(golden, unet, scale):
    """What the sampler asks for: the guided noise of the recorded skeleton and texts."""

    def predict(latents, timestep):
        joined = torch.cat([latents, golden["ddim.c_concat"]], 1)
        t = torch.full((len(latents),), timestep)
        positive, negative = (
            unet(joined, t, golden[f"ddim.context_{side}"]).sample for side in ("pos", "neg")
        )
        return ddim.guided(positive, negative, scale)

    return predict


def test_schedule(golden):
    steps = ddim.full_plan(len(golden["ddim.timesteps"]))
    assert list(steps.timesteps) == golden["ddim.timesteps"].tolist()
    close(torch.tensor(steps.alphas), golden["ddim.alphas"], 1e-6)
    close(torch.tensor(steps.alphas_prev), golden["ddim.alphas_prev"], 1e-6)


@pytest.mark.parametrize("scale", CFGS)
@pytest.mark.parametrize(("name", "legacy"), [("full5", False), ("demo4of5", True)])
@torch.inference_mode()
def test_ddim(golden, unet, scale, name, legacy):
    steps = ddim.plan(len(golden["ddim.timesteps"]), legacy=legacy)
    latents = ddim.denoise(predictor(golden, unet, scale), golden["ddim.x_T"], steps)
    close(latents, golden[f"ddim.{name}_cfg{scale}"], 2e-3)


@torch.inference_mode()
def test_img2img(golden, unet):
    steps = ddim.plan(len(golden["ddim.timesteps"]), strength=0.6)
    start = ddim.noised(golden["img2img.z0"], golden["img2img.noise"], steps.start)
    close(start, golden["img2img.z_enc_strength0.6"], 1e-5)
    latents = ddim.denoise(predictor(golden, unet, 10), start, steps)
    close(latents, golden["img2img.out_strength0.6_cfg10"], 2e-3)
