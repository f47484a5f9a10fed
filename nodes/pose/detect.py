"""From a picture to a pose."""

from ...pipelines.pose.estimators.estimate import BACKENDS, DetectConfig, read_boxes
from ...pipelines.pose.openpose import to_frames
from ...pipelines.pose.transform import ORDERS
from ..compat import advanced, io, schema, ui
from ..sockets import PoseKeypoint
from .bridge import WHOLE_PICTURE, already_drawn, detect, detector_names, draw, estimator_names
from .nobody import NOBODY, check_choice, settle


class FiguraPoseDetect(io.ComfyNode):
    """Find people and their joints."""

    @classmethod
    def define_schema(cls):
        return schema(
            node_id="FiguraPoseDetect",
            display_name="Figura Detect Pose",
            category="figura/pose",
            description="Finds the people in a picture and their 17 body joints (COCO's; no hands or faces). "
            "Models lie in models/pose_estimators.",
            search_aliases=["openpose", "dwpose", "vitpose", "higherhrnet", "mmpose", "skeleton"],
            inputs=[
                io.Image.Input("image", tooltip="Pictures to look for people in. A picture that already is a "
                               "skeleton is passed through."),
                io.Combo.Input(
                    "backend", options=["auto", *BACKENDS], default="auto",
                    tooltip="What runs the model; auto tells it from the file. vitpose: photographs, a "
                            "folder "
                    "of transformers. higherhrnet: HumanSD's own, also for paintings, several people at "
                    "once. "
                    "mmpose: RTMPose and others, if mmpose is installed. rtmlib: .onnx files.",
                ),
                io.Combo.Input("model", options=estimator_names(), tooltip="A file or folder in "
                               "models/pose_estimators."),
                io.Combo.Input(
                    "detector", options=detector_names(), default=WHOLE_PICTURE,
                    tooltip="Finds where people stand, for vitpose, rtmlib and RTMPose: a folder such as "
                    "rtdetr_r50vd_coco_o365. Whole picture: one person fills it.",
                ),
                io.Float.Input("threshold", default=0.3, min=0.0, max=1.0, step=0.01,
                               tooltip="Joints that score no more are dropped. HumanSD's own scripts use "
                                       "0.05."),
                io.Int.Input("max_people", default=0, min=0, max=1000,
                             tooltip="Keep so many people; 0 keeps all."),
                io.Combo.Input("order", options=list(ORDERS), default="area",
                               tooltip="Which people are kept, and in which order they are drawn."),
                io.Combo.Input("if_nobody", options=list(NOBODY), default="error",
                               tooltip="What to do with a picture without people: stop with an error, give a "
                               "blank skeleton, or pass the picture through."),
                advanced(io.String, "boxes", default="", multiline=True, optional=True,
                         tooltip="Where people stand, instead of a detector: 'x y width height' in pixels, "
                         "one line for each person."),
                advanced(io.String, "mmpose_config", default="", optional=True,
                         tooltip="Name of mmpose's configuration, for checkpoints that it does not list."),
            ],
            outputs=[
                PoseKeypoint.Output(display_name="pose", tooltip="Joints as OpenPose dictionaries, in "
                                                                 "pixels of "
                                    "the picture."),
                io.Image.Output(display_name="skeleton", tooltip="HumanSD's drawing of them at the picture's "
                                "size."),
                io.Int.Output(display_name="people", tooltip="How many people were found in the whole "
                                                             "batch."),
            ],
        )  # fmt: skip

    @classmethod
    def execute(
        cls, image, backend, model, detector, threshold, max_people, order, if_nobody, boxes="",
        mmpose_config="",
    ):  # fmt: skip
        check_choice(if_nobody)
        if already_drawn(image):
            frames = [{"people": [], "canvas_height": image.shape[1], "canvas_width": image.shape[2]}]
            told = ui.PreviewText("The picture already is a skeleton: passed through.")
            return io.NodeOutput(frames * len(image), image[..., :3], 0, ui=told)
        config = DetectConfig(threshold, 0.0, max_people, order)
        poses = detect(image, backend, model, detector, read_boxes(boxes), config, mmpose_config.strip())
        skeleton = settle(image, poses, draw(poses, "humansd", threshold), if_nobody)
        count = sum(len(pose) for pose in poses)
        return io.NodeOutput(to_frames(poses), skeleton, count, ui=ui.PreviewText(f"{count} people"))
