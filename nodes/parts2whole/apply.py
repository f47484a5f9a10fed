"""References read into a bank, and applied to a MODEL with a pose."""

from ...pipelines.common.errors import FiguraInputError
from .. import host, sockets
from ..compat import advanced, io, schema

MAPS = ("refuse", "convert")


class FiguraParts2WholeEncode(io.ComfyNode):
    """Read the parts with the reference UNet, once."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """What the page shows."""
        return schema(
            node_id="FiguraParts2WholeEncode",
            display_name="Parts2Whole Encode",
            category="figura/parts2whole",
            description="Runs the reference UNet once per part. Width and height must be those of "
            "the latent. "
            "At 768x512 a part keeps about 35 MB (half precision) or less, by its mask.",
            search_aliases=["reference bank", "encode references"],
            inputs=[
                sockets.Parts2Whole.Input("parts2whole", tooltip="From Parts2Whole Loader."),
                io.Clip.Input("clip", tooltip="Reads the labels; from Parts2Whole Loader, no clip skip."),
                io.Vae.Input("vae", tooltip="From Parts2Whole Loader."),
                io.ClipVision.Input("clip_vision", tooltip="From Parts2Whole Loader."),
                sockets.Parts.Input("parts", tooltip="From Parts2Whole Reference or Board."),
                io.Int.Input("width", default=512, min=64, max=4096, step=8, tooltip="The latent's width."),
                io.Int.Input("height", default=768, min=64, max=4096, step=8, tooltip="The latent's height."),
                advanced(
                    io.Boolean, "reference_compatible", default=False,
                    tooltip="Make the published script's pictures, mistakes included: masks "
                    "ignored, the first "
                    "label in place of all labels and of the prompt, features in half precision.",
                ),
            ],
            outputs=[
                sockets.PartsBank.Output(display_name="bank", tooltip="For Parts2Whole Apply."),
                io.Image.Output(
                    display_name="prepared", tooltip="The parts as they were read; dark where masked out."
                ),
            ],
        )  # fmt: skip

    @classmethod
    def execute(
        cls, parts2whole, clip, vae, clip_vision, parts, width=512, height=768, reference_compatible=False
    ) -> io.NodeOutput:
        """Encode once."""
        from . import bridge

        progress = host.NodeProgress(len(parts))
        models = parts2whole, clip, vae, clip_vision
        return io.NodeOutput(*bridge.encode(*models, parts, width, height, reference_compatible, progress))


class FiguraParts2WholeApply(io.ComfyNode):
    """Let the references, and a pose, act on a MODEL."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """What the page shows."""

        def strength(name, tooltip):
            return io.Float.Input(name, default=1.0, min=0.0, max=10.0, step=0.05, tooltip=tooltip)

        def percent(name, default, tooltip):
            return advanced(io.Float, name, default=default, min=0.0, max=1.0, step=0.01, tooltip=tooltip)

        return schema(
            node_id="FiguraParts2WholeApply",
            display_name="Parts2Whole Apply",
            category="figura/parts2whole",
            description="Returns a MODEL on which the references act, for any sampler. LoRA may "
            "come before or "
            "after. A second Apply takes the first one's place.",
            search_aliases=["reference attention", "apply references", "pose", "densepose"],
            inputs=[
                io.Model.Input("model", tooltip="From Parts2Whole Loader, with LoRA if you like."),
                sockets.Parts2Whole.Input("parts2whole", tooltip="From Parts2Whole Loader."),
                sockets.PartsBank.Input("bank", tooltip="From Parts2Whole Encode."),
                strength("reference_strength", "How much each part counts in self-attention; 1 as trained."),
                strength(
                    "image_strength",
                    "How much the CLIP tokens of the parts count; they see the pictures unmasked, "
                    "so lower it "
                    "if background or other clothes leak in. 1 as trained.",
                ),
                strength("pose_strength", "How much the pose counts; 1 as trained."),
                percent("start_percent", 0.0, "From which part of the steps on references and pose act."),
                percent("end_percent", 1.0, "Until which part of the steps references and pose act."),
                advanced(
                    io.Boolean, "decoupled", default=True,
                    tooltip="CLIP tokens through their own cross-attention. Off: with the text.",
                ),
                io.Image.Input(
                    "pose", optional=True,
                    tooltip="A raw DensePose IUV picture (see Parts2Whole DensePose), stretched to "
                    "the output; "
                    "one, or one per picture of the batch.",
                ),
            ],
            outputs=[io.Model.Output(display_name="model", tooltip="For the sampler.")],
        )  # fmt: skip

    @classmethod
    def execute(
        cls, model, parts2whole, bank, reference_strength=1.0, image_strength=1.0, pose_strength=1.0,
        start_percent=0.0, end_percent=1.0, decoupled=True, pose=None,
    ) -> io.NodeOutput:  # fmt: skip
        """Read the pose, then patch a clone."""
        from ...pipelines.parts2whole.densepose import check_iuv
        from . import bridge
        from .patches import Strengths

        if start_percent > end_percent:
            raise FiguraInputError(
                "start_percent", f"{start_percent:g}", f"at most end_percent ({end_percent:g})"
            )
        strengths = Strengths(reference_strength, image_strength, pose_strength, start_percent, end_percent)
        if pose is not None:
            pose = check_iuv(pose) if parts2whole.structure == "densepose" else pose
            pose = bridge.read_pose(parts2whole, pose, (bank.width, bank.height))
        return io.NodeOutput(bridge.apply(model, parts2whole, bank, strengths, pose, decoupled))


class FiguraParts2WholeDensePose(io.ComfyNode):
    """Check that a pose picture is what Parts2Whole reads."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """What the page shows."""
        return schema(
            node_id="FiguraParts2WholeDensePose",
            display_name="Parts2Whole DensePose",
            category="figura/parts2whole",
            description="Parts2Whole reads raw DensePose IUV values: blue is the part 1..24, green "
            "and red the "
            "surface. Most preprocessors draw coloured part maps instead; this node tells, and can convert.",
            search_aliases=["iuv", "densepose", "pose check", "part map"],
            inputs=[
                io.Image.Input("image", tooltip="A DensePose picture."),
                io.Combo.Input(
                    "coloured_maps", options=list(MAPS), default=MAPS[0],
                    tooltip="What to do with a part map painted in viridis or parula colours: refuse it, or "
                    "convert it (parts come back, the surface coordinates are lost: a weaker pose).",
                ),
            ],
            outputs=[io.Image.Output(display_name="iuv", tooltip="For Parts2Whole Apply.")],
        )  # fmt: skip

    @classmethod
    def execute(cls, image, coloured_maps="refuse") -> io.NodeOutput:
        """Check or convert."""
        from ...pipelines.parts2whole.densepose import to_iuv

        if coloured_maps not in MAPS:
            raise FiguraInputError("coloured_maps", repr(coloured_maps), " or ".join(MAPS))
        return io.NodeOutput(host.result(to_iuv(image, coloured_maps == "convert")))
