"""What every system asks of ComfyUI: model folders, weights on a device, progress, gradients."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import comfy.model_management as management
import comfy.model_patcher
import comfy.utils
import folder_paths
import torch
from torch import Tensor, nn

from ..pipelines.common.errors import FiguraInputError

DEMO_PREFIX = "demo/"
CHECKPOINTS = "checkpoints"
IN_FOLDERS = "folder: "  # before the names of diffusers folders in a combo
DEMO_MODELS = Path(__file__).parent.parent / "pipelines" / "demo" / "models"
WEIGHT_SUFFIXES = {".safetensors", ".ckpt", ".pt", ".pth", ".bin", ".pkl"}


def register_folder(name: str, suffixes: set[str] = WEIGHT_SUFFIXES, saved: bool = False) -> None:
    """Make ``models/<name>`` a model folder, unless the user's extra_model_paths.yaml did already.

    ``saved``: look in ``output/<name>`` too, where a node of ours saves such models.
    """
    folder_paths.add_model_folder_path(name, str(Path(folder_paths.models_dir) / name))
    if saved:
        folder_paths.add_model_folder_path(name, str(Path(folder_paths.get_output_directory()) / name))
    paths, known = folder_paths.folder_names_and_paths[name]
    folder_paths.folder_names_and_paths[name] = (paths, set(known) | suffixes)


def list_models(folder: str, demo: str | None = None) -> list[str]:
    """Names for a loader's combo: the user's files first, then the pack's demo models.

    ``demo``: which demo models, as a pattern below DEMO_MODELS, such as ``stylegan_human/*``.
    """
    return [*folder_paths.get_filename_list(folder), *_demo_models(demo)]


def _demo_models(demo: str | None) -> dict[str, Path]:
    """Files and folders by the names they are listed under."""
    cards = (".md", ".json")  # lie beside the models they describe
    found = sorted(DEMO_MODELS.glob(demo)) if demo else []
    return {DEMO_PREFIX + path.name: path for path in found if path.suffix not in cards}


def model_path(folder: str, name: str, demo: str | None = None) -> Path:
    """Resolve a combo's name. Only names that ``list_models`` offers are accepted, so no path can escape."""
    shipped = _demo_models(demo)
    if name in shipped:
        return shipped[name]
    names = list_models(folder, demo)
    if name not in names:
        where = f"models/{folder}"
        came = f"'{name}', which is not in {where}" if names else f"'{name}', and {where} is empty"
        raise FiguraInputError("model", came, f"a file in {where}", "Put it there, then press R.")
    return Path(folder_paths.get_full_path_or_raise(folder, name))


def list_bases(demo: str | None = None) -> list[str]:
    """Names of whole diffusion models: files in models/checkpoints, diffusers folders, demo models."""
    folders = [IN_FOLDERS + name for name in _diffusers_folders()]
    return [*folder_paths.get_filename_list(CHECKPOINTS), *folders, *_demo_models(demo)]


def base_path(name: str, demo: str | None = None) -> Path:
    """The file or folder behind a name of ``list_bases``."""
    if not name.startswith(IN_FOLDERS):
        return model_path(CHECKPOINTS, name, demo)
    path = _diffusers_folders().get(name.removeprefix(IN_FOLDERS))
    if path is None:
        raise FiguraInputError("checkpoint", f"'{name}'", "a folder in models/diffusers", "Press R.")
    return path


def _diffusers_folders() -> dict[str, Path]:
    """Folders of models/diffusers that hold a whole model, by name."""
    roots = [Path(root) for root in folder_paths.get_folder_paths("diffusers")]
    found = (index.parent for root in roots for index in sorted(root.glob("*/model_index.json")))
    return {path.name: path for path in found}


def file_state(folder: str, name: str, demo: str | None = None) -> str:
    """A cache token that changes when the file of a combo's name changes; a bad name is left to
    ``execute``.
    """
    return path_state(lambda chosen: model_path(folder, chosen, demo), name)


def path_state(resolve: Callable[[str], Path], name: str) -> str:
    """Size and time of the file that ``resolve`` finds for ``name``, or the name where it finds none."""
    try:
        state = resolve(name).stat()
    except (FiguraInputError, OSError):
        return name
    return f"{state.st_size} {state.st_mtime_ns}"


def as_patcher(module: nn.Module) -> comfy.model_patcher.ModelPatcher:
    """Wrap a module so that ComfyUI moves it to the device, and frees it under memory pressure."""
    return comfy.model_patcher.ModelPatcher(
        module, load_device=management.get_torch_device(), offload_device=management.unet_offload_device()
    )


def on_device(patcher: comfy.model_patcher.ModelPatcher, memory_required: int = 0) -> nn.Module:
    """Load a patcher's weights onto its device and return the module, ready to run there."""
    management.load_models_gpu([patcher], memory_required=memory_required)
    return patcher.model


def result(image: Tensor) -> Tensor:
    """Bring an output to where ComfyUI keeps values between nodes, contiguous and without gradient."""
    return image.detach().to(management.intermediate_device()).contiguous()


class NodeProgress:
    """A pipelines ``Progress`` that moves the node's bar, shows the preview, and stops on interrupt."""

    def __init__(self, total: int) -> None:
        self._bar = comfy.utils.ProgressBar(total)

    def __call__(self, done: int, total: int, preview: Tensor | None = None) -> None:
        management.throw_exception_if_processing_interrupted()
        self._bar.update_absolute(done, total, None if preview is None else _preview(preview))


def _preview(pixels: Tensor):
    from PIL import Image

    from ..pipelines.common.images import to_uint8

    picture = Image.fromarray(to_uint8(pixels[None])[0])
    return "JPEG", picture, min(512, max(picture.size))


@contextmanager
def gradients() -> Iterator[None]:
    """Lift the inference mode that ComfyUI runs nodes in.

    Tensors that come from outside must be cloned inside the block, and weights built or cloned there.
    """
    with torch.inference_mode(False), torch.enable_grad():
        yield
