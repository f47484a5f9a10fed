"""Changes to poses."""

from ...pipelines.pose.canvas import FITS, canvas_for, fit_to
from ...pipelines.pose.limbs import Proportions, blend, retarget
from ...pipelines.pose.openpose import from_frames, to_frames
from ...pipelines.pose.series import merged, paired, proportions_for
from ...pipelines.pose.transform import ORDERS, mirror, pick_people, transform
from ..compat import advanced, io, one_of, schema
from ..sockets import PoseKeypoint

MAX_SIDE = 16384


def _pose(name: str = "pose", tooltip: str = "From a Figura pose node or another pack's."):
    return PoseKeypoint.Input(name, tooltip=tooltip)


def _result(tooltip: str):
    return [PoseKeypoint.Output(display_name="pose", tooltip=tooltip)]


ABOUT = ("canvas", "each person")


class FiguraPoseFitCanvas(io.ComfyNode):
    """Bring a pose to the size you will paint at."""

    @classmethod
    def define_schema(cls):
        return schema(
            node_id="FiguraPoseFitCanvas",
            display_name="Figura Fit Pose to Canvas",
            category="figura/pose",
            description="Puts a pose on a canvas of another size, joints included. Width and height 0 give "
                        "the "
            "size HumanSD wants: shorter side 512, steps of 64.",
            search_aliases=["resize pose", "scale pose", "pose canvas"],
            inputs=[
                _pose(),
                io.Int.Input("width", default=0, min=0, max=MAX_SIDE, step=8,
                             tooltip="New width in pixels. 0 with height 0: HumanSD's rule."),
                io.Int.Input("height", default=0, min=0, max=MAX_SIDE, step=8,
                             tooltip="New height in pixels. 0 with width 0: HumanSD's rule."),
                io.Combo.Input("fit", options=list(FITS), default="contain",
                               tooltip="contain: all of the old canvas stays in view. cover: it fills the "
                                       "new "
                               "one. stretch: proportions change. people: the people fill the new one."),
                advanced(io.Float, "margin", default=0.0, min=0.0, max=0.45, step=0.01, optional=True,
                         tooltip="Share of the canvas left free on each side, for contain and people."),
            ],
            outputs=[
                *_result("The pose on the new canvas."),
                io.Int.Output(display_name="width", tooltip="The canvas's width, for an empty latent."),
                io.Int.Output(display_name="height", tooltip="The canvas's height, for an empty latent."),
            ],
        )  # fmt: skip

    @classmethod
    def execute(cls, pose, width, height, fit, margin=0.0):
        poses = from_frames(pose)
        size = canvas_for(poses[0].size) if not width and not height else (height, width)
        fitted = [fit_to(one, size, fit, margin) for one in poses]
        return io.NodeOutput(to_frames(fitted), size[1], size[0])


class FiguraPoseTransform(io.ComfyNode):
    """Move, scale, turn or mirror people."""

    @classmethod
    def define_schema(cls):
        return schema(
            node_id="FiguraPoseTransform",
            display_name="Figura Transform Pose",
            category="figura/pose",
            description="Moves, scales, turns or mirrors the people of a pose.",
            search_aliases=["flip pose", "rotate pose", "scale pose", "move pose"],
            inputs=[
                _pose(),
                io.Float.Input("scale", default=1.0, min=0.01, max=20.0, step=0.01,
                               tooltip="Size of the people; 1 leaves it."),
                io.Float.Input("degrees", default=0.0, min=-360.0, max=360.0, step=1.0,
                               tooltip="Turn clockwise."),
                io.Float.Input("x", default=0.0, min=-4.0, max=4.0, step=0.01,
                               tooltip="Move right by so many canvas widths."),
                io.Float.Input("y", default=0.0, min=-4.0, max=4.0, step=0.01,
                               tooltip="Move down by so many canvas heights."),
                io.Boolean.Input("mirror", default=False,
                                 tooltip="Flip left to right. Left and right limbs are swapped with it, so "
                                         "that "
                                 "the person still faces the same way."),
                io.Combo.Input("about", options=list(ABOUT), default="canvas",
                               tooltip="The middle that scaling and turning keep in place."),
                advanced(io.Boolean, "swap_left_right", default=True, optional=True,
                         tooltip="When mirroring, also swap left and right limbs. Off: only the drawing "
                                 "flips, "
                         "and a person from the front becomes one from behind."),
            ],
            outputs=_result("The changed pose, on the same canvas."),
        )  # fmt: skip

    @classmethod
    def execute(cls, pose, scale, degrees, x, y, mirror, about, swap_left_right=True):
        poses = from_frames(pose)
        if mirror:
            poses = [_mirrored(one, swap_left_right) for one in poses]
        each = one_of("about", about, ABOUT) == "each person"
        return io.NodeOutput(to_frames([transform(one, scale, degrees, x, y, each) for one in poses]))


def _mirrored(pose, swap):
    """``mirror`` under a name that the input of the same name does not hide."""
    return mirror(pose, swap)


