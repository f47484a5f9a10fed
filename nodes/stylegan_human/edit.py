"""Edits: directions loaded or found, hung on latents, swept, saved."""

from .. import host
from ..compat import io, schema, ui
from ..sockets import Edit, Ws
from .folders import direction_names, direction_path
from .inputs import CATEGORY, edited_rows, network, noise, people

FORMATS = ("safetensors", "pt", "npy", "style_vect_mean")


class FiguraStyleGANLoadDirection(io.ComfyNode):
    """Load a direction that someone found."""

    @classmethod
    def define_schema(cls):
        return schema(
            node_id="FiguraStyleGANLoadDirection",
            display_name="StyleGAN Load Direction",
            category=CATEGORY,
            description="Loads an edit direction: one vector of w, StyleGAN-Human's style_vect_mean files, "
            "or what StyleGAN Save Direction wrote.",
            search_aliases=["stylegan", "interfacegan", "latent direction"],
            inputs=[
                io.Combo.Input(
                    "direction", options=direction_names(),
                    tooltip="A file in models/stylegan_directions, or one saved in the output folder: those "
                    "say [output]. Of a folder of style_vect_mean files any one stands for all.",
                ),
                edited_rows(""),
            ],
            outputs=[Edit.Output(display_name="edit", tooltip="For StyleGAN Edit and StyleGAN Edit Sweep.")],
        )  # fmt: skip

    @classmethod
    def fingerprint_inputs(cls, direction, rows):
        """Load again when the file was changed."""
        return host.path_state(direction_path, direction)

    @classmethod
    def execute(cls, direction, rows):
        from . import bridge

        return io.NodeOutput(bridge.load_edit(direction, rows))


class FiguraStyleGANSaveDirection(io.ComfyNode):
    """Keep a direction."""

    @classmethod
    def define_schema(cls):
        return schema(
            node_id="FiguraStyleGANSaveDirection",
            display_name="StyleGAN Save Direction",
            category=CATEGORY,
            description="Saves an edit direction in ComfyUI's output folder, as .safetensors or in a "
            "released layout.",
            search_aliases=["stylegan", "save direction", "export direction"],
            is_output_node=True,
            inputs=[
                Edit.Input("edit", tooltip="What to save."),
                io.String.Input(
                    "filename_prefix", default="directions/stylegan",
                    tooltip="Folder and beginning of the name, inside ComfyUI's output folder. StyleGAN Load "
                    "Direction lists those under directions.",
                ),
                io.Combo.Input(
                    "format", options=list(FORMATS), default="safetensors",
                    tooltip="safetensors holds any edit. pt (as SeFa's) and npy hold one vector of w, "
                    "style_vect_mean a folder with one .pkl for each style.",
                ),
            ],
            outputs=[Edit.Output(display_name="edit", tooltip="The same edit, passed on.")],
        )  # fmt: skip

    @classmethod
    def execute(cls, edit, filename_prefix, format):
        from . import bridge

        name = bridge.save_edit(bridge.check_edit_value(edit), filename_prefix, format, FORMATS)
        return io.NodeOutput(edit, ui=ui.PreviewText(f"Saved {name}"))


class FiguraStyleGANSeFa(io.ComfyNode):
    """Find directions in the network's own weights."""

    @classmethod
    def define_schema(cls):
        return schema(
            node_id="FiguraStyleGANSeFa",
            display_name="StyleGAN SeFa Direction",
            category=CATEGORY,
            description="Takes one of the directions that change pictures most, found in the weights "
            "without any labels (SeFa). Works with every network.",
            search_aliases=["stylegan", "sefa", "factorization", "find directions"],
            inputs=[
                network(),
                io.Int.Input(
                    "number", default=0, min=0, max=4095, tooltip="Which direction; 0 is the strongest."
                ),
                edited_rows("4-7"),
            ],
            outputs=[Edit.Output(display_name="edit", tooltip="A direction of length 1.")],
        )

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
            category=CATEGORY,
            description="Adds an edit to a latent. Several in a row are applied together, each with its "
            "strength.",
            search_aliases=["stylegan", "apply direction", "latent edit"],
            inputs=[
                people("latent", "Whom to edit."),
                Edit.Input("edit", tooltip="From StyleGAN Load Direction or any node that finds one."),
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
            category=CATEGORY,
            description="Draws one latent with an edit at rising strengths. Layers the edit does not reach "
            "run once.",
            search_aliases=["stylegan", "strip", "edit strength"],
            inputs=[
                network(),
                people("latent", "Whom to edit; the first one of a batch."),
                Edit.Input(
                    "edit", tooltip="What to vary. Edits the latent carries already stay as they are."
                ),
                *_span(),
                *noise(),
            ],
            outputs=[
                io.Image.Output(display_name="images", tooltip="One picture for each strength."),
                io.Image.Output(display_name="strip", tooltip="All side by side, strengths written below."),
            ],
        )

    @classmethod
    def execute(cls, stylegan, latent, edit, first, last, steps, noise_mode="const", noise_seed=0):
        from . import bridge

        span = first, last, steps
        return io.NodeOutput(
            *bridge.strip(stylegan, bridge.check(latent), edit, span, noise_mode, noise_seed)
        )


def _span():
    """First and last strength, and how many."""
    ends = (("first", -10.0, "Strength of the first."), ("last", 10.0, "Strength of the last."))
    return [
        *(
            io.Float.Input(name, default=default, min=-100.0, max=100.0, step=0.5, tooltip=tooltip)
            for name, default, tooltip in ends
        ),
        io.Int.Input("steps", default=5, min=1, max=256, tooltip="How many pictures."),
    ]
