"""Between and among people: truncation, walks, mixing matrices."""

from ...pipelines.stylegan_human.latents import BLEND_MODES
from ...pipelines.stylegan_human.noise import NOISE_MODES
from ..compat import advanced, io, schema
from ..sockets import StyleGAN, Ws


class FiguraStyleGANTruncate(io.ComfyNode):
    """Bring a latent nearer to the average."""

    @classmethod
    def define_schema(cls):
        return schema(
            node_id="FiguraStyleGANTruncate",
            display_name="StyleGAN Truncate Latent",
            category="figura/stylegan_human",
            description="Moves a latent towards the average person of the network, all rows or the first "
            "ones.",
            search_aliases=["stylegan", "truncation", "psi"],
            inputs=[
                StyleGAN.Input("stylegan", tooltip="The network the latent belongs to."),
                Ws.Input("latent", tooltip="What to truncate."),
                io.Float.Input(
                    "psi", default=0.8, min=-2.0, max=2.0, step=0.05, tooltip="1 changes nothing, 0 gives "
                    "the average."
                ),
                advanced(io.Int, "cutoff", default=0, min=0, max=64, tooltip="Only this many first rows; 0 "
                "all."),
            ],
            outputs=[Ws.Output(display_name="truncated", tooltip="The latent, nearer to the average.")],
        )  # fmt: skip

    @classmethod
    def execute(cls, stylegan, latent, psi, cutoff=0):
        from . import bridge

        return io.NodeOutput(bridge.truncated(stylegan, bridge.check(latent), psi, cutoff))


class FiguraStyleGANWalk(io.ComfyNode):
    """Walk from person to person."""

    @classmethod
    def define_schema(cls):
        return schema(
            node_id="FiguraStyleGANWalk",
            display_name="StyleGAN Walk",
            category="figura/stylegan_human",
            description="Makes the latents of a walk through a batch of latents; drawn, they are frames of "
            "a video.",
            search_aliases=["stylegan", "interpolation", "latent walk", "video"],
            inputs=[
                Ws.Input("latents", tooltip="Stops of the walk, in order: a batch, such as a seed grid's."),
                io.Int.Input("steps", default=16, min=1, max=512, tooltip="Frames from one stop to the "
                "next."),
                io.Combo.Input(
                    "mode", options=list(BLEND_MODES), default="linear", tooltip="Straight lines, or arcs."
                ),
                io.Boolean.Input("loop", default=False, tooltip="Return to the first stop, for a film "
                "without seam."),
                Ws.Input("then", optional=True, tooltip="More stops after those."),
            ],
            outputs=[Ws.Output(display_name="frames", tooltip="For StyleGAN Sampler, then Create Video.")],
        )  # fmt: skip

    @classmethod
    def execute(cls, latents, steps, mode, loop, then=None):
        from . import bridge

        stops = [bridge.check(latents, "latents")] + ([] if then is None else [bridge.check(then, "then")])
        return io.NodeOutput(bridge.walk(stops, steps, mode, loop))


class FiguraStyleGANMixMatrix(io.ComfyNode):
    """Mix everyone with everyone."""

    @classmethod
    def define_schema(cls):
        return schema(
            node_id="FiguraStyleGANMixMatrix",
            display_name="StyleGAN Mixing Matrix",
            category="figura/stylegan_human",
            description="Draws each person of the rows with styles of each person of the columns, on one "
            "sheet.",
            search_aliases=["stylegan", "style mixing"],
            inputs=[
                StyleGAN.Input("stylegan", tooltip="From StyleGAN Loader."),
                Ws.Input("rows", tooltip="People down the left side."),
                Ws.Input("columns", tooltip="People along the top; their styles go into the rows' people."),
                io.String.Input("styles", default="0-6", tooltip="Rows of the latent to take from the "
                "columns."),
                advanced(io.Combo, "noise_mode", options=list(NOISE_MODES), default="const", tooltip="Fine "
                "detail."),
                advanced(
                    io.Int, "noise_seed", default=0, min=0, max=2**64 - 1, control_after_generate=True,
                    tooltip="For random noise.",
                ),
            ],
            outputs=[io.Image.Output(display_name="sheet", tooltip="Sources at the edges, mixtures inside.")],
        )  # fmt: skip

    @classmethod
    def execute(cls, stylegan, rows, columns, styles, noise_mode="const", noise_seed=0):
        from . import bridge

        people = bridge.check(rows, "rows"), bridge.check(columns, "columns")
        return io.NodeOutput(bridge.matrix(stylegan, *people, styles, noise_mode, noise_seed))
