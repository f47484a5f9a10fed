"""Edits: directions loaded or found, hung on latents, swept."""

from ...pipelines.stylegan_human.noise import NOISE_MODES
from .. import host
from ..compat import advanced, io, schema
from ..sockets import Edit, StyleGAN, Ws
from .folders import DIRECTIONS

ROWS_TIP = "Rows of the latent that a direction of w moves, such as 4-7: the released ones move clothes "
"there."


class FiguraStyleGANLoadDirection(io.ComfyNode):
    """Load a direction that someone found."""

    @classmethod
    def define_schema(cls):
        return schema(
            node_id="FiguraStyleGANLoadDirection",
            display_name="StyleGAN Load Direction",
            category="figura/stylegan_human",
            description="Loads an edit direction: one vector of w, or StyleGAN-Human's style_vect_mean "
            "files.",
            search_aliases=["stylegan", "interfacegan", "latent direction"],
            inputs=[
                io.Combo.Input(
                    "direction", options=host.list_models(DIRECTIONS),
                    tooltip="A file in models/stylegan_directions. Of a folder of style_vect_mean files any "
                    "one stands "
                    "for all.",
                ),
                io.String.Input("rows", default="4-7", tooltip=ROWS_TIP),
            ],
            outputs=[Edit.Output(display_name="edit", tooltip="For StyleGAN Edit and StyleGAN Edit Sweep.")],
        )  # fmt: skip

    @classmethod
    def fingerprint_inputs(cls, direction, rows):
        """Load again when the file was changed."""
        return host.file_state(DIRECTIONS, direction)

    @classmethod
    def execute(cls, direction, rows):
        from . import bridge

        return io.NodeOutput(bridge.load_edit(direction, rows))


class FiguraStyleGANSeFa(io.ComfyNode):
    """Find directions in the network's own weights."""

    @classmethod
    def define_schema(cls):
        return schema(
            node_id="FiguraStyleGANSeFa",
            display_name="StyleGAN SeFa Direction",
            category="figura/stylegan_human",
            description="Takes one of the directions that change pictures most, found in the weights "
            "without any "
            "labels (SeFa). Works with every network.",
            search_aliases=["stylegan", "sefa", "factorization", "find directions"],
            inputs=[
                StyleGAN.Input("stylegan", tooltip="From StyleGAN Loader."),
                io.Int.Input(
                    "number", default=0, min=0, max=4095, tooltip="Which direction; 0 is the strongest."
                ),
                io.String.Input("rows", default="4-7", tooltip=ROWS_TIP + " all moves every row."),
            ],
            outputs=[Edit.Output(display_name="edit", tooltip="A direction of length 1.")],
        )  # fmt: skip

    @classmethod
    def execute(cls, stylegan, number, rows):
        from . import bridge

        return io.NodeOutput(bridge.sefa(stylegan, number, rows))


class FiguraStyleGANEdit(io.ComfyNode):
    """Hang an edit on a latent."""

    @classmethod
    def define_schema(cls):
        return schema(
            node_id="FiguraStyleGANEdit",
            display_name="StyleGAN Edit",
            category="figura/stylegan_human",
            description="Adds an edit to a latent. Several in a row are applied together, each with its "
            "strength.",
            search_aliases=["stylegan", "apply direction", "latent edit"],
            inputs=[
                Ws.Input("latent", tooltip="Whom to edit."),
                Edit.Input("edit", tooltip="From StyleGAN Load Direction or StyleGAN SeFa Direction."),
                io.Float.Input(
                    "strength", default=1.0, min=-100.0, max=100.0, step=0.1,
                    tooltip="How far; negative goes the other way.",
                ),
            ],
            outputs=[Ws.Output(display_name="edited", tooltip="For StyleGAN Sampler, or another edit.")],
        )  # fmt: skip

    @classmethod
    def execute(cls, latent, edit, strength):
        from . import bridge

        return io.NodeOutput(bridge.with_edit(bridge.check(latent), edit, strength))


class FiguraStyleGANEditSweep(io.ComfyNode):
    """See an edit at many strengths."""

    @classmethod
    def define_schema(cls):
        return schema(
            node_id="FiguraStyleGANEditSweep",
            display_name="StyleGAN Edit Sweep",
            category="figura/stylegan_human",
            description="Draws one latent with an edit at rising strengths. Layers the edit does not reach "
            "run once.",
            search_aliases=["stylegan", "strip", "edit strength"],
            inputs=[
                StyleGAN.Input("stylegan", tooltip="From StyleGAN Loader."),
                Ws.Input("latent", tooltip="Whom to edit; the first one of a batch."),
                Edit.Input("edit", tooltip="What to vary. Edits the latent carries already stay as they "
                "are."),
                io.Float.Input("first", default=-10.0, min=-100.0, max=100.0, step=0.5, tooltip="Strength "
                "of the first."),
                io.Float.Input("last", default=10.0, min=-100.0, max=100.0, step=0.5, tooltip="Strength of "
                "the last."),
                io.Int.Input("steps", default=5, min=1, max=256, tooltip="How many pictures."),
                advanced(io.Combo, "noise_mode", options=list(NOISE_MODES), default="const", tooltip="Fine "
                "detail."),
                advanced(
                    io.Int, "noise_seed", default=0, min=0, max=2**64 - 1, control_after_generate=True,
                    tooltip="For random noise.",
                ),
            ],
            outputs=[io.Image.Output(display_name="images", tooltip="One picture for each strength.")],
        )  # fmt: skip

    @classmethod
    def execute(cls, stylegan, latent, edit, first, last, steps, noise_mode="const", noise_seed=0):
        from . import bridge

        span = first, last, steps
        return io.NodeOutput(bridge.strip(stylegan, bridge.check(latent), edit, span, noise_mode, noise_seed))
