"""Finding directions: from labels, numbers or masks; from two texts; from two people; channel by channel."""

from .. import host
from ..compat import advanced, io, schema
from ..sockets import Edit
from .folders import CLIP
from .inputs import CATEGORY, attribute, keep_out, method, network, people, psi, seed

EVERY_ROWS_TIP = "Rows of the latent that the edit moves, such as 4-7, or all."


def _found(what: str):
    return [
        Edit.Output(display_name="edit", tooltip=f"{what} Strength 1 goes as far as people usually differ."),
        io.Float.Output(
            display_name="score",
            tooltip="Accuracy or R2 on latents kept aside: 1 is perfect, a guess gives the report's chance.",
        ),
        io.String.Output(display_name="report", tooltip="The same in words, for Preview Any."),
    ]


class FiguraStyleGANFitDirection(io.ComfyNode):
    """Learn a direction from examples."""

    @classmethod
    def define_schema(cls):
        return schema(
            node_id="FiguraStyleGANFitDirection",
            display_name="StyleGAN Fit Direction",
            category=CATEGORY,
            description="Finds the direction of an attribute nobody shipped, from latents and what tells "
            "them apart: seeds picked by eye, numbers or masks that any other nodes make of their pictures.",
            search_aliases=["stylegan", "interfacegan", "svm", "find direction", "attribute"],
            is_input_list=True,
            inputs=[
                people("latents", "A batch, such as a seed grid's: 10 at least, some hundreds are better."),
                *attribute(),
                io.String.Input("rows", default="all", tooltip=EVERY_ROWS_TIP),
                keep_out(),
                method(),
                advanced(
                    io.Float, "extremes", default=1.0, min=0.05, max=1.0, step=0.05,
                    tooltip="Share of the latents used, half from each end of the scale: the clearest cases.",
                ),
            ],
            outputs=_found("The direction."),
        )  # fmt: skip

    @classmethod
    def execute(
        cls, latents, seeds_with_it, rows, numbers=None, masks=None, keep_out=None, method=None, extremes=None
    ):
        from . import find_bridge

        people = find_bridge.joined(latents)
        values = find_bridge.values(people, seeds_with_it, numbers, masks)
        options = find_bridge.first(method, "auto"), find_bridge.first(extremes, 1.0)
        return io.NodeOutput(*find_bridge.fitted(people, values, rows[0], keep_out or [], *options))


class FiguraStyleGANStyleChannels(io.ComfyNode):
    """Find the channels that carry an attribute."""

    @classmethod
    def define_schema(cls):
        return schema(
            node_id="FiguraStyleGANStyleChannels",
            display_name="StyleGAN Style Channels",
            category=CATEGORY,
            description="Finds the few style channels that tell an attribute best (StyleSpace), and shifts "
            "them alone: a narrower edit than a direction of w.",
            search_aliases=["stylegan", "stylespace", "channels", "find direction"],
            is_input_list=True,
            inputs=[
                network(),
                people("latents", "A batch, such as a seed grid's."),
                *attribute(),
                io.Int.Input("channels", default=5, min=1, max=512, tooltip="How many channels to shift."),
                advanced(
                    io.Int, "layer", default=-1, min=-1, max=63,
                    tooltip="Look in this style only, 0 the coarsest; -1 in all.",
                ),
            ],
            outputs=[
                Edit.Output(
                    display_name="edit",
                    tooltip="Strength 1 goes from the mean of those without to the mean of those with.",
                ),
                io.String.Output(
                    display_name="report", tooltip="Layer, channel and score of each, for Preview Any."
                ),
            ],
        )  # fmt: skip

    @classmethod
    def execute(cls, stylegan, latents, seeds_with_it, channels, numbers=None, masks=None, layer=None):
        from . import find_bridge

        people = find_bridge.joined(latents)
        values = find_bridge.values(people, seeds_with_it, numbers, masks)
        chosen = channels[0], find_bridge.first(layer, -1)
        return io.NodeOutput(*find_bridge.channels(stylegan[0], people, values, *chosen))


class FiguraStyleGANTextDirection(io.ComfyNode):
    """Find a direction by two texts."""

    @classmethod
    def define_schema(cls):
        return schema(
            node_id="FiguraStyleGANTextDirection",
            display_name="StyleGAN Text Direction",
            category=CATEGORY,
            description="Draws people, lets CLIP say which of two texts each looks like, and finds the "
            "direction between them.",
            search_aliases=["stylegan", "clip", "text edit", "styleclip", "find direction"],
            inputs=[
                network(),
                io.Combo.Input(
                    "clip", options=host.list_models(CLIP),
                    tooltip="A whole CLIP, both halves, in models/clip_vision, such as model.safetensors of "
                    "openai/clip-vit-large-patch14.",
                ),
                io.String.Input(
                    "text", default="a person in a long dress", tooltip="What there shall be more of."
                ),
                io.String.Input(
                    "versus", default="a person in a short dress",
                    tooltip="What there shall be less of. Let the texts differ in the attribute alone.",
                ),
                io.Int.Input(
                    "samples", default=256, min=16, max=4096,
                    tooltip="People drawn to learn from. More take longer and give a cleaner direction.",
                ),
                seed("Seed of the first of them."),
                psi(1.0),
                io.String.Input("rows", default="all", tooltip=EVERY_ROWS_TIP),
                keep_out(),
            ],
            outputs=_found("From the second text towards the first."),
        )  # fmt: skip

    @classmethod
    def fingerprint_inputs(cls, clip, **others):
        """Look again when the file of the CLIP was changed."""
        return host.file_state(CLIP, clip)

    @classmethod
    def execute(cls, stylegan, clip, text, versus, samples, seed, truncation_psi, rows, keep_out=None):
        from . import find_bridge

        people = find_bridge.sampled(stylegan, seed, samples, truncation_psi)
        values = find_bridge.likeness(stylegan, people, clip, text, versus)
        others = [] if keep_out is None else [keep_out]
        return io.NodeOutput(*find_bridge.fitted(people, values, rows, others, name=text))


class FiguraStyleGANLatentDirection(io.ComfyNode):
    """Take the way from one person to another as a direction."""

    @classmethod
    def define_schema(cls):
        return schema(
            node_id="FiguraStyleGANLatentDirection",
            display_name="StyleGAN Direction Between Latents",
            category=CATEGORY,
            description="Takes the way from some people to others as an edit: the difference of their means.",
            search_aliases=["stylegan", "difference", "latent arithmetic", "find direction"],
            inputs=[
                people("without", "Where strength 0 stays: one latent, or several whose mean counts."),
                people("with_it", "Where strength 1 would arrive."),
                io.String.Input("rows", default="all", tooltip=EVERY_ROWS_TIP),
            ],
            outputs=[Edit.Output(display_name="edit", tooltip="For StyleGAN Edit on anyone.")],
        )

    @classmethod
    def execute(cls, without, with_it, rows):
        from . import bridge, find_bridge

        both = bridge.check(without, "without"), bridge.check(with_it, "with_it")
        return io.NodeOutput(find_bridge.difference(*both, rows))
