"""Between and among people: truncation, walks, grids, mixing matrices."""

from ..compat import advanced, io, schema
from ..sockets import Ws
from .inputs import CATEGORY, mode, network, noise, people, psi, seed


class FiguraStyleGANTruncate(io.ComfyNode):
    """Bring a latent nearer to the average."""

    @classmethod
    def define_schema(cls):
        return schema(
            node_id="FiguraStyleGANTruncate",
            display_name="StyleGAN Truncate Latent",
            category=CATEGORY,
            description="Moves a latent towards the average person of the network, in all rows or in some.",
            search_aliases=["stylegan", "truncation", "psi"],
            inputs=[
                network(),
                people("latent", "What to truncate."),
                io.Float.Input(
                    "psi", default=0.8, min=-2.0, max=2.0, step=0.05,
                    tooltip="1 changes nothing, 0 gives the average.",
                ),
                advanced(
                    io.Int, "cutoff", default=0, min=0, max=64, tooltip="Only this many first rows; 0 all."
                ),
                advanced(
                    io.String, "rows", default="all",
                    tooltip="Only these rows, such as 4-7 or 8,9; all leaves it to cutoff.",
                ),
            ],
            outputs=[Ws.Output(display_name="truncated", tooltip="The latent, nearer to the average.")],
        )  # fmt: skip

    @classmethod
    def execute(cls, stylegan, latent, psi, cutoff=0, rows="all"):
        from . import bridge

        return io.NodeOutput(bridge.truncated(stylegan, bridge.check(latent), psi, cutoff, rows))


class FiguraStyleGANWalk(io.ComfyNode):
    """Walk from person to person."""

    @classmethod
    def define_schema(cls):
        return schema(
            node_id="FiguraStyleGANWalk",
            display_name="StyleGAN Walk",
            category=CATEGORY,
            description="Makes the latents of a walk through a batch of latents; drawn, they are frames of "
            "a video.",
            search_aliases=["stylegan", "interpolation", "latent walk", "video"],
            inputs=[
                people("latents", "Stops of the walk, in order: a batch, such as a seed grid's."),
                io.Int.Input(
                    "steps", default=16, min=1, max=512, tooltip="Frames from one stop to the next."
                ),
                mode(),
                io.Boolean.Input(
                    "loop", default=False, tooltip="Return to the first stop, for a film without seam."
                ),
                Ws.Input("then", optional=True, tooltip="More stops after those."),
            ],
            outputs=[Ws.Output(display_name="frames", tooltip="One latent for each frame.")],
        )  # fmt: skip

    @classmethod
    def execute(cls, latents, steps, mode, loop, then=None):
        from . import bridge

        stops = [bridge.check(latents, "latents")] + ([] if then is None else [bridge.check(then, "then")])
        return io.NodeOutput(bridge.walk(stops, steps, mode, loop))


class FiguraStyleGANRandomWalk(io.ComfyNode):
    """Wander through people that nobody chose."""

    @classmethod
    def define_schema(cls):
        return schema(
            node_id="FiguraStyleGANRandomWalk",
            display_name="StyleGAN Random Walk",
            category=CATEGORY,
            description="Makes the latents of a smooth random walk that comes back to where it began, for a "
            "film without seam.",
            search_aliases=["stylegan", "latent walk", "random interpolation", "loop video"],
            inputs=[
                network(),
                seed("Seed of the walk."),
                io.Int.Input("frames", default=60, min=1, max=4096, tooltip="How many latents."),
                io.Float.Input(
                    "smoothness", default=10.0, min=0.0, max=1000.0, step=0.5,
                    tooltip="Frames within which people change; as many as frames a second give one person "
                    "a second. 0 jumps.",
                ),
                psi(),
            ],
            outputs=[Ws.Output(display_name="frames", tooltip="One latent for each frame.")],
        )  # fmt: skip

    @classmethod
    def execute(cls, stylegan, seed, frames, smoothness, truncation_psi):
        from . import bridge

        return io.NodeOutput(bridge.wander(stylegan, seed, frames, smoothness, truncation_psi))


class FiguraStyleGANLatentGrid(io.ComfyNode):
    """Fill a sheet between people in its corners."""

    @classmethod
    def define_schema(cls):
        return schema(
            node_id="FiguraStyleGANLatentGrid",
            display_name="StyleGAN Latent Grid",
            category=CATEGORY,
            description="Makes the latents of a sheet between two people at its sides, or four at its "
            "corners.",
            search_aliases=["stylegan", "interpolation grid", "bilinear"],
            inputs=[
                people("corners", "2 latents (left, right) or 4 (top left, top right, bottom left, right)."),
                io.Int.Input("rows", default=5, min=1, max=64, tooltip="Pictures down."),
                io.Int.Input("columns", default=5, min=2, max=64, tooltip="Pictures across."),
                mode(),
            ],
            outputs=[Ws.Output(display_name="latents", tooltip="Row by row, for StyleGAN Sampler.")],
        )

    @classmethod
    def execute(cls, corners, rows, columns, mode):
        from . import bridge

        return io.NodeOutput(bridge.between_corners(bridge.check(corners, "corners"), rows, columns, mode))


class FiguraStyleGANMixMatrix(io.ComfyNode):
    """Mix everyone with everyone."""

    @classmethod
    def define_schema(cls):
        return schema(
            node_id="FiguraStyleGANMixMatrix",
            display_name="StyleGAN Mixing Matrix",
            category=CATEGORY,
            description="Draws each person of the rows with styles of each person of the columns, on one "
            "sheet.",
            search_aliases=["stylegan", "style mixing"],
            inputs=[
                network(),
                people("rows", "People down the left side."),
                people("columns", "People along the top; their styles go into the rows' people."),
                io.String.Input(
                    "styles", default="0-6", tooltip="Rows of the latent to take from the columns."
                ),
                *noise(),
            ],
            outputs=[
                io.Image.Output(display_name="sheet", tooltip="Sources at the edges, mixtures inside."),
                io.Image.Output(display_name="mixtures", tooltip="The mixtures alone, row by row."),
            ],
        )

    @classmethod
    def execute(cls, stylegan, rows, columns, styles, noise_mode="const", noise_seed=0):
        from . import bridge

        both = bridge.check(rows, "rows"), bridge.check(columns, "columns")
        return io.NodeOutput(*bridge.matrix(stylegan, *both, styles, noise_mode, noise_seed))
