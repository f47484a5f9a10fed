"""From a picture back to a latent, and to a network tuned to it."""

from ...pipelines.stylegan_human.choices import FITS
from .. import host
from ..compat import advanced, io, schema, ui
from ..sockets import Encoder, Perceptual, StyleGAN, Ws
from .folders import ENCODERS, PERCEPTUAL
from .inputs import CATEGORY, network, seed

NO_WEIGHTS = "none"
MODES = ("w", "w+", "encoder")


def _fit():
    return io.Combo.Input(
        "fit", options=list(FITS), default="exact",
        tooltip="Pictures of another shape than the network's: exact refuses them, pad adds white, stretch "
        "pulls them. Best align photos first.",
    )  # fmt: skip


def _perceptual():
    return Perceptual.Input(
        "perceptual", optional=True,
        tooltip="From StyleGAN Perceptual Loader. Without it likeness is measured by pixels and gradients at "
        "several scales.",
    )  # fmt: skip


class FiguraStyleGANPerceptualLoader(io.ComfyNode):
    """Load LPIPS."""

    @classmethod
    def define_schema(cls):
        return schema(
            node_id="FiguraStyleGANPerceptualLoader",
            display_name="StyleGAN Perceptual Loader",
            category=CATEGORY,
            description="Loads a measure of how alike pictures look: AlexNet or VGG16 of torchvision with "
            "LPIPS's weights for it.",
            search_aliases=["lpips", "vgg16", "alexnet", "perceptual loss"],
            inputs=[
                io.Combo.Input(
                    "network", options=host.list_models(PERCEPTUAL),
                    tooltip="alexnet-owt-7be5be79.pth or vgg16-397923af.pth of torchvision, or a whole LPIPS "
                    "model, in models/perceptual.",
                ),
                io.Combo.Input(
                    "lpips", options=[NO_WEIGHTS, *host.list_models(PERCEPTUAL)], default=NO_WEIGHTS,
                    tooltip="LPIPS's alex.pth or vgg.pth, matching the network. none: they are in the "
                    "network's file, or all channels count alike, which is no LPIPS.",
                ),
            ],
            outputs=[
                Perceptual.Output(
                    display_name="perceptual", tooltip="For StyleGAN Invert and StyleGAN Tune."
                )
            ],
        )  # fmt: skip

    @classmethod
    def fingerprint_inputs(cls, network, lpips):
        """Load again when a file was changed."""
        return [host.file_state(PERCEPTUAL, name) for name in (network, lpips)]

    @classmethod
    def execute(cls, network, lpips):
        from . import invert_bridge

        names = [network] if lpips == NO_WEIGHTS else [network, lpips]
        return io.NodeOutput(invert_bridge.load_measure(names))


class FiguraStyleGANEncoderLoader(io.ComfyNode):
    """Load an e4e encoder."""

    @classmethod
    def define_schema(cls):
        return schema(
            node_id="FiguraStyleGANEncoderLoader",
            display_name="StyleGAN Encoder Loader",
            category=CATEGORY,
            description="Loads an e4e or pSp encoder, which reads a picture's latent off in one pass.",
            search_aliases=["e4e", "psp", "encoder4editing", "stylegan encoder"],
            inputs=[
                io.Combo.Input(
                    "encoder", options=host.list_models(ENCODERS),
                    tooltip="A file such as e4e_w+.pt in models/stylegan_encoders. It fits one network only: "
                    "the released one StyleGAN-Human v2 1024x512.",
                ),
            ],
            outputs=[Encoder.Output(display_name="encoder", tooltip="For StyleGAN Invert.")],
        )  # fmt: skip

    @classmethod
    def fingerprint_inputs(cls, encoder):
        """Load again when the file was changed."""
        return host.file_state(ENCODERS, encoder)

    @classmethod
    def execute(cls, encoder):
        from . import invert_bridge

        return io.NodeOutput(invert_bridge.load_encoder_file(encoder))


class FiguraStyleGANInvert(io.ComfyNode):
    """Find the latent of a picture."""

    @classmethod
    def define_schema(cls):
        return schema(
            node_id="FiguraStyleGANInvert",
            display_name="StyleGAN Invert",
            category=CATEGORY,
            description="Finds the latent at which the network draws a picture most nearly. Stopped runs go "
            "on where they were when queued again.",
            search_aliases=["stylegan", "projection", "gan inversion", "pti", "e4e"],
            inputs=[
                network(),
                io.Image.Input("image", tooltip="An aligned person on white; each of a batch is inverted."),
                io.Combo.Input(
                    "mode", options=list(MODES), default="w",
                    tooltip="w searches one row for all layers: edits stay clean. w+ searches a row for each "
                    "layer: closer to the picture. encoder reads w+ off with an e4e encoder, at once.",
                ),
                io.Int.Input(
                    "steps", default=450, min=1, max=100000,
                    tooltip="Steps of the search. The encoder needs none.",
                ),
                _fit(),
                seed("Drives the noise of the search."),
                Encoder.Input("encoder", optional=True, tooltip="Needed by the mode encoder."),
                _perceptual(),
                advanced(
                    io.Float, "learning_rate", default=0.01, min=0.00001, max=1.0, step=0.001,
                    tooltip="Highest rate of the search.",
                ),
                advanced(
                    io.Boolean, "as_published", default=False,
                    tooltip="Search as the released script: pictures squashed to 256x256, and noise maps "
                    "that are searched too and then dropped.",
                ),
            ],
            outputs=[
                Ws.Output(display_name="latent", tooltip="For StyleGAN Tune, Sampler or an edit."),
                io.Image.Output(display_name="image", tooltip="What the network draws there."),
                io.Image.Output(display_name="comparison", tooltip="Picture and drawing with their figures."),
            ],
        )  # fmt: skip

    @classmethod
    def execute(
        cls, stylegan, image, mode, steps, fit, seed, encoder=None, perceptual=None, learning_rate=0.01,
        as_published=False,
    ):  # fmt: skip
        from . import invert_bridge

        settings = invert_bridge.search_settings(mode, steps, seed, learning_rate, as_published)
        made = invert_bridge.invert(stylegan, image, settings, fit, encoder, perceptual)
        return io.NodeOutput(made.latents, made.image, made.comparison, ui=ui.PreviewText(made.words))


