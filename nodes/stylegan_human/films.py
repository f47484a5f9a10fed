"""Films: ways between seeds, style mixing on the move, any latents as a video."""

from ..compat import advanced, io, schema
from ..sockets import Ws
from .inputs import CATEGORY, fps, mode, network, noise, people, psi

SPACES_TIP = (
    "Where the way leads through: z, before the mapping network, stays likely everywhere; w, after it, is "
    "smoother; w+ moves every row on its own."
)


class FiguraStyleGANInterpolate(io.ComfyNode):
    """Go from seed to seed."""

    @classmethod
    def define_schema(cls):
        from ...pipelines.stylegan_human.choices import SPACES

        return schema(
            node_id="FiguraStyleGANInterpolate",
            display_name="StyleGAN Interpolate Seeds",
            category=CATEGORY,
            description="Draws the way from seed to seed, in z, w or w+, as a batch of pictures.",
            search_aliases=["stylegan", "interpolation", "morph", "lerp", "slerp"],
            inputs=[
                network(),
                io.String.Input("seeds", default="1,2", tooltip="Two seeds or more, in order: 1,2 or 3-6."),
                io.Int.Input(
                    "steps", default=16, min=1, max=512, tooltip="Pictures from one seed to the next."
                ),
                io.Combo.Input("space", options=list(SPACES), default="z", tooltip=SPACES_TIP),
                mode(),
                io.Boolean.Input(
                    "loop", default=False, tooltip="Return to the first seed instead of ending at the last."
                ),
                psi(0.8),
                *noise(),
            ],
            outputs=[
                io.Image.Output(display_name="images", tooltip="One picture for each step, the last seed's "
                "too."),
                Ws.Output(display_name="latents", tooltip="Their latents."),
            ],
        )  # fmt: skip

    @classmethod
    def execute(
        cls, stylegan, seeds, steps, space, mode, loop, truncation_psi, noise_mode="const", noise_seed=0
    ):
        from . import film_bridge

        latents = film_bridge.between_seeds(stylegan, seeds, steps, space, mode, loop, truncation_psi)
        images = film_bridge.drawn(stylegan, latents, noise_mode, noise_seed)
        return io.NodeOutput(images, latents)


class FiguraStyleGANMixVideo(io.ComfyNode):
    """Give people the styles of someone on a walk."""

    @classmethod
    def define_schema(cls):
        return schema(
            node_id="FiguraStyleGANMixVideo",
            display_name="StyleGAN Mixing Video",
            category=CATEGORY,
            description="Films style mixing: people stand above, a walking person on the left, and below "
            "each of them their mixture with it.",
            search_aliases=["stylegan", "style mixing video", "stylemixing"],
            inputs=[
                network(),
                people("walk", "One latent for each frame: from StyleGAN Random Walk or StyleGAN Walk."),
                people("people", "Who take the walk's styles."),
                io.String.Input(
                    "styles", default="0-6", tooltip="Rows of the latent to take from the walk."
                ),
                io.Boolean.Input(
                    "only_mixed", default=False, tooltip="Show the mixtures alone, without their sources."
                ),
                fps(10.0),
                advanced(
                    io.Int, "overlap", default=-1, min=-1, max=511,
                    tooltip="Pixels by which neighbours overlap; -1: as in the released video.",
                ),
                *noise(),
            ],
            outputs=[
                io.Image.Output(display_name="images", tooltip="The frames."),
                io.Video.Output(display_name="video", tooltip="The same as a film, for Save Video."),
            ],
        )  # fmt: skip

    @classmethod
    def execute(
        cls, stylegan, walk, people, styles, only_mixed, fps, overlap=-1, noise_mode="const", noise_seed=0
    ):
        from . import bridge, film_bridge

        both = bridge.check(walk, "walk"), bridge.check(people, "people")
        noise = noise_mode, noise_seed
        images = film_bridge.mixing(stylegan, *both, styles, only_mixed, overlap, noise)
        return io.NodeOutput(images, film_bridge.as_video(images, fps))


class FiguraStyleGANFilm(io.ComfyNode):
    """Turn latents into a video."""

    @classmethod
    def define_schema(cls):
        return schema(
            node_id="FiguraStyleGANFilm",
            display_name="StyleGAN Film",
            category=CATEGORY,
            description="Draws latents straight into a video, a few frames at a time, so that even a long "
            "film needs little memory.",
            search_aliases=["stylegan", "video", "animation", "walk video"],
            inputs=[
                network(),
                people("latents", "One for each frame: from StyleGAN Walk or StyleGAN Random Walk."),
                fps(15.0),
                *noise(),
            ],
            outputs=[io.Video.Output(display_name="video", tooltip="H.264 in high quality, for Save Video.")],
        )

    @classmethod
    def execute(cls, stylegan, latents, fps, noise_mode="const", noise_seed=0):
        from . import bridge, film_bridge

        given = bridge.check(latents, "latents")
        return io.NodeOutput(film_bridge.film(stylegan, given, fps, noise_mode, noise_seed))
