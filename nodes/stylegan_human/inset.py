"""A face from one network in a body from another."""

from ..compat import advanced, io, schema, ui
from ..pose.bridge import estimator_names
from ..sockets import Perceptual, PoseKeypoint, StyleGAN, Ws

KEEP_BOX = "none"


class FiguraStyleGANInset(io.ComfyNode):
    """Join a face and a body of two networks (InsetGAN)."""

    @classmethod
    def define_schema(cls):
        return schema(
            node_id="FiguraStyleGANInset",
            display_name="StyleGAN InsetGAN",
            category="figura/stylegan_human",
            description="Moves a face network and a body network towards each other until the face sits in "
                        "the body without a seam. Latents of inverted photos are welcome. Takes minutes on "
                        "a GPU.",
            search_aliases=["stylegan", "insetgan", "face swap", "better face", "ffhq"],
            inputs=[
                StyleGAN.Input("body", tooltip="A StyleGAN-Human network."),
                StyleGAN.Input("face", tooltip="A square network of faces, such as FFHQ's."),
                Ws.Input("body_latent", tooltip="Whom the body is to look like; the first one of a batch."),
                Ws.Input("face_latent", tooltip="Whose face; the first one of a batch. An inverted face "
                                                "stays near the photo."),
                io.Int.Input("joint_steps", default=500, min=0, max=10000,
                             tooltip="Steps in which both move, in turns of 50."),
                io.Combo.Input("pose_model", options=[KEEP_BOX, *estimator_names()], default=KEEP_BOX,
                               tooltip="Finds the face in the body's picture, at the beginning and as the "
                                       "body changes: a model in models/pose_estimators. Without one the "
                                       "box stays where it is at first."),
                PoseKeypoint.Input("pose", optional=True,
                                   tooltip="Joints of the body's picture, for the face's box. Without them "
                                           "and without a pose model the usual place in aligned pictures is "
                                           "taken."),
                advanced(io.Int, "face_steps", default=25, min=0, max=10000,
                         tooltip="Steps of the first stage: the face alone."),
                advanced(io.Int, "body_steps", default=150, min=0, max=10000,
                         tooltip="Steps of the second stage: the body alone."),
                advanced(io.Int, "film_every", default=25, min=0, max=1000,
                         tooltip="Keep a picture of the film after each so many steps; 0 keeps the result "
                                 "only."),
                Perceptual.Input("perceptual", optional=True,
                                 tooltip="From StyleGAN Perceptual Loader: LPIPS with AlexNet, as published. "
                                         "Without it pixels and gradients are compared."),
            ],
            outputs=[
                io.Image.Output(display_name="image", tooltip="The body with the face in it."),
                io.Image.Output(display_name="before", tooltip="The face merely pasted, to compare."),
                io.Image.Output(display_name="film", tooltip="The optimisation, picture by picture."),
                Ws.Output(display_name="body_latent", tooltip="The body found, for the body network."),
                Ws.Output(display_name="face_latent", tooltip="The face found, for the face network."),
            ],
        )  # fmt: skip

    @classmethod
    def execute(
        cls, body, face, body_latent, face_latent, joint_steps, pose_model, pose=None, face_steps=25,
        body_steps=150, film_every=25, perceptual=None,
    ):  # fmt: skip
        from . import inset_bridge

        model = None if pose_model == KEEP_BOX else pose_model
        steps = face_steps, body_steps, joint_steps
        made = inset_bridge.inset(
            body, face, body_latent, face_latent, steps, film_every, pose, model, perceptual
        )
        return io.NodeOutput(*made.outputs, ui=ui.PreviewText(made.note))
