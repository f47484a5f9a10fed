"""Pictures from seeds or latents."""

from ..compat import io, schema
from ..sockets import Ws
from .inputs import CATEGORY, cutoff, network, noise_mode, psi, seed


class FiguraStyleGANSampler(io.ComfyNode):
    """Draw people from seeds, or from a latent."""

    @classmethod
    def define_schema(cls):
        return schema(
            node_id="FiguraStyleGANSampler",
            display_name="StyleGAN Sampler",
            category=CATEGORY,
            description="Draws pictures from seeds, the same ones as the original scripts for the same "
            "seed, or from a latent made by another node.",
            search_aliases=["stylegan", "generate person", "gan sampler", "seed to image"],
            inputs=[
                network(),
                seed(
                    "Seed of the first picture; picture i uses seed + i. The lowest 32 bits count for the "
                    "person."
                ),
                io.Int.Input(
                    "batch_size", default=1, min=1, max=256,
                    tooltip="How many pictures. Unused with a latent.",
                ),
                psi(),
                noise_mode(),
                cutoff(),
                Ws.Input(
                    "latent", optional=True,
                    tooltip="Draw this latent as it is, instead of the seed's: psi and batch size then do "
                    "nothing, and the seed only drives random noise.",
                ),
            ],
            outputs=[
                io.Image.Output(
                    display_name="image", tooltip="The pictures, twice as high as wide for human models."
                ),
                Ws.Output(display_name="latent", tooltip="The latents drawn, to blend, edit or save."),
            ],
        )  # fmt: skip

    @classmethod
    def execute(
        cls, stylegan, seed, batch_size, truncation_psi, noise_mode, truncation_cutoff=0, latent=None
    ):
        from . import bridge

        if latent is None:
            latents = bridge.sample_batch(stylegan, seed, batch_size, truncation_psi, truncation_cutoff)
        else:
            latents = bridge.check(latent)
        return io.NodeOutput(bridge.render(stylegan, latents, noise_mode, seed), latents)


class FiguraStyleGANSeedGrid(io.ComfyNode):
    """Draw a labelled sheet of seeds to choose from."""

    @classmethod
    def define_schema(cls):
        return schema(
            node_id="FiguraStyleGANSeedGrid",
            display_name="StyleGAN Seed Grid",
            category=CATEGORY,
            description="Draws a list of seeds as one labelled sheet, to find people worth keeping.",
            search_aliases=["stylegan", "seed explorer", "contact sheet"],
            inputs=[
                network(),
                io.String.Input("seeds", default="0-7", tooltip="Seeds and ranges, such as 1,3,5-9."),
                psi(),
                noise_mode(),
                io.Int.Input("columns", default=0, min=0, max=64, tooltip="Pictures in a row; 0 chooses."),
                io.Boolean.Input("labels", default=True, tooltip="Write each seed below its picture."),
                cutoff(),
            ],
            outputs=[
                io.Image.Output(display_name="grid", tooltip="All pictures on one sheet."),
                io.Image.Output(display_name="images", tooltip="The pictures as a batch."),
                Ws.Output(display_name="latents", tooltip="Their latents, in the same order."),
            ],
        )

    @classmethod
    def execute(cls, stylegan, seeds, truncation_psi, noise_mode, columns, labels, truncation_cutoff=0):
        from . import bridge

        latents = bridge.sample_listed(stylegan, seeds, truncation_psi, truncation_cutoff)
        images = bridge.render(stylegan, latents, noise_mode)
        return io.NodeOutput(bridge.seed_sheet(images, latents, labels, columns), images, latents)
