"""Where poses come from besides pictures, and where they are kept."""

from ...pipelines.pose.files import FORMATS, load_poses, save_poses
from ...pipelines.pose.library import pose_names, ready_pose
from ...pipelines.pose.openpose import from_frames, to_frames
from .. import host
from ..compat import io, schema, ui
from ..sockets import PoseKeypoint
from .bridge import pose_files, pose_path, save_stem


class FiguraPoseLibrary(io.ComfyNode):
    """A ready pose."""

    @classmethod
    def define_schema(cls):
        return schema(
            node_id="FiguraPoseLibrary",
            display_name="Figura Ready Pose",
            category="figura/pose",
            description="A pose that ships with the pack: standing, walking, sitting, dancing, two people, "
                        "three "
            "people and more. No model needed.",
            search_aliases=["pose preset", "pose library", "example pose"],
            inputs=[io.Combo.Input("name", options=pose_names(), default="standing",
                                   tooltip="One person stands on 512 x 768, several on 768 x 512.")],
            outputs=[
                PoseKeypoint.Output(display_name="pose", tooltip="For Figura Draw Pose or any pose node."),
                io.Int.Output(display_name="width", tooltip="The canvas's width, for an empty latent."),
                io.Int.Output(display_name="height", tooltip="The canvas's height, for an empty latent."),
            ],
        )  # fmt: skip

    @classmethod
    def execute(cls, name):
        pose = ready_pose(name)
        return io.NodeOutput(to_frames([pose]), pose.size[1], pose.size[0])


class FiguraPoseLoad(io.ComfyNode):
    """A pose from a file."""

    @classmethod
    def define_schema(cls):
        return schema(
            node_id="FiguraPoseLoad",
            display_name="Figura Load Pose",
            category="figura/pose",
            description="Reads a pose from ComfyUI's input or output folder: OpenPose or COCO .json, "
                        "HumanSD's "
            ".npz, or one that Figura saved. Nothing in a file is executed.",
            search_aliases=["pose json", "pose npz", "openpose json", "load keypoints"],
            inputs=[
                io.Combo.Input("file", options=pose_files(),
                               tooltip="A .json or .npz in the input folder, or in the output folder "
                                       "[output]."),
                io.Int.Input("width", default=0, min=0, max=16384,
                             tooltip="Width of the picture the joints belong to, for files that do not say "
                                     "it "
                             "(HumanSD's .npz). 0: told from the joints."),
                io.Int.Input("height", default=0, min=0, max=16384, tooltip="Its height; see width."),
            ],
            outputs=[PoseKeypoint.Output(display_name="pose", tooltip="Every pose of the file, one frame "
                                                                      "each.")],
        )  # fmt: skip

    @classmethod
    def fingerprint_inputs(cls, file, width=0, height=0):
        return host.path_state(pose_path, file)

    @classmethod
    def execute(cls, file, width, height):
        size = (height, width) if width and height else None
        return io.NodeOutput(to_frames(load_poses(pose_path(file), size)))


class FiguraPoseSave(io.ComfyNode):
    """Keep a pose."""

    @classmethod
    def define_schema(cls):
        return schema(
            node_id="FiguraPoseSave",
            display_name="Figura Save Pose",
            category="figura/pose",
            description="Saves a pose in ComfyUI's output folder.",
            search_aliases=["save keypoints", "export pose", "pose json", "pose npz"],
            is_output_node=True,
            inputs=[
                PoseKeypoint.Input("pose", tooltip="What to save; .npz writes one file for each frame."),
                io.String.Input("filename_prefix", default="poses/pose",
                                tooltip="Folder and beginning of the name, inside ComfyUI's output folder."),
                io.Combo.Input("format", options=list(FORMATS), default="json",
                               tooltip="json: OpenPose dictionaries, for other packs too. npz: plain arrays. "
                               "npz (HumanSD): as HumanSD's data sets, for its scripts."),
            ],
            outputs=[PoseKeypoint.Output(display_name="pose", tooltip="The same pose, passed on.")],
        )  # fmt: skip

    @classmethod
    def execute(cls, pose, filename_prefix, format):
        files = save_poses(save_stem(filename_prefix), from_frames(pose), format)
        return io.NodeOutput(pose, ui=ui.PreviewText("Saved " + ", ".join(file.name for file in files[:5])))
