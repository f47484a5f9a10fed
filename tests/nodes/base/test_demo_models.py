"""The trained bases that the pack ships: listed as demo/…, opened by the nodes; they draw what is asked."""

import pytest

pytest.importorskip("comfy", reason="no ComfyUI: set COMFYUI_PATH")

import torch
from comfyui_figura.nodes import host
from comfyui_figura.nodes.base.bridge import DEMO
from comfyui_figura.nodes.base.loaders import FiguraBaseLoader
from comfyui_figura.nodes.cosmicman.loaders import FiguraCosmicManCheckpointLoader
from comfyui_figura.pipelines.common.manifest import sha256
from comfyui_figura.pipelines.demo.base import SHIPPED, shipped
from comfyui_figura.pipelines.mannequin.captions import plain_caption
from comfyui_figura.pipelines.mannequin.configs import demo
from comfyui_figura.pipelines.mannequin.formats import CosmicMan
from comfyui_figura.pipelines.mannequin.reader.reading import load_reader
from comfyui_figura.pipelines.mannequin.reader.scores import caption_scores

import nodes as stock

NAMES = [f"demo/{path.name}" for path in shipped()]
WANTED = {"demo/mannequins-sd15": 0.7, "demo/mannequins-sd21": 0.5}  # the cards state more, of more pictures
PICTURES = 24


def test_the_loader_offers_them_and_all_demo_models_are_small():
    assert [name for name in host.list_bases(DEMO) if name.startswith("demo/")] == NAMES == sorted(WANTED)
    assert sum(path.stat().st_size for path in SHIPPED.parent.rglob("*") if path.is_file()) < 28 << 20


@pytest.mark.parametrize("folder", shipped(), ids=lambda path: path.name)
def test_each_has_a_card_for_these_very_files(folder):
    card = folder.with_suffix(".md").read_text(encoding="utf-8")
    for file in folder.rglob("*.safetensors"):
        assert sha256(file) in card, f"{file.name} is not the one of the card"


def asked() -> list[str]:
    """Captions of figures that no training saw."""
    world = CosmicMan(demo(128, 64), seed=99)
    return [plain_caption(world.draw(index), short=True) for index in range(PICTURES)]


def draw(model, clip, vae, captions: list[str]) -> torch.Tensor:
    """One picture for each caption by the stock sampler: [B, H, W, 3]."""
    empty = stock.CLIPTextEncode().encode(clip, "")[0]
    pictures = []
    for seed, caption in enumerate(captions):
        words = stock.CLIPTextEncode().encode(clip, caption)[0]
        latent = {"samples": torch.zeros(1, 4, 16, 8)}
        (done,) = stock.KSampler().sample(
            model, seed, 15, 3.0, "dpmpp_2m", "karras", words, empty, latent, 1.0
        )
        pictures.append(vae.decode(done["samples"]))
    return torch.cat(pictures)


@pytest.mark.parametrize("name", NAMES)
@torch.inference_mode()
def test_clothes_have_the_colours_that_were_asked_for(name):
    """Chance is .125; a model that ignores its text, or opens with wrong weights, fails."""
    captions = asked()
    images = draw(*FiguraBaseLoader.execute(name).result, captions)
    assert images.shape == (PICTURES, 128, 64, 3)
    readings = load_reader().read(images.movedim(3, 1) * 2 - 1)
    assert caption_scores(readings, captions)["clothes_colors"] >= WANTED[name]
    assert caption_scores(readings, [*captions[1:], captions[0]])["clothes_colors"] < 0.4


@torch.inference_mode()
def test_cosmicmans_loader_opens_the_same_model():
    name = "demo/mannequins-sd15"
    loaded = FiguraBaseLoader.execute(name, "fp32").result
    other = FiguraCosmicManCheckpointLoader.execute(name, "auto", name, False, "fp32").result[:3]
    captions = asked()[:1]
    torch.testing.assert_close(draw(*loaded, captions), draw(*other, captions), rtol=0, atol=1e-5)
