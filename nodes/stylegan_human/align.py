"""Raw photos made ready for the networks, and edited people put back into them."""

from ..compat import advanced, io, one_of, schema, ui
from ..sockets import Alignment, PoseKeypoint

BACKGROUNDS = ("white", "keep")
SEVERAL = ("refuse", "largest")
TOUCHING = ("refuse", "allow")
OUTLINES = ("edited person", "person of the photo", "whole picture")
IF_BAD = ("error", "skip")


class FiguraStyleGANAlign(io.ComfyNode):
    """Cut a person out of a photo as StyleGAN-Human wants people."""

    @classmethod
    def define_schema(cls):
        return schema(
            node_id="FiguraStyleGANAlign",
            display_name="StyleGAN Align",
            category="figura/stylegan_human",
            description="Brings a photo into the form StyleGAN-Human was trained on: one person on white, "
            "centred, twice as high as wide. The alignment leads back into the photo.",
            search_aliases=["stylegan", "crop person", "align photo", "white background", "shhq"],
            inputs=[
                io.Image.Input("image", tooltip="Photos of whole people, one person each."),
                io.Mask.Input("mask", tooltip="The person, from any segmentation: white inside. As large as "
                                              "the photo."),
                PoseKeypoint.Input("pose", tooltip="Joints of this very photo, from Figura Detect Pose or "
                                                   "another pose node."),
                io.Int.Input("height", default=1024, min=64, max=2048, step=64,
                             tooltip="Height of the result; half of it is the width. As the network draws: "
                                     "1024 or 512."),
                io.Combo.Input("background", options=list(BACKGROUNDS), default="white",
                               tooltip="white: the person alone, as the networks know people. keep: with the "
                                       "photo around."),
                io.Combo.Input("several_people", options=list(SEVERAL), default="refuse",
                               tooltip="With more than one person inside the mask: stop, or take the "
                                       "largest."),
                io.Combo.Input("if_bad", options=list(IF_BAD), default="error",
                               tooltip="With a photo of a batch that cannot be aligned: stop, or leave it "
                                       "out and say why."),
                advanced(io.Combo, "cut_off_at_top", options=list(TOUCHING), default="refuse",
                         tooltip="With a person who reaches the upper edge: stop, or repeat the edge."),
                advanced(io.Int, "least_joints", default=15, min=4, max=18,
                         tooltip="So many of the 18 joints must be seen."),
                advanced(io.Float, "mask_threshold", default=0.5, min=0.01, max=0.99, step=0.01,
                         tooltip="From this value on the mask counts as person."),
            ],
            outputs=[
                io.Image.Output(display_name="image", tooltip="The aligned people."),
                Alignment.Output(display_name="alignment", tooltip="For StyleGAN Paste Back."),
                io.Mask.Output(display_name="mask", tooltip="The people's masks, aligned as well."),
            ],
        )  # fmt: skip

    @classmethod
    def execute(
        cls, image, mask, pose, height, background, several_people, if_bad, cut_off_at_top="refuse",
        least_joints=15, mask_threshold=0.5,
    ):  # fmt: skip
        from . import align_bridge

        one_of("if_bad", if_bad, IF_BAD)
        rules = align_bridge.rules(height, background, several_people, cut_off_at_top, least_joints,
                                   mask_threshold)  # fmt: skip
        images, alignment, masks, skipped = align_bridge.align_photos(
            image, mask, pose, rules, if_bad == "skip"
        )
        said = ui.PreviewText("\n".join(skipped)) if skipped else None
        return io.NodeOutput(images, alignment, masks, ui=said)


class FiguraStyleGANPasteBack(io.ComfyNode):
    """Put an edited person back into the photo."""

    @classmethod
    def define_schema(cls):
        return schema(
            node_id="FiguraStyleGANPasteBack",
            display_name="StyleGAN Paste Back",
            category="figura/stylegan_human",
            description="Puts an edited person back where the photo's person stood. White around them is "
                        "left out of the edge colours, so that no bright seam appears; the rest of the "
                        "photo stays as it was.",
            search_aliases=["stylegan", "composite person", "uncrop", "blend back"],
            inputs=[
                io.Image.Input("photo", tooltip="The photo that was aligned; one for all, or one for each "
                                                "edit."),
                io.Image.Input("edited", tooltip="The edited person, in any size, on white as the networks "
                                                 "draw people."),
                Alignment.Input("alignment", tooltip="From StyleGAN Align."),
                io.Combo.Input("outline", options=list(OUTLINES), default="edited person",
                               tooltip="edited person: all that is not white. person of the photo: the mask "
                                       "given to StyleGAN Align. whole picture: everything, for photos kept "
                                       "with their background."),
                io.Float.Input("feather", default=2.0, min=0.0, max=256.0, step=0.5,
                               tooltip="Pixels of the photo over which the person fades in."),
                io.Mask.Input("mask", optional=True, tooltip="The person in the edited picture, as large as "
                                                             "that; instead of the outline."),
                advanced(io.Float, "tolerance", default=0.06, min=0.0, max=0.5, step=0.01,
                         tooltip="How far from white a background may be."),
            ],
            outputs=[
                io.Image.Output(display_name="image", tooltip="The photos with the edited people."),
                io.Mask.Output(display_name="mask", tooltip="Where the edited people are."),
                io.Mask.Output(display_name="uncovered", tooltip="Where the old person still shows: paint "
                                                                 "this over, for example with inpainting."),
            ],
        )  # fmt: skip

    @classmethod
    def execute(cls, photo, edited, alignment, outline, feather, mask=None, tolerance=0.06):
        from . import align_bridge

        return io.NodeOutput(
            *align_bridge.paste_back(photo, edited, alignment, outline, feather, mask, tolerance)
        )
