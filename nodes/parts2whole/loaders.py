"""The released Parts2Whole folder and a clothes segmenter, opened."""

from .. import native, sockets
from ..compat import io, schema
from . import folders


class FiguraParts2WholeLoader(io.ComfyNode):
    """Open Parts2Whole, which composes one person from reference pictures of parts."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """What the page shows."""
        return schema(
            node_id="FiguraParts2WholeLoader",
            display_name="Parts2Whole Loader",
            category="figura/parts2whole",
            description="Opens the released Parts2Whole folder. MODEL already has the right noise "
            "schedule and "
            "works with stock samplers, LoRA and ControlNet for SD1.5; put Parts2Whole Apply behind it.",
            search_aliases=["parts2whole", "reference unet", "multi part", "person from parts"],
            inputs=[
                io.Combo.Input(
                    "folder", options=list(folders.folders()),
                    tooltip="The whole released folder in models/parts2whole or models/diffusers.",
                ),
                native.weight_dtype_input(),
            ],
            outputs=[
                io.Model.Output(display_name="model", tooltip="The denoising UNet, for any sampler."),
                io.Clip.Output(display_name="clip", tooltip="For the prompt and the part labels."),
                io.Vae.Output(display_name="vae", tooltip="Encodes the parts, decodes the picture."),
                io.ClipVision.Output(display_name="clip_vision", tooltip="One token per reference part."),
                sockets.Parts2Whole.Output(
                    display_name="parts2whole", tooltip="Reference UNet, pose guider, image projections."
                ),
            ],
        )  # fmt: skip

    @classmethod
    def fingerprint_inputs(cls, folder=None, weight_dtype="auto"):
        """Read anew when a file of the folder changed."""
        return folders.fingerprint(folder)

    @classmethod
    def execute(cls, folder, weight_dtype="auto") -> io.NodeOutput:
        """Read, check and build."""
        dtype = native.weight_dtype(weight_dtype)
        from . import bridge

        return io.NodeOutput(*bridge.load(folders.folder(folder), dtype))
