"""InsetGAN under ComfyUI: gradients switched on, both networks on the device, a bar with pictures."""

from dataclasses import dataclass

import torch
from comfy.model_patcher import ModelPatcher
from torch import Tensor

from ...pipelines.common.errors import FiguraInputError
from ...pipelines.common.images import to_image
from ...pipelines.common.perceptual import Perceptual, PixelsAndGradients
from ...pipelines.pose.estimators.estimate import DetectConfig
from ...pipelines.pose.openpose import from_frames
from ...pipelines.stylegan_human.inset import compose
from ...pipelines.stylegan_human.inset.face_box import box_of_pose, found_box
from ...pipelines.stylegan_human.inset.inset import InsetConfig, check_config
from ...pipelines.stylegan_human.inset.losses import Box
from ...pipelines.stylegan_human.inversion.copies import frozen
from ...pipelines.stylegan_human.latents.latent_file import Latents
from .. import host
from ..pose import bridge as pose_bridge
from .bridge import check


@dataclass(frozen=True)
class Made:
    """The node's outputs in order, and a line about how they came about."""

    outputs: tuple
    note: str


def inset(
    body: ModelPatcher,
    face: ModelPatcher,
    body_latent: Latents,
    face_latent: Latents,
    steps: tuple[int, int, int],
    film_every: int,
    pose,
    pose_model: str | None,
    perceptual: ModelPatcher | None = None,
) -> Made:
    """Run the optimisation; ``steps`` of the face, of the body, of both."""
    body_latent, face_latent = check(body_latent, "body_latent"), check(face_latent, "face_latent")
    config = check_config(InsetConfig(*steps, film_every=film_every))
    compose.check_body(body.model, "body")
    compose.check_face(face.model, "face")
    box = None if pose is None else _box(pose, body.model.image_size)
    if pose_model is not None:
        pose_bridge.estimator_path(pose_model)
    if perceptual is not None and not isinstance(getattr(perceptual, "model", None), Perceptual):
        raise FiguraInputError(
            "perceptual", type(perceptual).__name__, "the output of StyleGAN Perceptual Loader"
        )
    with host.gradients():
        host.management.load_models_gpu([patcher for patcher in (body, face, perceptual) if patcher])
        measure = PixelsAndGradients() if perceptual is None else frozen(perceptual.model)
        measure = measure.to(host.management.get_torch_device())
        result = compose.inset(
            face.model, body.model, face_latent, body_latent, measure, box,
            _finder(pose_model), config, host.NodeProgress(config.steps),
        )  # fmt: skip
    image, before = (host.result(to_image(pixels)) for pixels in (result.image, result.before))
    film = torch.stack([torch.from_numpy(frame).float() / 255 for frame in result.frames] or [image[0].cpu()])
    latents = (
        Latents(result.body_ws, edits=body_latent.edits),
        Latents(result.face_ws, edits=face_latent.edits),
    )
    note = f"Face at {result.box}; compared by {measure.title}."
    return Made((image, before, host.result(film), *latents), note)


def _box(frames, size: tuple[int, int]) -> Box:
    """The face's box in pixels of the body network's picture, whatever size the pose was found at."""
    pose = from_frames(frames, size)[0]
    box = box_of_pose(pose)
    across, down = size[1] / pose.size[1], size[0] / pose.size[0]
    x0, y0, x1, y1 = (round(side * scale) for side, scale in zip(box, (across, down) * 2, strict=True))
    return x0, y0, max(x1, x0 + 2), max(y1, y0 + 2)


def _finder(model: str | None):
    """Looks for the face in the body's picture with a pose estimator; None where there is no face to see."""
    if model is None:
        return None

    def find_face(pixels: Tensor) -> Box | None:
        with torch.inference_mode():
            picture = to_image(pixels.detach()).cpu()
            config = DetectConfig(threshold=0.1, max_people=1, order="area")
            pose = pose_bridge.detect(picture, "auto", model, pose_bridge.WHOLE_PICTURE, None, config, "")[0]
        return found_box(pose)

    return find_face
