"""Where StyleGAN's networks, directions and latents lie in ComfyUI."""

from pathlib import Path

import folder_paths

from ...pipelines.common.errors import FiguraInputError
from ...pipelines.stylegan_human.choices import LATENT_SUFFIXES
from .. import host

FOLDER = "stylegan_human"
DIRECTIONS = "stylegan_directions"
CLIP = "clip_vision"
PERCEPTUAL = "perceptual"
ENCODERS = "stylegan_encoders"
DEMO = "stylegan_human/*"
OUTPUT = " [output]"
DIRECTION_FILES = (".safetensors", ".pt", ".npy", ".pkl")
SAVED_DIRECTIONS = "directions"  # in the output folder, where StyleGAN Save Direction writes


def latent_names() -> list[str]:
    """Saved latents in ComfyUI's input folder, and those in its output folder marked [output]."""
    given = _files(Path(folder_paths.get_input_directory()), LATENT_SUFFIXES)
    saved = _files(Path(folder_paths.get_output_directory()), LATENT_SUFFIXES)
    return given + [name + OUTPUT for name in saved]


def _files(root: Path, suffixes: tuple[str, ...], inside: str = "") -> list[str]:
    found = (path for path in (root / inside).rglob("*") if path.suffix in suffixes and path.is_file())
    return sorted(path.relative_to(root).as_posix() for path in found)


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


def direction_names() -> list[str]:
    """Directions in models/stylegan_directions, and those that Save Direction wrote, marked [output]."""
    saved = _files(Path(folder_paths.get_output_directory()), DIRECTION_FILES, SAVED_DIRECTIONS)
    return host.list_models(DIRECTIONS) + [name + OUTPUT for name in saved]


def direction_path(name: str) -> Path:
    """Resolve a name that ``direction_names`` offers."""
    if name.endswith(OUTPUT) and name in direction_names():
        return Path(folder_paths.get_output_directory()) / name.removesuffix(OUTPUT)
    return host.model_path(DIRECTIONS, name)


def save_path(prefix: str, suffix: str = ".safetensors") -> Path:
    """The next free file name for a prefix, inside ComfyUI's output folder."""
    root = folder_paths.get_output_directory()
    inside = Path(root).resolve()
    if not prefix.strip() or "\0" in prefix or not (inside / prefix).resolve().is_relative_to(inside):
        raise FiguraInputError("filename prefix", repr(prefix[:80]), "a name inside ComfyUI's output folder")
    folder, name, counter, _, _ = folder_paths.get_save_image_path(prefix, root)
    while (path := Path(folder) / f"{name}_{counter:05}_{suffix}").exists():
        counter += 1
    return path
