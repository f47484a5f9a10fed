"""Open a Stable Diffusion base of any size."""

from .. import host, native
from ..compat import io, schema
from . import bridge


class FiguraBaseLoader(io.ComfyNode):
    """Open Stable Diffusion 1.5, 2.x or XL of any size, from one file or a diffusers folder."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """What the page shows."""
        return schema(
            node_id="FiguraBaseLoader",
            display_name="Base Loader",
            category="figura/base",
            description="Opens Stable Diffusion 1.5, 2.x or XL of any size: the tiny ones that come with the "
            "pack (demo/…) and those you trained with figura base. Load Checkpoint knows the released sizes "
            "only. The demo models know mannequins of 64 x 128 pixels and nothing else.",
            search_aliases=["checkpoint", "demo model", "mannequin", "tiny", "diffusers", "sd15", "sd21"],
            inputs=[
                io.Combo.Input(
                    "checkpoint", options=host.list_bases(bridge.DEMO),
                    tooltip="A file in models/checkpoints, or a folder of models/diffusers. Names that begin "
                    "with demo/ come with the pack.",
                ),
                native.weight_dtype_input(),
            ],
            outputs=[
                io.Model.Output(display_name="model", tooltip="For any sampler, LoRA or ControlNet node."),
                io.Clip.Output(display_name="clip", tooltip="Its text encoder."),
                io.Vae.Output(display_name="vae", tooltip="Its autoencoder."),
            ],
        )  # fmt: skip

    @classmethod
    def fingerprint_inputs(cls, checkpoint, weight_dtype="auto"):
        """Load again when the file was changed."""
        return host.path_state(bridge.find, checkpoint)

    @classmethod
    def execute(cls, checkpoint, weight_dtype="auto") -> io.NodeOutput:
        """Read, check and build."""
        return io.NodeOutput(*bridge.load(checkpoint, weight_dtype))
