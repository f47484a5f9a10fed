"""HumanSD in one node: prompt and skeleton in, picture out, with the released defaults."""

from ...pipelines.common.seeds import MAX_SEED
from ...pipelines.humansd import ddim
from ...pipelines.humansd.conditioning import MAX_STRENGTH, segments, with_added
from ...pipelines.humansd.defaults import ADDED_PROMPT, GUIDANCE, NEGATIVE_PROMPT, SCHEDULES, STEPS
from .. import host
from ..compat import advanced, io, one_of, schema
from . import bridge


class FiguraHumanSDSampler(io.ComfyNode):
    """Paint people along a skeleton, as the released program does."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """What the page shows."""
        return schema(
            node_id="FiguraHumanSDSampler",
            display_name="HumanSD Sampler",
            category="figura/humansd",
            description="The released program in one node: its DDIM, guidance and added words. For other "
            "samplers, inpainting or regions use HumanSD Apply Skeleton and KSampler.",
            search_aliases=["humansd", "pose to image", "skeleton to image", "ddim"],
            inputs=[
                io.Model.Input("model", tooltip="From HumanSD Loader; LoRAs may lie between."),
                io.Clip.Input("clip", tooltip="From HumanSD Loader."),
                io.Vae.Input("vae", tooltip="From HumanSD Loader."),
                io.Image.Input(
                    "skeleton",
                    tooltip="From Figura Draw Pose in HumanSD's colours. A batch gives one picture for each.",
                ),
                io.String.Input(
                    "prompt", multiline=True, default="two people dancing in the rain, oil painting",
                    tooltip="What to paint. The style matters as much as the people.",
                ),
                io.String.Input(
                    "negative_prompt", multiline=True, default=NEGATIVE_PROMPT,
                    tooltip="What to keep out; the released words.",
                ),
                io.Int.Input(
                    "seed", default=1234, min=0, max=MAX_SEED, control_after_generate=True,
                    tooltip="Picture i of a batch has seed + i, whatever the batch's size.",
                ),
                io.Int.Input("steps", default=STEPS, min=1, max=500, tooltip="DDIM steps; 50 as released."),
                io.Float.Input(
                    "cfg", default=GUIDANCE, min=1.0, max=30.0, step=0.5,
                    tooltip="Guidance; 10 as released, lower is softer.",
                ),
                io.Float.Input(
                    "pose_strength", default=1.0, min=0.0, max=MAX_STRENGTH, step=0.05,
                    tooltip="1 as trained, 0 as if nobody were drawn.",
                ),
                io.Int.Input("batch_size", default=1, min=1, max=64, tooltip="Pictures for each skeleton."),
                advanced(
                    io.String, "added_prompt", default=ADDED_PROMPT,
                    tooltip="Put behind the prompt, as released. Empty for none.",
                ),
                advanced(
                    io.Combo, "schedule", options=list(SCHEDULES), default="full",
                    tooltip="full: every step. legacy_49: without the noisiest, as the released program.",
                ),
                io.Image.Input(
                    "image", optional=True,
                    tooltip="With strength below 1: what to start from, brought to the skeleton's size.",
                ),
                advanced(
                    io.Float, "strength", default=1.0, min=0.02, max=1.0, step=0.01,
                    tooltip="How much of the picture is painted anew; 1 ignores it.",
                ),
            ],
            outputs=[
                io.Image.Output(display_name="image", tooltip="The painted pictures."),
                io.Latent.Output(display_name="latent", tooltip="Their latents, for a second pass."),
            ],
        )  # fmt: skip

    @classmethod
    def execute(
        cls, model, clip, vae, skeleton, prompt, negative_prompt, seed, steps, cfg, pose_strength=1.0,
        batch_size=1, added_prompt=ADDED_PROMPT, schedule="full", image=None, strength=1.0,
    ) -> io.NodeOutput:  # fmt: skip
        """Encode prompts and skeleton, sample, decode."""
        bridge.require_model(model)
        plan = ddim.plan(steps, strength, one_of("schedule", schedule, SCHEDULES) == "legacy_49")
        parts = segments(0.0, 1.0)
        latents = bridge.encode_skeleton(vae, skeleton, pose_strength, parts)
        start = bridge.encode_start(vae, image, latents) if image is not None and strength < 1 else None
        texts = (with_added(prompt, added_prompt), negative_prompt)
        positive, negative = (bridge.encode_prompt(clip, text) for text in texts)
        conds = [bridge.with_skeleton(one, latents, parts) for one in (positive, negative)]
        shape = bridge.empty_latent(latents, batch_size)["samples"].shape
        painted = bridge.sample(model, *conds, shape, seed, cfg, plan, start)
        return io.NodeOutput(host.result(vae.decode(painted["samples"])), painted)
