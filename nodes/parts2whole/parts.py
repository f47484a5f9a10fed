"""Reference parts collected, and their masks found."""

from ...pipelines.parts2whole.parts import FITS, LABELS, MAX_WEIGHT
from .. import sockets
from ..compat import advanced, io, schema
from . import gather, segmenter

MASK_HELP = (
    "White = keep this part. Load Image gives 1 - alpha as its mask, which is black for a picture without "
    "alpha: leave it unplugged then, or invert it. Unplugged: the picture's alpha, or all of it."
)
FIT_HELP = "When the shapes differ: stretch as in training, pad with white, or crop around the centre."
WEIGHT_HELP = "1 as trained; 0 as if the part were not given; 2 counts it twice."


class FiguraParts2WholeReference(io.ComfyNode):
    """One reference part; chain several."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """What the page shows."""
        return schema(
            node_id="FiguraParts2WholeReference",
            display_name="Parts2Whole Reference",
            category="figura/parts2whole",
            description="One picture of one part of the person. Chain up to six through 'parts'.",
            search_aliases=["reference image", "face", "clothes", "garment", "part"],
            inputs=[
                io.Image.Input("image", tooltip="The picture. Small ones gain from a stock upscale first."),
                io.Combo.Input("label", options=list(LABELS), tooltip="What the picture gives."),
                io.Float.Input(
                    "weight", default=1.0, min=0.0, max=MAX_WEIGHT, step=0.05, tooltip=WEIGHT_HELP
                ),
                io.Combo.Input("fit", options=list(FITS), default=FITS[0], tooltip=FIT_HELP),
                advanced(
                    io.Boolean,
                    "invert_mask",
                    default=False,
                    tooltip="Take the black of the mask, not the white.",
                ),
                io.Mask.Input("mask", optional=True, tooltip=MASK_HELP),
                sockets.Parts.Input("parts", optional=True, tooltip="The parts before this one."),
            ],
            outputs=[sockets.Parts.Output(display_name="parts", tooltip="All parts so far.")],
        )

    @classmethod
    def execute(
        cls, image, label, weight=1.0, fit="stretch", invert_mask=False, mask=None, parts=None
    ) -> io.NodeOutput:
        """Check and append."""
        return io.NodeOutput(gather.append(parts, image, label, mask, weight, fit, invert_mask))


class FiguraParts2WholeBoard(io.ComfyNode):
    """All parts of a person on one board."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """What the page shows."""
        inputs = []
        for label in LABELS:
            name = label.replace(" ", "_")
            inputs += [
                io.Image.Input(name, optional=True, tooltip=f"A picture whose {label} to take."),
                io.Mask.Input(f"{name}_mask", optional=True, tooltip=MASK_HELP),
            ]
        weights = [
            advanced(
                io.Float, f"{label.replace(' ', '_')}_weight", default=1.0, min=0.0, max=MAX_WEIGHT,
                step=0.05, tooltip=f"{label}: {WEIGHT_HELP}",
            )
            for label in LABELS
        ]  # fmt: skip
        fit = io.Combo.Input("fit", options=list(FITS), default=FITS[0], tooltip=FIT_HELP)
        return schema(
            node_id="FiguraParts2WholeBoard",
            display_name="Parts2Whole Board",
            category="figura/parts2whole",
            description="Up to six parts of a person in one node. Plug in what you have.",
            search_aliases=["outfit", "mood board", "reference parts", "clothes"],
            inputs=[*inputs, fit, *weights],
            outputs=[sockets.Parts.Output(display_name="parts", tooltip="The parts that were plugged in.")],
        )

    @classmethod
    def execute(cls, fit="stretch", **given) -> io.NodeOutput:
        """Check and collect."""
        return io.NodeOutput(gather.board(given, fit))


class FiguraParts2WholePartMasks(io.ComfyNode):
    """Find the six parts in pictures of people."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """What the page shows."""
        outputs = [io.Mask.Output(display_name=label, tooltip=f"White on the {label}.") for label in LABELS]
        return schema(
            node_id="FiguraParts2WholePartMasks",
            display_name="Parts2Whole Part Masks",
            category="figura/parts2whole",
            description="SegFormer clothes finds 18 classes; they are joined into the six parts. A "
            "part that is "
            "not in the picture gives a black mask.",
            search_aliases=["segformer", "clothes segmentation", "human parsing", "garment mask"],
            inputs=[
                io.Image.Input("image", tooltip="One or more pictures of people."),
                io.Combo.Input(
                    "model", options=list(segmenter.folders()),
                    tooltip="A folder in models/segformer with config.json and model.safetensors, "
                    "for example segformer_b2_clothes.",
                ),
                io.Boolean.Input(
                    "dress_rule", default=True,
                    tooltip="Where most of the clothes are a dress, give whole body clothes only: "
                    "a dress has no halves.",
                ),
                advanced(
                    io.Int, "resolution", default=512, min=0, max=2048, step=32,
                    tooltip="Longer side for the network; 0: the picture's own size.",
                ),
            ],
            outputs=[*outputs, io.Image.Output(display_name="classes", tooltip="All classes, coloured.")],
        )  # fmt: skip

    @classmethod
    def execute(cls, image, model, dress_rule=True, resolution=512) -> io.NodeOutput:
        """Segment and join."""
        masks, picture = segmenter.part_masks(image, model, dress_rule, resolution)
        return io.NodeOutput(*(masks[label] for label in LABELS), picture)
