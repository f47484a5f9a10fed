"""Where StyleGAN's networks, directions and latents lie in ComfyUI."""

from pathlib import Path

import folder_paths

from ...pipelines.common.errors import FiguraInputError

FOLDER = "stylegan_human"
DIRECTIONS = "stylegan_directions"
DEMO = "stylegan_human"
OUTPUT = " [output]"


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
