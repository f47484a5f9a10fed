"""CosmicMan's recipe: one pass over the noise, and a short second one with the base or the refiner."""

from ..compat import advanced, io, schema
from . import bridge

SEED = {"min": 0, "max": 2**64 - 1, "control_after_generate": True}


class FiguraCosmicManSampler(io.ComfyNode):
    """Sample with CosmicMan, in one pass or two."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """What the page shows."""
        samplers, schedulers = bridge.sampler_names()
        return schema(
            node_id="FiguraCosmicManSampler",
            display_name="CosmicMan Sampler",
            category="figura/cosmicman",
            description="CosmicMan's published recipe: 30 steps at cfg 7.5, then, where a refiner model is "
            "connected, 15 more at denoise 0.3 and cfg 5. Image i of a batch is made from seed + i.",
            search_aliases=["ksampler", "refiner", "two pass", "cosmicman"],
            inputs=[
                io.Model.Input("model", tooltip="CosmicMan, with any LoRA on it."),
                io.Conditioning.Input("positive", tooltip="The prompt; a dense description works best."),
                io.Conditioning.Input("negative", tooltip="CLIP Text Encode with what to avoid, or empty."),
                io.Latent.Input("latent_image", tooltip="Empty latents of the size wanted, such as 1024²."),
                io.Int.Input("seed", default=0, tooltip="Image i of the batch draws from seed + i.", **SEED),
                io.Int.Input("steps", default=30, min=1, max=1000, tooltip="Steps of the first pass."),
                io.Float.Input(
                    "cfg", default=7.5, min=0, max=100, step=0.1, tooltip="Guidance of the first pass."
                ),
                io.Combo.Input("sampler_name", options=samplers, default="euler", tooltip="For both passes."),
                advanced(
                    io.Combo, "scheduler", options=schedulers, default="normal", tooltip="For both passes."
                ),
                io.Model.Input(
                    "refiner_model", optional=True,
                    tooltip="The model of the second pass: plain SDXL base, which the authors found as good, "
                    "or the SDXL refiner. Not connected: one pass.",
                ),
                io.Conditioning.Input(
                    "refiner_positive", optional=True,
                    tooltip="The prompt for the real refiner, which has a text encoder of its own. Else the "
                    "first pass's.",
                ),
                io.Conditioning.Input(
                    "refiner_negative", optional=True, tooltip="The negative prompt for the real refiner."
                ),
                io.Int.Input(
                    "refine_steps", default=15, min=1, max=1000, tooltip="Steps of the second pass."
                ),
                io.Float.Input(
                    "refine_cfg", default=5.0, min=0, max=100, step=0.1, tooltip="Guidance, second pass."
                ),
                io.Float.Input(
                    "refine_denoise", default=0.3, min=0.01, max=1, step=0.01,
                    tooltip="How far back the second pass goes: 0.3 as published.",
                ),
            ],
            outputs=[io.Latent.Output(display_name="latent", tooltip="Denoised latents, for VAE Decode.")],
        )  # fmt: skip

    @classmethod
    def execute(
        cls, model, positive, negative, latent_image, seed, steps=30, cfg=7.5, sampler_name="euler",
        scheduler="normal", refiner_model=None, refiner_positive=None, refiner_negative=None,
        refine_steps=15, refine_cfg=5.0, refine_denoise=0.3,
    ) -> io.NodeOutput:  # fmt: skip
        """Check both passes, then run them."""
        passes = [bridge.Pass(model, positive, negative, sampler_name, scheduler, steps, cfg)]
        if refiner_model is not None:
            words = refiner_positive or positive, refiner_negative or negative
            passes.append(
                bridge.Pass(
                    refiner_model, *words, sampler_name, scheduler, refine_steps, refine_cfg, refine_denoise
                )
            )
        samples = bridge.check_latent(latent_image)
        for run in passes:
            bridge.check_pass(run, samples)
        latent = latent_image
        for number, run in enumerate(passes):
            latent = bridge.denoise(run, latent, bridge.sample_seeds(latent_image, seed, number))
        return io.NodeOutput(latent)
