"""HumanSD's files opened as MODEL, CLIP and VAE."""

from pathlib import Path

from ...pipelines.humansd import checkpoint
from .. import host, native
from ..compat import io, schema
from . import bridge

DEMO, DEMO_PLAIN = "humansd/*", "base/*-sd21"


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
                    "checkpoint", options=host.list_bases(DEMO),
                    tooltip="A file in models/checkpoints, or a folder of models/diffusers",
                ),
                native.weight_dtype_input(),
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
        dtype = native.weight_dtype(weight_dtype)
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
                    "checkpoint", options=host.list_bases(DEMO_PLAIN),
                    tooltip="v2-1_512-ema-pruned in models/checkpoints, or a folder of models/diffusers. "
                    "demo/ comes with the pack: a tiny one that knows mannequins only.",
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
        return host.path_state(find_plain, checkpoint)

    @classmethod
    def execute(cls, checkpoint) -> io.NodeOutput:
        """Read, widen and build."""
        return io.NodeOutput(*bridge.load(widened(checkpoint)))


def find(name: str) -> Path:
    """The file or folder that a combo names."""
    return host.base_path(name, DEMO)


def find_plain(name: str) -> Path:
    """The same for plain SD2.1."""
    return host.base_path(name, DEMO_PLAIN)


def read(name: str) -> checkpoint.Checkpoint:
    """Read the model that a combo names."""
    return checkpoint.read(find(name))


def widened(name: str) -> checkpoint.Checkpoint:
    """Read and widen the plain SD2.1 that a combo names."""
    return checkpoint.widened(find_plain(name))
