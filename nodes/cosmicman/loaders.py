"""Open CosmicMan's UNet, alone or together with the base that it needs."""

from .. import native
from ..compat import io, schema
from . import bridge

UNET_HELP = (
    "A folder of models/diffusion_models as the hub has it (CosmicMan-SDXL or CosmicMan-SD: config.json and "
    "diffusion_pytorch_model.safetensors), or a single file there."
)
VARIANT_HELP = "auto tells from the file; SDXL or SD refuse the other one."


def _unet_inputs() -> list:
    return [
        io.Combo.Input("unet", options=bridge.unet_names(), tooltip=UNET_HELP),
        io.Combo.Input("variant", options=list(bridge.VARIANTS), default="auto", tooltip=VARIANT_HELP),
    ]


class FiguraCosmicManLoader(io.ComfyNode):
    """Open CosmicMan's UNet as a MODEL."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """What the page shows."""
        return schema(
            node_id="FiguraCosmicManLoader",
            display_name="CosmicMan Loader",
            category="figura/cosmicman",
            description="Opens CosmicMan-SDXL or CosmicMan-SD as an ordinary MODEL. CLIP and VAE come from "
            "the base: take CosmicMan Checkpoint Loader to open both at once.",
            search_aliases=["cosmicman", "human model", "unet loader", "people"],
            inputs=[*_unet_inputs(), native.weight_dtype_input()],
            outputs=[
                io.Model.Output(display_name="model", tooltip="For any sampler, LoRA or ControlNet node.")
            ],
        )

    @classmethod
    def fingerprint_inputs(cls, unet, variant="auto", weight_dtype="auto"):
        """Load again when a file was changed."""
        return bridge.token(bridge.unet_path, unet)

    @classmethod
    def execute(cls, unet, variant="auto", weight_dtype="auto") -> io.NodeOutput:
        """Read, check and build."""
        return io.NodeOutput(bridge.load_unet(unet, variant, weight_dtype)[0])


class FiguraCosmicManCheckpointLoader(io.ComfyNode):
    """Open CosmicMan's UNet with CLIP and VAE of its base."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """What the page shows."""
        return schema(
            node_id="FiguraCosmicManCheckpointLoader",
            display_name="CosmicMan Checkpoint Loader",
            category="figura/cosmicman",
            description="Opens CosmicMan's UNet together with CLIP and VAE of its base: SDXL base for "
            "CosmicMan-SDXL, Stable Diffusion 1.5 for CosmicMan-SD. Its own UNet is read only if asked for.",
            search_aliases=["cosmicman", "human model", "checkpoint", "people", "sdxl"],
            inputs=[
                *_unet_inputs(),
                io.Combo.Input(
                    "base", options=bridge.base_names(),
                    tooltip="A full checkpoint in models/checkpoints: sd_xl_base_1.0.safetensors for SDXL, "
                    "v1-5-pruned-emaonly.safetensors for SD.",
                ),
                io.Boolean.Input(
                    "base_model", default=False,
                    tooltip="Also open the base's own UNet, for the second pass. Costs as much memory again.",
                ),
                native.weight_dtype_input(),
            ],
            outputs=[
                io.Model.Output(display_name="model", tooltip="CosmicMan, for any sampler or LoRA."),
                io.Clip.Output(display_name="clip", tooltip="The base's text encoders."),
                io.Vae.Output(display_name="vae", tooltip="The base's VAE."),
                io.Model.Output(
                    display_name="base_model", tooltip="The base's own UNet if asked for, else nothing."
                ),
            ],
        )  # fmt: skip

    @classmethod
    def fingerprint_inputs(cls, unet, variant="auto", base="", base_model=False, weight_dtype="auto"):
        """Load again when a file was changed."""
        return bridge.token(bridge.unet_path, unet), bridge.token(bridge.base_path, base)

    @classmethod
    def execute(cls, unet, variant="auto", base="", base_model=False, weight_dtype="auto") -> io.NodeOutput:
        """Read, check and build."""
        bridge.base_path(base)  # a missing base is told before gigabytes are read
        model, found = bridge.load_unet(unet, variant, weight_dtype)
        own, clip, vae = bridge.load_base(base, found, base_model, weight_dtype)
        return io.NodeOutput(model, clip, vae, own)
