"""Tiny bases as ordinary MODEL, CLIP and VAE of ComfyUI: the same numbers as the standalone code."""

import pytest
import torch

pytest.importorskip("comfy", reason="needs ComfyUI (COMFYUI_PATH)")

import folder_paths
from comfy import supported_models
from comfyui_figura.nodes import host, native
from comfyui_figura.nodes.base.loaders import FiguraBaseLoader
from comfyui_figura.pipelines.base.configs import NewConfig
from comfyui_figura.pipelines.base.new import write_new
from comfyui_figura.pipelines.base.vae_task import new_vae
from comfyui_figura.pipelines.common import base_model, base_parts, text
from comfyui_figura.pipelines.common.errors import FiguraInputError, FiguraWeightsError
from comfyui_figura.pipelines.common.weights import load_state_dict, save_state_dict
from comfyui_figura.pipelines.common.write_base import WEIGHTS, single_file, write_module, write_small
from comfyui_figura.pipelines.mannequin import formats, storage
from comfyui_figura.pipelines.mannequin.configs import demo

FAMILIES = {"sd15": supported_models.SD15, "sd21": supported_models.SD20}
CAPTION = "a man with short gray hair, red sweater"


@pytest.fixture(scope="module", params=["sd15", "sd21"])
def made(request, tmp_path_factory):
    """A tiny base as training leaves it; the folder is named for its family."""
    out = tmp_path_factory.mktemp(request.param)
    people = storage.write_set(formats.CosmicMan(demo(64, 32), 5), out / "people", 2)
    torch.manual_seed(0)
    write_module(out / "vae", new_vae((32, 32, 32, 32), 1), WEIGHTS)
    return write_new(NewConfig(out / request.param, out / "vae", [people], request.param))


@pytest.fixture(scope="module", params=["file", "folder", "small folder"])
def packed(request, made):
    """(family, the folder's modules, the parts of what it was packed into)."""
    base = base_model.open_base(made, unet=True)
    path = made
    if request.param == "file":
        path = made.parent / "one.safetensors"
        save_state_dict(path, single_file(base.unet, base.encoders, base.vae, few_words=True))
    elif request.param == "small folder":
        path = made.parent / "small"
        write_small(path, base.unet, base.encoders, half=False)
    return FAMILIES[made.name], base, base_parts.open_parts(path, unet=True)


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


@pytest.fixture
def listed(made, monkeypatch):
    """The tiny base in models/checkpoints and models/diffusers: names of the loader's combo."""
    base = base_model.open_base(made, unet=True)
    save_state_dict(made.parent / "one.safetensors", single_file(base.unet, base.encoders, base.vae))
    for kind in ("checkpoints", "diffusers"):
        known = folder_paths.folder_names_and_paths[kind][1]
        monkeypatch.setitem(folder_paths.folder_names_and_paths, kind, ([str(made.parent)], known))
    folder_paths.filename_list_cache.clear()
    yield ["one.safetensors", host.IN_FOLDERS + made.name]
    folder_paths.filename_list_cache.clear()


@torch.inference_mode()
def test_the_base_loader_opens_files_and_folders_alike(listed, made):
    assert set(listed) < set(host.list_bases("base/mannequins-*"))
    want = base_model.open_base(made, unet=True).unet
    sample, times, words = torch.randn(2, 4, 8, 4), torch.tensor([7, 900]), torch.randn(2, 77, 64)
    for name in listed:
        model, clip, vae = FiguraBaseLoader.execute(name, "fp32").result
        assert type(model.model.model_config) is FAMILIES[made.name]
        got = model.model.diffusion_model(sample, times.float(), context=words)
        torch.testing.assert_close(got, want(sample, times, words).sample, rtol=0, atol=1e-5)
        assert clip.encode_from_tokens(clip.tokenize(CAPTION)).shape == (1, 77, 64)
        assert vae.decode(torch.zeros(1, 4, 8, 4)).shape == (1, 64, 32, 3)


@pytest.mark.parametrize(
    "name", ["absent.safetensors", "../one.safetensors", "", "demo/absent", "folder: ../x"]
)
def test_names_that_are_not_offered(name):
    with pytest.raises(FiguraInputError):
        FiguraBaseLoader.execute(name)


def test_humansd_is_sent_to_its_own_loader(listed, made):
    state = {"model.diffusion_model." + name: tensor for name, tensor in _wide(made).items()}
    path = made.parent / "wide.safetensors"
    rest = load_state_dict(made.parent / "one.safetensors")
    save_state_dict(path, rest | state)
    folder_paths.filename_list_cache.clear()
    with pytest.raises(FiguraWeightsError, match="8 input channels.*HumanSD Loader"):
        FiguraBaseLoader.execute(path.name)


def _wide(made):
    first = base_parts.open_folder(made, unet=True).unet["input_blocks.0.0.weight"]
    return {"input_blocks.0.0.weight": torch.cat([first, first], 1)}


def test_a_unet_alone_is_no_base(listed, made):
    path = made.parent / "unet.safetensors"
    state = load_state_dict(made.parent / "one.safetensors", prefix="model.diffusion_model.")
    save_state_dict(path, state)
    folder_paths.filename_list_cache.clear()
    with pytest.raises(FiguraWeightsError, match="no text encoder"):
        FiguraBaseLoader.execute(path.name)
