"""Generators in ComfyUI: loaded as ordinary weights, moved by its model management, latents in its
folders.
"""

from pathlib import Path

import folder_paths
import torch
from comfy.model_patcher import ModelPatcher
from torch import Tensor

from ...pipelines.common.errors import FiguraInputError
from ...pipelines.common.images import to_image
from ...pipelines.stylegan_human.generate import sample_ws, synthesize
from ...pipelines.stylegan_human.latent_file import Latents
from ...pipelines.stylegan_human.loading import load_generator
from .. import host

FOLDER = "stylegan_human"
DEMO = "stylegan_human"
OUTPUT = " [output]"


def load(name: str) -> ModelPatcher:
    """The generator of a combo's name. Its weights are ordinary tensors, so that later nodes may train on
    them.
    """
    with torch.inference_mode(False), torch.no_grad():
        return host.as_patcher(load_generator(host.model_path(FOLDER, name, DEMO)))


def sample(patcher: ModelPatcher, seeds: list[int], psi: float, cutoff: int) -> Latents:
    """Latents of the seeds. ``cutoff`` 0 stands for the network's own."""
    return Latents(sample_ws(host.on_device(patcher), seeds, psi, cutoff or None).cpu(), tuple(seeds))


def render(patcher: ModelPatcher, latents: Latents, noise_mode: str, noise_seeds: list[int]) -> Tensor:
    """IMAGE batch of the latents, with progress, preview and interruption."""
    generator = host.on_device(patcher)
    progress = host.NodeProgress(len(latents.ws) * generator.synthesis.num_steps)
    pixels = synthesize(generator, latents.ws, noise_mode, noise_seeds, progress=progress)
    return host.result(to_image(pixels))


def check(latents, what: str = "latent") -> Latents:
    """Refuse what is no value of our own latents socket."""
    if not isinstance(latents, Latents):
        raise FiguraInputError(what, type(latents).__name__, "the latent output of a StyleGAN node")
    return latents


def latent_names() -> list[str]:
    """Saved latents: .safetensors in ComfyUI's input folder, and those in its output folder marked
    [output].
    """
    given = _files(Path(folder_paths.get_input_directory()))
    return given + [name + OUTPUT for name in _files(Path(folder_paths.get_output_directory()))]


def _files(root: Path) -> list[str]:
    return sorted(path.relative_to(root).as_posix() for path in root.rglob("*.safetensors") if path.is_file())


def latent_path(name: str) -> Path:
    """Resolve a name that ``latent_names`` offers; any other is refused, so no path can escape."""
    names = latent_names()
    if name not in names:
        raise FiguraInputError(
            "latent", f"'{name}', which is not in the input or output folder",
            ", ".join(names[:5]) or "a file saved by StyleGAN Save Latent", "Save one first, then press R.",
        )  # fmt: skip
    if name.endswith(OUTPUT):
        return Path(folder_paths.get_output_directory()) / name.removesuffix(OUTPUT)
    return Path(folder_paths.get_input_directory()) / name


def save_path(prefix: str) -> Path:
    """The next free file name for a prefix, inside ComfyUI's output folder."""
    root = folder_paths.get_output_directory()
    inside = Path(root).resolve()
    if not prefix.strip() or "\0" in prefix or not (inside / prefix).resolve().is_relative_to(inside):
        raise FiguraInputError("filename prefix", repr(prefix[:80]), "a name inside ComfyUI's output folder")
    folder, name, counter, _, _ = folder_paths.get_save_image_path(prefix, root)
    while (path := Path(folder) / f"{name}_{counter:05}_.safetensors").exists():
        counter += 1
    return path


def with_ws(ws: Tensor) -> Latents:
    """A latent that no seed gives."""
    return Latents(ws)
