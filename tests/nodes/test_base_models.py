"""Tiny bases as ordinary MODEL, CLIP and VAE of ComfyUI: the same numbers as the standalone code."""

import pytest
import torch

pytest.importorskip("comfy", reason="needs ComfyUI (COMFYUI_PATH)")

from comfy import supported_models
from comfyui_figura.nodes import native
from comfyui_figura.pipelines.base.configs import NewConfig
from comfyui_figura.pipelines.base.new import write_new
from comfyui_figura.pipelines.base.vae_task import new_vae
from comfyui_figura.pipelines.common import base_model, text
from comfyui_figura.pipelines.common.weights import save_state_dict
from comfyui_figura.pipelines.common.write_base import WEIGHTS, single_file, write_module
from comfyui_figura.pipelines.mannequin import formats, storage
from comfyui_figura.pipelines.mannequin.configs import demo

FAMILIES = {"sd15": supported_models.SD15, "sd21": supported_models.SD20}
CAPTION = "a man with short gray hair, red sweater"


@pytest.fixture(scope="module", params=["sd15", "sd21"])
def packed(request, tmp_path_factory):
    """(family, the folder's modules, a single file with few words)."""
    out = tmp_path_factory.mktemp(request.param)
    people = storage.write_set(formats.CosmicMan(demo(64, 32), 5), out / "people", 2)
    torch.manual_seed(0)
    write_module(out / "vae", new_vae((32, 32, 32, 32), 1), WEIGHTS)
    folder = write_new(NewConfig(out / "base", out / "vae", [people], request.param))
    base = base_model.open_base(folder, unet=True)
    path = out / "one.safetensors"
    save_state_dict(path, single_file(base.unet, base.encoders, base.vae, few_words=True))
    return FAMILIES[request.param], base, base_model.open_checkpoint(path, unet=True)


@torch.inference_mode()
def test_the_unet_answers_alike(packed):
    family, base, parts = packed
    config = native.unet_config_from_ldm(parts.unet, family)
    model = native.load_unet(parts.unet, config, family, dtype=torch.float32).model.diffusion_model
    sample, times, words = torch.randn(2, 4, 8, 4), torch.tensor([7, 900]), torch.randn(2, 77, 64)
    want = base.unet(sample, times, words).sample
    torch.testing.assert_close(model(sample, times.float(), context=words), want, rtol=0, atol=1e-5)


@torch.inference_mode()
def test_the_text_encoder_answers_alike(packed):
    family, base, parts = packed
    clip = native.load_clip(parts.encoders, family, dtype=torch.float32)
    got = clip.encode_from_tokens(clip.tokenize(CAPTION))
    want = text.encode(base.encoders, [CAPTION]).embeds
    torch.testing.assert_close(got.float().cpu(), want, rtol=0, atol=1e-4)


@torch.inference_mode()
def test_the_vae_answers_alike(packed):
    _, base, parts = packed
    vae = native.load_vae(parts.vae, dtype=torch.float32)
    latents = torch.randn(1, 4, 8, 4)
    want = (base.vae.decode(latents).sample.movedim(1, -1) / 2 + 0.5).clamp(0, 1)
    torch.testing.assert_close(vae.decode(latents).cpu(), want, rtol=0, atol=1e-5)
    pixels = torch.rand(1, 64, 32, 3)
    want = base.vae.encode(pixels.movedim(-1, 1) * 2 - 1).latent_dist.mean
    torch.testing.assert_close(vae.encode(pixels).cpu(), want, rtol=0, atol=1e-5)
