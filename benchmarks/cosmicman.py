"""CosmicMan's nodes against the stock ones on the same UNet of the full SD1.5 size, random weights.

Ours must cost nothing: CosmicMan is an ordinary MODEL. Needs ComfyUI (COMFYUI_PATH or ~/comfy/ComfyUI).
"""

import os
import sys
import tempfile
from pathlib import Path

import torch

from .measure import Record, compare

ROOT = Path(__file__).resolve().parent.parent
LATENT = 32  # 256 x 256 pixels: a step of some seconds on one thread


def run() -> list[Record]:
    """One step with guidance: UNETLoader + KSampler against CosmicMan Loader + CosmicMan Sampler."""
    comfyui = Path(os.environ.get("COMFYUI_PATH") or Path.home() / "comfy" / "ComfyUI")
    if not (comfyui / "comfy").is_dir():
        print("cosmicman          not measured: no ComfyUI at COMFYUI_PATH or ~/comfy/ComfyUI")
        return []
    _load_pack(comfyui)
    import folder_paths

    with tempfile.TemporaryDirectory() as folder, torch.inference_mode():
        _write(Path(folder) / "CosmicMan-SD")
        folder_paths.folder_names_and_paths["diffusion_models"][0].insert(0, folder)
        folder_paths.filename_list_cache.clear()
        return [_compare()]


def _load_pack(comfyui: Path) -> None:
    """Import the pack and ComfyUI as the tests do."""
    os.environ["COMFYUI_PATH"] = str(comfyui)
    sys.path.insert(0, str(ROOT / "tests"))
    import conftest  # noqa: F401


def _write(folder: Path) -> None:
    """CosmicMan-SD's layout with random weights, in fp16."""
    import json

    from comfyui_figura.pipelines.common.weights import save_state_dict
    from comfyui_figura.pipelines.cosmicman.checkpoint import sd_config
    from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel

    with torch.device("meta"):
        shapes = UNet2DConditionModel.from_config(sd_config()).state_dict()
    rng = torch.Generator().manual_seed(0)
    state = {
        name: (torch.randn(like.shape, generator=rng) * 0.02 + (like.ndim == 1) * 0.5).half()
        for name, like in shapes.items()
    }
    save_state_dict(folder / "diffusion_pytorch_model.safetensors", state)
    (folder / "config.json").write_text(json.dumps(sd_config()))


def _compare() -> Record:
    from comfyui_figura.nodes.cosmicman.loaders import FiguraCosmicManLoader
    from comfyui_figura.nodes.cosmicman.sampler import FiguraCosmicManSampler

    import nodes as stock

    (ours,) = FiguraCosmicManLoader.execute("CosmicMan-SD").result
    name = "CosmicMan-SD/diffusion_pytorch_model.safetensors"
    (theirs,) = stock.UNETLoader().load_unet(name, "default")
    rng = torch.Generator().manual_seed(1)
    words = [[[torch.randn(1, 77, 768, generator=rng), {}]] for _ in range(2)]
    latent = {"samples": torch.zeros(1, 4, LATENT, LATENT)}

    def native():
        return FiguraCosmicManSampler.execute(ours, *words, latent, 1, 1).result[0]["samples"]

    def ksampler():
        return stock.KSampler().sample(theirs, 1, 1, 7.5, "euler", "normal", *words, latent)[0]["samples"]

    assert torch.equal(native(), ksampler()), "the two ways must give the same latents"
    return compare("native_step", native, ksampler, "stock UNETLoader + KSampler", repeats=5)
