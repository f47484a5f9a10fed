"""Pictures from seeds or latents."""

from ...pipelines.common.seeds import batch_seeds
from ...pipelines.stylegan_human.grid import sheet
from ...pipelines.stylegan_human.latents import parse_seeds
from ...pipelines.stylegan_human.noise import NOISE_MODES
from ..compat import advanced, io, schema
from ..sockets import StyleGAN, Ws

MAX_SEED = 2**64 - 1


def _psi():
    return io.Float.Input(
        "truncation_psi",
        default=0.7,
        min=-2.0,
        max=2.0,
        step=0.05,
        tooltip="How far from the average person: 1 is the full variety, 0 the average itself, 0.7 the "
        "usual compromise.",
    )


def _cutoff():
    return advanced(
        io.Int,
        "truncation_cutoff",
        default=0,
        min=0,
        max=64,
        tooltip="Truncate only this many first rows of the latent. 0: as the network was released (8 rows "
        "for v1, all "
        "for v2 and v3).",
    )


def _noise_mode():
    return io.Combo.Input(
        "noise_mode",
        options=list(NOISE_MODES),
        default="const",
        tooltip="Fine detail such as hair: const is the network's own and always the same, random is drawn "
        "from the seed, "
        "none leaves it out. StyleGAN3 has no noise.",
    )


class FiguraStyleGANSampler(io.ComfyNode):
    """Draw people from seeds, or from a latent."""

    @classmethod
    def define_schema(cls):
        return schema(
            node_id="FiguraStyleGANSampler",
            display_name="StyleGAN Sampler",
            category="figura/stylegan_human",
            description="Draws pictures from seeds, the same ones as the original scripts for the same "
            "seed, or from a "
            "latent made by another node.",
            search_aliases=["stylegan", "generate person", "gan sampler", "seed to image"],
            inputs=[
                StyleGAN.Input("stylegan", tooltip="From StyleGAN Loader."),
                io.Int.Input(
                    "seed",
                    default=0,
                    min=0,
                    max=MAX_SEED,
                    control_after_generate=True,
                    tooltip="Seed of the first picture; picture i uses seed + i. The lowest 32 bits count "
                    "for the person.",
                ),
                io.Int.Input(
                    "batch_size",
                    default=1,
                    min=1,
                    max=256,
                    tooltip="How many pictures. Unused with a latent.",
                ),
                _psi(),
                _noise_mode(),
                _cutoff(),
                Ws.Input(
                    "latent",
                    optional=True,
                    tooltip="Draw this latent as it is, instead of the seed's: psi and batch size then do "
                    "nothing, and the "
                    "seed only drives random noise.",
                ),
            ],
            outputs=[
                io.Image.Output(
                    display_name="image", tooltip="The pictures, twice as high as wide for human models."
                ),
                Ws.Output(display_name="latent", tooltip="The latents drawn, to blend, edit or save."),
            ],
        )

    @classmethod
    def execute(
        cls, stylegan, seed, batch_size, truncation_psi, noise_mode, truncation_cutoff=0, latent=None
    ):
        from . import bridge

        if latent is None:
            latents = bridge.sample(
                stylegan, batch_seeds(seed, batch_size), truncation_psi, truncation_cutoff
            )
        else:
            latents = bridge.check(latent)
        noise_seeds = batch_seeds(seed, len(latents.ws))
        return io.NodeOutput(bridge.render(stylegan, latents, noise_mode, noise_seeds), latents)


class FiguraStyleGANSeedGrid(io.ComfyNode):
    """Draw a labelled sheet of seeds to choose from."""

    @classmethod
    def define_schema(cls):
        return schema(
            node_id="FiguraStyleGANSeedGrid",
            display_name="StyleGAN Seed Grid",
            category="figura/stylegan_human",
            description="Draws a list of seeds as one labelled sheet, to find people worth keeping.",
            search_aliases=["stylegan", "seed explorer", "contact sheet"],
            inputs=[
                StyleGAN.Input("stylegan", tooltip="From StyleGAN Loader."),
                io.String.Input("seeds", default="0-7", tooltip="Seeds and ranges, such as 1,3,5-9."),
                _psi(),
                _noise_mode(),
                io.Int.Input("columns", default=0, min=0, max=64, tooltip="Pictures in a row; 0 chooses."),
                io.Boolean.Input("labels", default=True, tooltip="Write each seed below its picture."),
                _cutoff(),
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

        numbers = parse_seeds(seeds, limit=256)
        latents = bridge.sample(stylegan, numbers, truncation_psi, truncation_cutoff)
        images = bridge.render(stylegan, latents, noise_mode, numbers)
        grid = sheet(images, [str(number) for number in numbers] if labels else [], columns)
        return io.NodeOutput(grid, images, latents)
