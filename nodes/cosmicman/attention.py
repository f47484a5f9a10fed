"""See where the parts of a dense prompt look, and move them to a mask."""

from ..compat import advanced, io, schema
from ..sockets import Caption
from . import bridge
from .sampler import SEED

CAPTION_HELP = "From CosmicMan Prompt; the same text must be in the positive prompt."


class FiguraCosmicManAttentionMap(io.ComfyNode):
    """Show where each body group of a caption looks in a picture."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """What the page shows."""
        return schema(
            node_id="FiguraCosmicManAttentionMap",
            display_name="CosmicMan Attention Map",
            category="figura/cosmicman",
            description="Runs CosmicMan once on finished latents, noised a little, and shows where the words "
            "of each group of the caption (hair, tops, shoes …) look. The masks can go to CosmicMan Refocus.",
            search_aliases=["attention", "heat map", "daring", "hola", "probe"],
            inputs=[
                io.Model.Input("model", tooltip="CosmicMan."),
                io.Conditioning.Input("positive", tooltip="The caption, encoded."),
                Caption.Input("caption", tooltip=CAPTION_HELP),
                io.Latent.Input("latent", tooltip="Of a sampler, or of VAE Encode for any picture."),
                advanced(
                    io.Float, "noise_level", default=0.5, min=0.01, max=1, step=0.01,
                    tooltip="How much noise the UNet sees: 0.01 almost none, 1 all.",
                ),
                advanced(io.Int, "seed", default=0, tooltip="Of that noise.", **SEED),
            ],
            outputs=[
                io.Mask.Output(
                    display_name="maps", tooltip="One map per group, in the caption's order; at most 1."
                ),
                io.Image.Output(display_name="image", tooltip="The same as heat pictures with the words."),
            ],
            is_experimental=True,
        )  # fmt: skip

    @classmethod
    def execute(cls, model, positive, caption, latent, noise_level=0.5, seed=0) -> io.NodeOutput:
        """One forward pass, then pictures."""
        from ...pipelines.cosmicman import heat
        from . import attention_bridge

        samples = bridge.check_latent(latent)
        spans = [group.span for group in caption.groups]
        maps = attention_bridge.read_maps(model, positive, samples, spans, seed, noise_level)
        size = 8 * samples.shape[-2], 8 * samples.shape[-1]
        masks = heat.enlarge(maps, size)
        return io.NodeOutput(masks, heat.pictures(masks, [group.text for group in caption.groups]))


class FiguraCosmicManRefocus(io.ComfyNode):
    """Draw one body group of a caption to a mask."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """What the page shows."""
        return schema(
            node_id="FiguraCosmicManRefocus",
            display_name="CosmicMan Refocus",
            category="figura/cosmicman",
            description="Draws the words of one group of the caption to a mask while sampling, without "
            "training. Several in a row add up. LoRA and ControlNet go with it; IP-Adapter sits in the same "
            "place of the UNet: the later one wins.",
            search_aliases=["regional prompt", "attention", "daring", "hola", "move"],
            inputs=[
                io.Model.Input("model", tooltip="CosmicMan; may have another Refocus on it."),
                Caption.Input("caption", tooltip=CAPTION_HELP),
                io.String.Input(
                    "group", default="tops",
                    tooltip="Name of the group as in CosmicMan Prompt's table (shot, subject, body shape, "
                    "background, hair, tops, bottoms, shoes …), or its very words.",
                ),
                io.Mask.Input("mask", tooltip="Where the group shall be; one, or one per image."),
                io.Float.Input(
                    "weight", default=1.0, min=-10, max=10, step=0.1,
                    tooltip="Added to the attention logits inside the mask, taken away outside: 0 nothing, "
                    "4 strong, negative pushes away.",
                ),
                advanced(
                    io.Float, "start_percent", default=0.0, min=0, max=1, step=0.01,
                    tooltip="Share of the sampling at which it begins.",
                ),
                advanced(
                    io.Float, "end_percent", default=0.6, min=0, max=1, step=0.01,
                    tooltip="Share of the sampling at which it ends; the rest is for details.",
                ),
            ],
            outputs=[io.Model.Output(display_name="model", tooltip="The model with the focus on it.")],
            is_experimental=True,
        )  # fmt: skip

    @classmethod
    def execute(
        cls, model, caption, group, mask, weight=1.0, start_percent=0.0, end_percent=0.6
    ) -> io.NodeOutput:
        """Find the group's tokens and patch a clone."""
        from ...pipelines.common.masks import check_mask
        from ...pipelines.cosmicman.attention import group_named
        from . import attention_bridge

        span = group_named(caption, group.strip())
        focus = attention_bridge.focus(model, span, check_mask(mask), weight, start_percent, end_percent)
        return io.NodeOutput(attention_bridge.patched(model, attention_bridge.AttentionPatch((focus,))))