class FiguraPoseBlend(io.ComfyNode):
    """Find a pose between two."""

    @classmethod
    def define_schema(cls):
        return schema(
            node_id="FiguraPoseBlend",
            display_name="Figura Blend Poses",
            category="figura/pose",
            description="A pose between two: limbs turn and grow from one to the other. People are paired by "
            "where they stand.",
            search_aliases=["interpolate pose", "tween", "morph pose"],
            inputs=[
                _pose("first", "The pose at amount 0."),
                _pose("second", "The pose at amount 1; brought to the first one's canvas."),
                io.Float.Input("amount", default=0.5, min=0.0, max=1.0, step=0.01,
                               tooltip="How far from the first to the second."),
            ],
            outputs=_result("The pose between, on the first one's canvas. Hands and faces are left out."),
        )  # fmt: skip

    @classmethod
    def execute(cls, first, second, amount):
        pairs = paired(from_frames(first), from_frames(second))
        return io.NodeOutput(to_frames([blend(a, fit_to(b, a.size), amount) for a, b in pairs]))


def _factor(name: str, what: str):
    return io.Float.Input(
        name, default=1.0, min=0.05, max=5.0, step=0.01, tooltip=f"Length of {what}; 1 leaves it."
    )


class FiguraPoseRetarget(io.ComfyNode):
    """Give a pose other body proportions."""

    @classmethod
    def define_schema(cls):
        return schema(
            node_id="FiguraPoseRetarget",
            display_name="Figura Retarget Pose",
            category="figura/pose",
            description="Lengthens or shortens limbs and keeps every angle: for children, dolls or tall "
                        "figures. "
            "With a reference, its proportions are taken first.",
            search_aliases=["limb length", "body proportions", "bone length"],
            inputs=[
                _pose(),
                _factor("torso", "the trunk"),
                _factor("head", "neck and head"),
                _factor("shoulders", "the shoulders' width"),
                _factor("hips", "the hips' width"),
                _factor("arms", "upper and lower arms"),
                _factor("legs", "thighs and shins"),
                PoseKeypoint.Input("reference", optional=True,
                                   tooltip="Someone whose proportions to take; best upright and facing "
                                           "you. The "
                                   "first person counts."),
                advanced(io.Boolean, "keep_ground", default=True, optional=True,
                         tooltip="Keep the lowest point where it is, so that nobody floats. Off: the hips "
                                 "stay."),
            ],
            outputs=_result("The pose with other proportions. Hands and faces are left out."),
        )  # fmt: skip

    @classmethod
    def execute(cls, pose, torso, head, shoulders, hips, arms, legs, reference=None, keep_ground=True):
        poses = from_frames(pose)
        if reference is not None:
            poses = proportions_for(poses, from_frames(reference)[0], keep_ground)
        given = Proportions(torso, head, shoulders, hips, arms, legs)
        return io.NodeOutput(to_frames([retarget(one, given, keep_ground) for one in poses]))


class FiguraPosePick(io.ComfyNode):
    """Keep some of the people."""

    @classmethod
    def define_schema(cls):
        return schema(
            node_id="FiguraPosePick",
            display_name="Figura Pick People",
            category="figura/pose",
            description="Keeps the largest, surest or leftmost people of a pose.",
            search_aliases=["filter people", "top people", "select person"],
            inputs=[
                _pose(),
                io.Int.Input("count", default=1, min=0, max=1000, tooltip="How many to keep; 0 keeps all."),
                io.Combo.Input("order", options=list(ORDERS), default="area",
                               tooltip="Who comes first: the largest, the surest, or the leftmost."),
                io.Float.Input("threshold", default=0.05, min=0.0, max=1.0, step=0.01,
                               tooltip="Joints that score more count as seen; a person without any is "
                                       "dropped."),
            ],
            outputs=[
                *_result("Those people, in that order."),
                io.Int.Output(display_name="people", tooltip="How many are left in all frames."),
            ],
        )  # fmt: skip

    @classmethod
    def execute(cls, pose, count, order, threshold):
        poses = [pick_people(one, count, order, threshold) for one in from_frames(pose)]
        return io.NodeOutput(to_frames(poses), sum(len(one) for one in poses))


class FiguraPoseMerge(io.ComfyNode):
    """Put the people of two poses together."""

    @classmethod
    def define_schema(cls):
        return schema(
            node_id="FiguraPoseMerge",
            display_name="Figura Merge Poses",
            category="figura/pose",
            description="Puts the people of two poses on one canvas.",
            search_aliases=["combine poses", "add person"],
            inputs=[
                _pose("first", "Its people are drawn first, and its canvas is kept."),
                _pose("second", "Its people are drawn over them."),
                io.Combo.Input("fit", options=list(FITS[:3]), default="contain",
                               tooltip="How the second pose is brought to the first one's canvas."),
            ],
            outputs=_result("Everyone."),
        )  # fmt: skip

    @classmethod
    def execute(cls, first, second, fit):
        return io.NodeOutput(to_frames(merged(from_frames(first), from_frames(second), fit)))
