"""Tiny HumanSD files in a model folder of their own, and what our loader makes of them."""

import pytest
import torch

pytest.importorskip("comfy", reason="no ComfyUI: set COMFYUI_PATH")

import folder_paths
from comfyui_figura.nodes.humansd import bridge
from comfyui_figura.nodes.humansd.conditioning import FiguraHumanSDApplySkeleton
from comfyui_figura.nodes.humansd.loaders import FiguraHumanSDLoader
from comfyui_figura.pipelines.demo import humansd as demo


@pytest.fixture(autouse=True)
def as_comfyui_runs_nodes():
    """ComfyUI runs execute under inference mode."""
    with torch.inference_mode():
        yield


@pytest.fixture(scope="session")
def models_dir(tmp_path_factory):
    """A models folder with humansd-v1.ckpt, plain SD2.1 and a LoRA, known to ComfyUI."""
    folder = tmp_path_factory.mktemp("models")
    demo.write_models(folder)
    for name in ("checkpoints", "diffusers"):
        folder_paths.add_model_folder_path(name, str(folder / name), is_default=True)
    return folder


@pytest.fixture(scope="session")
def loaded(models_dir):
    """(MODEL, CLIP, VAE) of the tiny file, the UNet in fp32."""
    with torch.inference_mode():
        return FiguraHumanSDLoader.execute(demo.CHECKPOINT, "fp32").result


@pytest.fixture(scope="session")
def prompts(loaded):
    """CONDITIONING of a prompt and of a negative."""
    with torch.inference_mode():
        return tuple(bridge.encode_prompt(loaded[1], text) for text in ("two dancers", "blurry"))


@pytest.fixture(scope="session")
def skeleton():
    """A 128 x 192 skeleton picture: two coloured lines on black."""
    image = torch.zeros(1, 192, 128, 3)
    image[:, 20:150, 40:50] = torch.tensor([0.86, 0.37, 0.34])
    image[:, 100:110, 10:110] = torch.tensor([0.34, 0.86, 0.5])
    return image


@pytest.fixture
def apply(prompts, loaded, skeleton):
    """Apply Skeleton with changes to its defaults; returns (positive, negative, latent)."""

    def run(image=None, **changes):
        image = skeleton if image is None else image
        given = {"positive": prompts[0], "negative": prompts[1], "vae": loaded[2], "skeleton": image}
        return FiguraHumanSDApplySkeleton.execute(**{**given, **changes}).result

    return run
