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
    """Names for a loader's combo: the pack's demo models of system ``demo`` first, then the user's files."""
    cards = (".md", ".json")  # lie beside the models they describe
    shipped = sorted(p.name for p in (DEMO_MODELS / demo).glob("*") if p.suffix not in cards) if demo else []
    return [DEMO_PREFIX + name for name in shipped] + folder_paths.get_filename_list(folder)


def model_path(folder: str, name: str, demo: str | None = None) -> Path:
    """Resolve a combo's name. Only names that ``list_models`` offers are accepted, so no path can escape."""
    names = list_models(folder, demo)
    if name not in names:
        where = f"models/{folder}"
        came = f"'{name}', which is not in {where}" if names else f"'{name}', and {where} is empty"
        raise FiguraInputError("model", came, f"a file in {where}", "Put it there, then press R.")
    if demo and name.startswith(DEMO_PREFIX):
        return DEMO_MODELS / demo / name.removeprefix(DEMO_PREFIX)
    return Path(folder_paths.get_full_path_or_raise(folder, name))


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
