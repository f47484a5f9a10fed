"""InsetGAN on generators and latents: the checks before it, the averages it needs, and the way out."""

import torch
from torch import Tensor

from ...common.errors import FiguraInputError
from ...common.progress import Progress, silent
from ...common.seeds import noise
from ..inversion.copies import frozen
from ..latents.edit import Stack, check_edit, edited_styles
from ..latents.latent_file import Latents
from ..latents.latents import check_ws
from ..networks.generator import Generator, device_of
from ..networks.noise import noise_source
from ..networks.synthesis import Context
from .face_box import box_by_experience, features_box
from .inset import Drawing, FindFace, Inset, InsetConfig, InsetResult
from .losses import Box, Measure

MEAN_SAMPLES = 10_000
SAMPLES_AT_ONCE = 1000


def check_body(generator: Generator, what: str = "body network") -> Generator:
    """Return a generator of full bodies (1:2), or raise FiguraInputError."""
    height, width = generator.image_size
    if height <= width:
        raise FiguraInputError(
            what, f"a network of square pictures ({width} x {height}), such as faces",
            "a StyleGAN-Human network, twice as high as wide",
        )  # fmt: skip
    return generator


def check_face(generator: Generator, what: str = "face network") -> Generator:
    """Return a generator of square pictures, or raise FiguraInputError."""
    height, width = generator.image_size
    if height != width:
        raise FiguraInputError(
            what, f"a network of pictures of {width} x {height}, such as full bodies",
            "a square network of faces, such as FFHQ's",
        )  # fmt: skip
    return generator


@torch.no_grad()
def mean_w(generator: Generator, samples: int = MEAN_SAMPLES, seed: int = 0) -> Tensor:
    """The average w [1, w_dim] of ``samples`` latents, the same for the same seed on every device."""
    z_dim, device = generator.config.z_dim, device_of(generator)
    total = torch.zeros(1, generator.config.w_dim, dtype=torch.float64)
    for start in range(0, samples, SAMPLES_AT_ONCE):
        count = min(SAMPLES_AT_ONCE, samples - start)
        z = noise((count, z_dim), [seed + start])[0].to(device)
        total += generator.mapping(z)[:, 0].double().sum(dim=0, keepdim=True).cpu()
    return (total / samples).float().to(device)


def drawing(generator: Generator, edits: Stack = ()) -> Drawing:
    """The generator as a function of ws, its edits applied, with its own noise, in float32."""

    def draw(ws: Tensor) -> Tensor:
        styles = edited_styles(generator.synthesis, ws, edits)
        return generator.synthesis.render(Context(styles, noise_source("const"), force_fp32=True))

    return draw


def inset(
    face: Generator,
    body: Generator,
    face_latent: Latents,
    body_latent: Latents,
    measure: Measure,
    box: Box | None = None,
    find_face: FindFace | None = None,
    config: InsetConfig | None = None,
    progress: Progress = silent,
) -> InsetResult:
    """Join the first face and the first body. Latents of inverted photos are welcome, and keep their edits.

    ``box``: the face in the body's picture; None asks ``find_face``, and without that takes the place where
    faces are in aligned pictures. The networks are copied and stay as they are. Everything returned is on the
    CPU.
    """
    check_face(face)
    check_body(body)
    face_ws, body_ws = _first(face, face_latent, "face latent"), _first(body, body_latent, "body latent")
    device = device_of(body)
    face, body = frozen(face), frozen(body)
    with torch.enable_grad():
        draw_face, draw_body = drawing(face, face_latent.edits), drawing(body, body_latent.edits)
        if box is None and find_face is not None:
            with torch.no_grad():
                box = find_face(draw_body(body_ws.to(device)))
        run = Inset(
            draw_face, draw_body, face_ws.to(device), body_ws.to(device), mean_w(body),
            box or box_by_experience(body.image_size), features_box(face.image_size), measure,
            find_face, config, progress,
        )  # fmt: skip
        result = run.run()
    tensors = {name: getattr(result, name).cpu() for name in ("face_ws", "body_ws", "image", "before")}
    return InsetResult(**tensors, box=result.box, frames=result.frames, curve=result.curve)


def _first(generator: Generator, latents: Latents, what: str) -> Tensor:
    ws = check_ws(latents.ws, generator.config.num_ws, generator.config.w_dim, what)
    for edit, _ in latents.edits:
        check_edit(edit, generator)
    return ws[:1].detach().clone().float()
