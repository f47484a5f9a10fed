"""Latents as values: blend, add, subtract, save, load."""

from ...pipelines.stylegan_human.choices import LATENT_SUFFIXES, OPERATIONS
from .. import host
from ..compat import advanced, io, schema, ui
from ..sockets import Ws
from .folders import latent_names, latent_path
from .inputs import CATEGORY, mode, people

FORMATS = [suffix.removeprefix(".") for suffix in LATENT_SUFFIXES]


class FiguraStyleGANBlend(io.ComfyNode):
    """Mix two people."""

    @classmethod
    def define_schema(cls):
        return schema(
            node_id="FiguraStyleGANBlend",
            display_name="StyleGAN Blend Latents",
            category=CATEGORY,
            description="Moves from one latent to another, in all rows or in some: early rows hold pose and "
            "shape, late "
            "ones colour and texture.",
            search_aliases=["stylegan", "style mixing", "interpolate", "lerp", "slerp"],
            inputs=[
                people("latent_a", "Where factor 0 stays."),
                people("latent_b", "Where factor 1 arrives. Must come from the same network."),
                io.Float.Input(
                    "factor", default=0.5, min=-1.0, max=2.0, step=0.05,
                    tooltip="0 is a, 1 is b, between them a blend; outside 0 to 1 it goes beyond them.",
                ),
                mode(),
                advanced(
                    io.String, "rows", default="all",
                    tooltip="Rows of the latent to blend, such as 0-6 or 8,9; the others stay a's. With "
                    "factor 1 this is "
                    "style mixing.",
                ),
            ],
            outputs=[Ws.Output(display_name="latent", tooltip="For StyleGAN Sampler's latent input.")],
        )  # fmt: skip

    @classmethod
    def execute(cls, latent_a, latent_b, factor, mode, rows="all"):
        from . import bridge

        a, b = bridge.check(latent_a, "latent_a"), bridge.check(latent_b, "latent_b")
        return io.NodeOutput(bridge.blended(a, b, factor, mode, rows))


class FiguraStyleGANLatentMath(io.ComfyNode):
    """Add and subtract people."""

    @classmethod
    def define_schema(cls):
        return schema(
            node_id="FiguraStyleGANLatentMath",
            display_name="StyleGAN Add Latents",
            category=CATEGORY,
            description="Adds a latent to another, or takes it away. The difference of two people, added to "
            "a third, brings over what sets them apart.",
            search_aliases=["stylegan", "latent arithmetic", "add", "subtract", "math"],
            inputs=[
                people("latent_a", "What to add to, or to take from."),
                people("latent_b", "What to add or take away. Must come from the same network."),
                io.Combo.Input(
                    "operation", options=list(OPERATIONS), default="add", tooltip="a + b, or a - b."
                ),
                io.Float.Input(
                    "factor", default=1.0, min=-100.0, max=100.0, step=0.05, tooltip="How much of b."
                ),
                advanced(
                    io.String, "rows", default="all",
                    tooltip="Rows of the latent to change, such as 0-6 or 8,9; the others stay a's.",
                ),
            ],
            outputs=[
                Ws.Output(display_name="latent", tooltip="The sum, or a difference to be added elsewhere.")
            ],
        )  # fmt: skip

    @classmethod
    def execute(cls, latent_a, latent_b, operation, factor, rows="all"):
        from . import bridge

        a, b = bridge.check(latent_a, "latent_a"), bridge.check(latent_b, "latent_b")
        return io.NodeOutput(bridge.combined(a, b, operation, factor, rows))


class FiguraStyleGANSaveLatent(io.ComfyNode):
    """Keep a person."""

    @classmethod
    def define_schema(cls):
        return schema(
            node_id="FiguraStyleGANSaveLatent",
            display_name="StyleGAN Save Latent",
            category=CATEGORY,
            description="Saves a latent in ComfyUI's output folder, for StyleGAN Load Latent and others.",
            search_aliases=["stylegan", "save w", "save ws"],
            is_output_node=True,
            inputs=[
                people("latent", "What to save."),
                io.String.Input(
                    "filename_prefix", default="latents/stylegan",
                    tooltip="Folder and beginning of the name, inside ComfyUI's output folder.",
                ),
                advanced(
                    io.Combo, "format", options=FORMATS, default="safetensors",
                    tooltip="safetensors keeps seeds and edits too; pt and npz hold the bare latent, as the "
                    "reference's tools write and read it.",
                ),
            ],
            outputs=[Ws.Output(display_name="latent", tooltip="The same latent, passed on.")],
        )  # fmt: skip

    @classmethod
    def execute(cls, latent, filename_prefix, format="safetensors"):
        from . import bridge

        latents = bridge.check(latent)
        name = bridge.save(latents, filename_prefix, format, FORMATS)
        return io.NodeOutput(latents, ui=ui.PreviewText(f"Saved {name}"))


class FiguraStyleGANLoadLatent(io.ComfyNode):
    """Bring a saved person back."""

    @classmethod
    def define_schema(cls):
        return schema(
            node_id="FiguraStyleGANLoadLatent",
            display_name="StyleGAN Load Latent",
            category=CATEGORY,
            description="Loads a latent that StyleGAN Save Latent wrote, or the reference's .pt and .npz.",
            search_aliases=["stylegan", "load w", "load ws"],
            inputs=[
                io.Combo.Input(
                    "latent", options=latent_names(),
                    tooltip="A .safetensors, .pt or .npz in ComfyUI's input folder, or in its output folder: "
                    "those say [output].",
                ),
            ],
            outputs=[Ws.Output(display_name="latents", tooltip="For the network it was made with.")],
        )  # fmt: skip

    @classmethod
    def fingerprint_inputs(cls, latent):
        """Load again when the file was changed."""
        return host.path_state(latent_path, latent)

    @classmethod
    def execute(cls, latent):
        from . import bridge

        return io.NodeOutput(bridge.read(latent))
