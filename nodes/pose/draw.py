"""Poses as pictures."""

from ...pipelines.pose.openpose import from_frames
from ...pipelines.pose.overlay import LAYOUTS, lay_over
from ..compat import advanced, io, schema
from ..host import result
from ..sockets import PoseKeypoint
from .bridge import STYLES, draw


def _style():
    return io.Combo.Input(
        "style", options=list(STYLES), default="humansd",
        tooltip="humansd: the drawing HumanSD was trained on (lines of 10 px). openpose18: for pose "
        "ControlNets and T2I-Adapters (limbs of 8 px). Widths are fixed, as the models learnt them.",
    )  # fmt: skip


def _threshold():
    return io.Float.Input(
        "threshold", default=0.05, min=0.0, max=1.0, step=0.01,
        tooltip="A bone is drawn when both its joints score more. HumanSD uses 0.05.",
    )  # fmt: skip


class FiguraPoseDraw(io.ComfyNode):
    """Draw a skeleton."""

    @classmethod
    def define_schema(cls):
        return schema(
            node_id="FiguraPoseDraw",
            display_name="Figura Draw Pose",
            category="figura/pose",
            description="Draws people as HumanSD's skeleton or as OpenPose's, on the pose's own canvas. "
                        "Draw at "
            "the size you will paint at: HumanSD expects lines of 10 px at 512.",
            search_aliases=["skeleton", "openpose", "pose image", "render pose"],
            inputs=[
                PoseKeypoint.Input("pose", tooltip="From a Figura pose node or another pack's."),
                _style(),
                _threshold(),
            ],
            outputs=[io.Image.Output(display_name="skeleton", tooltip="One picture for each frame, black "
                                     "behind.")],
        )  # fmt: skip

    @classmethod
    def execute(cls, pose, style, threshold):
        return io.NodeOutput(draw(from_frames(pose), style, threshold))


class FiguraPoseOverlay(io.ComfyNode):
    """Compare a pose with its picture."""

    @classmethod
    def define_schema(cls):
        return schema(
            node_id="FiguraPoseOverlay",
            display_name="Figura Pose Overlay",
            category="figura/pose",
            description="Lays the drawn skeleton over a picture, or beside it, to see whether they agree.",
            search_aliases=["compare pose", "side by side", "skeleton overlay"],
            inputs=[
                io.Image.Input("image", tooltip="The picture the pose belongs to, or one painted from it."),
                PoseKeypoint.Input("pose", tooltip="Is brought to the picture's size."),
                _style(),
                _threshold(),
                io.Combo.Input("layout", options=list(LAYOUTS), default="over",
                               tooltip="over: on the picture. beside: to its right. both: all three in a "
                                       "row."),
                advanced(io.Float, "opacity", default=0.8, min=0.0, max=1.0, step=0.05, optional=True,
                         tooltip="How strongly the skeleton covers the picture."),
            ],
            outputs=[io.Image.Output(display_name="image", tooltip="The comparison.")],
        )  # fmt: skip

    @classmethod
    def execute(cls, image, pose, style, threshold, layout, opacity=0.8):
        poses = from_frames(pose)
        return io.NodeOutput(
            result(lay_over(image, poses, lambda sized: draw(sized, style, threshold), layout, opacity))
        )
