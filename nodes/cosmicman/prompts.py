"""A dense caption built part by part, as CosmicMan was trained on."""

from ...pipelines.cosmicman import captions, prompts
from ..compat import advanced, io, schema, ui
from ..sockets import Caption
from . import bridge

NONE = "(none)"


def _words(name: str, example: str, tooltip: str, rare: bool = False):
    arguments = {"default": "", "placeholder": example, "tooltip": f"{tooltip} For example: {example}."}
    return advanced(io.String, name, **arguments) if rare else io.String.Input(name, **arguments)


class FiguraCosmicManPrompt(io.ComfyNode):
    """Build a dense prompt in the order of CosmicMan's training captions."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """What the page shows."""
        return schema(
            node_id="FiguraCosmicManPrompt",
            display_name="CosmicMan Prompt",
            category="figura/cosmicman",
            description="Builds the dense description that CosmicMan understands best: shot, subject, body, "
            "background, hair, clothes, in the order of its training captions. Shows the tokens used of 77.",
            search_aliases=["dense prompt", "caption builder", "attributes", "person description"],
            inputs=[
                io.Combo.Input(
                    "shot", options=[*captions.SHOTS, NONE], default="full_body",
                    tooltip="How much of the person is seen.",
                ),
                *(_words(part.name, part.example, part.help, part.rare) for part in prompts.PARTS),
                _words("extra", "golden hour, film grain", "Style and anything else, put at the end."),
            ],
            outputs=[
                io.String.Output(display_name="prompt", tooltip="The caption, for CLIP Text Encode."),
                Caption.Output(
                    display_name="caption", tooltip="The same with its body groups and their tokens."
                ),
            ],
            is_output_node=True,
        )  # fmt: skip

    @classmethod
    def execute(cls, shot="full_body", extra="", **parts) -> io.NodeOutput:
        """Join the parts and count the tokens."""
        shown = bridge.choice("shot", shot, {**captions.SHOTS, NONE: ""})
        caption = prompts.build(shown, parts, extra)
        return io.NodeOutput(caption.text, caption, ui=ui.PreviewText(prompts.summary(caption)))
