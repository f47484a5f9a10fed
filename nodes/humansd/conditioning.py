"""The skeleton given to HumanSD."""

from ...pipelines.humansd.conditioning import MAX_STRENGTH, segments
from ..compat import advanced, io, schema
from . import bridge


class FiguraHumanSDApplySkeleton(io.ComfyNode):
    """Give HumanSD the drawn skeleton that it paints people along."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """What the page shows."""
        return schema(
            node_id="FiguraHumanSDApplySkeleton",
            display_name="HumanSD Apply Skeleton",
            category="figura/humansd",
            description="Puts a skeleton picture on both prompts. HumanSD reads the 17 body joints only: no "
            "hands, no face points. Use the outputs with any sampler, and the latent as its size.",
            search_aliases=["pose", "skeleton", "control", "humansd conditioning", "openpose"],
            inputs=[
                io.Conditioning.Input("positive", tooltip="The prompt; several regions keep theirs."),
                io.Conditioning.Input("negative", tooltip="What to keep out. It gets the same skeleton."),
                io.Vae.Input("vae", tooltip="The VAE of HumanSD Loader."),
                io.Image.Input(
                    "skeleton",
                    tooltip="From Figura Draw Pose in HumanSD's colours, at the size of the picture; "
                    "sides become multiples of 64. A batch gives one picture for each skeleton.",
                ),
                io.Float.Input(
                    "strength", default=1.0, min=0.0, max=MAX_STRENGTH, step=0.05,
                    tooltip="1 as trained, 0 as if nobody were drawn; above 1 exaggerates.",
                ),
                advanced(
                    io.Float, "start_percent", default=0.0, min=0.0, max=1.0, step=0.01,
                    tooltip="From which part of the steps on the skeleton counts.",
                ),
                advanced(
                    io.Float, "end_percent", default=1.0, min=0.0, max=1.0, step=0.01,
                    tooltip="Until which part of the steps the skeleton counts.",
                ),
                io.Int.Input(
                    "batch_size", default=1, min=1, max=64, tooltip="Pictures for each skeleton."
                ),
            ],
            outputs=[
                io.Conditioning.Output(display_name="positive", tooltip="The prompt with the skeleton."),
                io.Conditioning.Output(display_name="negative", tooltip="The negative with the skeleton."),
                io.Latent.Output(display_name="latent", tooltip="Empty, of the skeleton's size."),
            ],
        )  # fmt: skip

    @classmethod
    def execute(
        cls, positive, negative, vae, skeleton, strength=1.0, start_percent=0.0, end_percent=1.0, batch_size=1
    ) -> io.NodeOutput:
        """Encode once, set on both."""
        parts = segments(start_percent, end_percent)
        latents = bridge.encode_skeleton(vae, skeleton, strength, parts)
        return io.NodeOutput(
            bridge.with_skeleton(positive, latents, parts),
            bridge.with_skeleton(negative, latents, parts),
            bridge.empty_latent(latents, batch_size),
        )