class FiguraStyleGANTune(io.ComfyNode):
    """Tune the network to a picture."""

    @classmethod
    def define_schema(cls):
        return schema(
            node_id="FiguraStyleGANTune",
            display_name="StyleGAN Tune",
            category=CATEGORY,
            description="Pivotal tuning: moves a copy of the network until it draws the very picture at its "
            "latent, which can then be edited. Stopped runs go on where they were when queued again.",
            search_aliases=["stylegan", "pti", "pivotal tuning", "fine-tune"],
            inputs=[
                network(),
                io.Image.Input("image", tooltip="The picture, or several for one network."),
                Ws.Input("latent", tooltip="From StyleGAN Invert: one for each picture, without edits."),
                io.Int.Input(
                    "steps", default=350, min=1, max=100000,
                    tooltip="At most as many. 350 is the released value; faces and prints want more.",
                ),
                io.Float.Input(
                    "threshold", default=0.04, min=0.0, max=10.0, step=0.005,
                    tooltip="Stop once LPIPS is no larger; 0 never stops early. 0.04 is the released value; "
                    "0.02 keeps more detail. Counts with LPIPS and one picture only.",
                ),
                io.Boolean.Input(
                    "keep_others", default=False,
                    tooltip="Keep people near by as they were (locality regularisation): a step takes twice "
                    "as long.",
                ),
                _fit(),
                _perceptual(),
                advanced(
                    io.Float, "learning_rate", default=0.0005, min=0.000001, max=0.1, step=0.0001,
                    tooltip="Adam's rate.",
                ),
                advanced(
                    io.Float, "pixel_weight", default=1.0, min=0.0, max=1000.0, step=0.1,
                    tooltip="Of the mean squared difference.",
                ),
                advanced(
                    io.Float, "perceptual_weight", default=1.0, min=0.0, max=1000.0, step=0.1,
                    tooltip="Of the perceptual distance.",
                ),
            ],
            outputs=[
                StyleGAN.Output(display_name="stylegan", tooltip="The tuned network, for this person only."),
                io.Image.Output(display_name="image", tooltip="What it draws."),
                io.Image.Output(
                    display_name="comparison", tooltip="Picture, before and after, with their figures."
                ),
            ],
        )  # fmt: skip

    @classmethod
    def execute(
        cls, stylegan, image, latent, steps, threshold, keep_others, fit, perceptual=None,
        learning_rate=0.0005, pixel_weight=1.0, perceptual_weight=1.0,
    ):  # fmt: skip
        from . import invert_bridge

        weights = pixel_weight, perceptual_weight
        settings = invert_bridge.tune_settings(steps, learning_rate, threshold, weights, keep_others)
        made = invert_bridge.tune(stylegan, image, latent, settings, fit, perceptual)
        return io.NodeOutput(made.stylegan, made.image, made.comparison, ui=ui.PreviewText(made.words))


class FiguraStyleGANSaveNetwork(io.ComfyNode):
    """Keep a tuned network."""

    @classmethod
    def define_schema(cls):
        return schema(
            node_id="FiguraStyleGANSaveNetwork",
            display_name="StyleGAN Save Network",
            category=CATEGORY,
            description="Saves a network as .safetensors in output/stylegan_human, where StyleGAN Loader "
            "finds it after R is pressed.",
            search_aliases=["stylegan", "save tuned generator", "export"],
            is_output_node=True,
            inputs=[
                network(),
                io.String.Input(
                    "filename_prefix", default="tuned",
                    tooltip="Beginning of the name, inside output/stylegan_human.",
                ),
            ],
            outputs=[StyleGAN.Output(display_name="stylegan", tooltip="The same network, passed on.")],
        )  # fmt: skip

    @classmethod
    def execute(cls, stylegan, filename_prefix):
        from . import invert_bridge

        name = invert_bridge.save_network(stylegan, filename_prefix)
        return io.NodeOutput(stylegan, ui=ui.PreviewText(f"Saved {name}"))
