"""HumanSD's files opened as MODEL, CLIP and VAE."""

from pathlib import Path

import folder_paths

from ...pipelines.common.errors import FiguraInputError
from ...pipelines.humansd import checkpoint
from .. import host, native
from ..compat import advanced, io, one_of, schema
from . import bridge

FOLDER = "folder: "  # before the names of diffusers folders in the combo
DTYPE_HELP = "Type of the UNet's weights. auto: what ComfyUI takes on this device."


class FiguraHumanSDLoader(io.ComfyNode):
    """Open HumanSD, which paints people in the pose of a drawn skeleton."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """What the page shows."""
        return schema(
            node_id="FiguraHumanSDLoader",
            display_name="HumanSD Loader",
            category="figura/humansd",
            description="Opens humansd-v1.ckpt (or .safetensors, or a diffusers folder). MODEL works with "
            "every sampler, LoRA and ControlNet for SD2.1; prompts must pass HumanSD Apply Skeleton.",
            search_aliases=["humansd", "pose checkpoint", "skeleton model", "humansd-v1.ckpt"],
            inputs=[
                io.Combo.Input(
                    "checkpoint", options=model_names(),
                    tooltip="A file in models/checkpoints, or a folder of models/diffusers",
                ),
                advanced(
                    io.Combo, "weight_dtype", options=list(native.DTYPES), default="auto", tooltip=DTYPE_HELP
                ),
            ],
            outputs=[
                io.Model.Output(display_name="model", tooltip="HumanSD's UNet, for any sampler."),
                io.Clip.Output(display_name="clip", tooltip="Its text encoder (OpenCLIP ViT-H)."),
                io.Vae.Output(display_name="vae", tooltip="Its VAE; also encodes the skeleton."),
            ],
        )  # fmt: skip

    @classmethod
    def fingerprint_inputs(cls, checkpoint, weight_dtype="auto"):
        """Load again when the file was changed."""
        return host.path_state(find, checkpoint)

    @classmethod
    def execute(cls, checkpoint, weight_dtype="auto") -> io.NodeOutput:
        """Read, check and build."""
        dtype = native.DTYPES[one_of("weight_dtype", weight_dtype, native.DTYPES)]
        return io.NodeOutput(*bridge.load(read(checkpoint), dtype))


class FiguraHumanSDFromSD21(io.ComfyNode):
    """Widen plain SD2.1 to HumanSD's eight input channels, as a start for training."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """What the page shows."""
        return schema(
            node_id="FiguraHumanSDFromSD21",
            display_name="HumanSD From SD2.1",
            category="figura/humansd",
            description="Opens plain Stable Diffusion 2.1-base with four more input channels of zero weight: "
            "training starts there. Until trained it ignores the skeleton; keep it with Save Checkpoint.",
            search_aliases=["widen", "8 channels", "humansd training start"],
            inputs=[
                io.Combo.Input(
                    "checkpoint", options=folder_paths.get_filename_list("checkpoints"),
                    tooltip="v2-1_512-ema-pruned in models/checkpoints.",
                ),
            ],
            outputs=[
                io.Model.Output(display_name="model", tooltip="The UNet with 8 input channels."),
                io.Clip.Output(display_name="clip", tooltip="The file's text encoder."),
                io.Vae.Output(display_name="vae", tooltip="The file's VAE."),
            ],
            is_experimental=True,
        )  # fmt: skip

    @classmethod
    def fingerprint_inputs(cls, checkpoint):
        """Load again when the file was changed."""
        return host.file_state("checkpoints", checkpoint)

    @classmethod
    def execute(cls, checkpoint) -> io.NodeOutput:
        """Read, widen and build."""
        return io.NodeOutput(*bridge.load(widened(checkpoint)))


def model_names() -> list[str]:
    """Checkpoints, then diffusers folders."""
    return host.list_models("checkpoints", demo="humansd") + [FOLDER + name for name in _folders()]


def _folders() -> dict[str, Path]:
    """Folders of models/diffusers that hold a whole model, by name."""
    roots = [Path(root) for root in folder_paths.get_folder_paths("diffusers")]
    found = (index.parent for root in roots for index in sorted(root.glob("*/model_index.json")))
    return {path.name: path for path in found}


def find(name: str) -> Path:
    """The file or folder that a combo names."""
    if not name.startswith(FOLDER):
        return host.model_path("checkpoints", name, demo="humansd")
    path = _folders().get(name.removeprefix(FOLDER))
    if path is None:
        raise FiguraInputError("checkpoint", f"'{name}'", "a folder in models/diffusers", "Press R.")
    return path


def read(name: str) -> checkpoint.Checkpoint:
    """Read the model that a combo names."""
    return checkpoint.read(find(name))


def widened(name: str) -> checkpoint.Checkpoint:
    """Read and widen the plain SD2.1 that a combo names."""
    return checkpoint.widened(host.model_path("checkpoints", name))
