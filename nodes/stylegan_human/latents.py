"""Latents as values: blend, save, load."""

from ...pipelines.stylegan_human.latents import BLEND_MODES
from .. import host
from ..compat import advanced, io, schema, ui
from ..sockets import Ws
from .folders import latent_names, latent_path


class FiguraStyleGANBlend(io.ComfyNode):
    """Mix two people."""

    @classmethod
    def define_schema(cls):
        return schema(
            node_id="FiguraStyleGANBlend",
            display_name="StyleGAN Blend Latents",
            category="figura/stylegan_human",
            description="Moves from one latent to another, in all rows or in some: early rows hold pose and "
            "shape, late "
            "ones colour and texture.",
            search_aliases=["stylegan", "style mixing", "interpolate", "lerp", "slerp"],
            inputs=[
                Ws.Input("latent_a", tooltip="Where factor 0 stays."),
                Ws.Input("latent_b", tooltip="Where factor 1 arrives. Must come from the same network."),
                io.Float.Input(
                    "factor", default=0.5, min=-1.0, max=2.0, step=0.05,
                    tooltip="0 is a, 1 is b, between them a blend; outside 0 to 1 it goes beyond them.",
                ),
                io.Combo.Input(
                    "mode", options=list(BLEND_MODES), default="linear",
                    tooltip="linear goes straight, spherical along an arc.",
                ),
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


class FiguraStyleGANSaveLatent(io.ComfyNode):
    """Keep a person."""

    @classmethod
    def define_schema(cls):
        return schema(
            node_id="FiguraStyleGANSaveLatent",
            display_name="StyleGAN Save Latent",
            category="figura/stylegan_human",
            description="Saves a latent as .safetensors in ComfyUI's output folder.",
            search_aliases=["stylegan", "save w", "save ws"],
            is_output_node=True,
            inputs=[
                Ws.Input("latent", tooltip="What to save."),
                io.String.Input(
                    "filename_prefix", default="latents/stylegan",
                    tooltip="Folder and beginning of the name, inside ComfyUI's output folder.",
                ),
            ],
            outputs=[Ws.Output(display_name="latent", tooltip="The same latent, passed on.")],
        )  # fmt: skip

    @classmethod
    def execute(cls, latent, filename_prefix):
        from . import bridge

        latents = bridge.check(latent)
        name = bridge.save(latents, filename_prefix)
        return io.NodeOutput(latents, ui=ui.PreviewText(f"Saved {name}"))


class FiguraStyleGANLoadLatent(io.ComfyNode):
    """Bring a saved person back."""

    @classmethod
    def define_schema(cls):
        return schema(
            node_id="FiguraStyleGANLoadLatent",
            display_name="StyleGAN Load Latent",
            category="figura/stylegan_human",
            description="Loads a latent that StyleGAN Save Latent wrote.",
            search_aliases=["stylegan", "load w", "load ws"],
            inputs=[
                io.Combo.Input(
                    "latent", options=latent_names(),
                    tooltip="A .safetensors in ComfyUI's input folder, or in its output folder: those say "
                    "[output].",
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
