"""``figura stylegan inset``: a face network's face in a body network's body, with the published flags."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro


@dataclass(frozen=True)
class InsetFlags:
    """A face and a body joined without a seam (InsetGAN)."""

    face_network: Path = Path("pretrained_models/ffhq.pkl")
    """Square network of faces."""
    body_network: Path = Path("pretrained_models/stylegan_human_v2_1024.pkl")
    """StyleGAN-Human network."""
    face_seed: int = 82
    """Seed of the face."""
    body_seed: int = 43
    """Seed of the body."""
    joint_steps: int = 500
    """Steps in which both move."""
    trunc: float = 0.6
    """Truncation psi of both seeds."""
    outdir: Path = Path("outputs/insetgan")
    """Folder for the pictures and latents."""
    video: int = 0
    """1: also write a video of the optimisation."""
    film_every: int = 1
    """Steps between two frames of the video."""
    face_latent: Path | None = None
    """A saved latent instead of the seed's, such as an inverted photo of a face."""
    body_latent: Path | None = None
    """The same for the body."""
    face_box: tuple[int, int, int, int] | None = None
    """Left, top, right, bottom of the face in the body's picture, in pixels. Left out: found or guessed."""
    pose_model: Path | None = None
    """Pose estimator that finds the face, again while the body changes."""
    landmarks: Path | None = None
    """dlib's shape_predictor_68_face_landmarks.dat: find the face as the published script does."""
    face_detector: Path | None = None
    """dlib's mmod_human_face_detector.dat, with --landmarks."""
    perceptual: tuple[Path, ...] = ()
    """Files of the measure: torchvision's alexnet and LPIPS's weights for it, or both in one. Left out:
    pixels and gradients.
    """
    device: str = "auto"
    """cpu, cuda, or auto."""


def inset(config: Annotated[InsetFlags, tyro.conf.arg(name="")]) -> None:
    """Join a face and a body: a pair of pictures (merely pasted, joined), the result, and both latents."""
    from ...common.errors import FiguraInputError
    from ...common.files import check_folder
    from ...common.images import to_uint8, write_png
    from ...common.perceptual import PixelsAndGradients
    from ...common.perceptual_file import load_perceptual
    from ...common.processes import find_device
    from ...common.progress import console
    from ..inset.compose import check_body, check_face
    from ..inset.compose import inset as run
    from ..inset.inset import InsetConfig
    from ..latents.latent_file import Latents, save_latents
    from ..loading import load_generator

    check_folder(config.outdir, "--outdir")
    if config.film_every < 1:
        raise FiguraInputError("--film-every", str(config.film_every), "1 or more")
    device = find_device(config.device)
    face = check_face(load_generator(config.face_network), "--face-network").to(device)
    body = check_body(load_generator(config.body_network), "--body-network").to(device)
    measure = load_perceptual(*config.perceptual) if config.perceptual else PixelsAndGradients()
    print(f"comparing by {measure.title}")
    settings = InsetConfig(
        joint_steps=config.joint_steps, film_every=config.film_every if config.video else 0
    )
    result = run(
        face, body, _latent(face, config.face_latent, config.face_seed, config.trunc),
        _latent(body, config.body_latent, config.body_seed, config.trunc), measure.to(device),
        config.face_box, _finder(config), settings, console("joining"),
    )  # fmt: skip
    name = f"{config.face_seed:04d}_{config.body_seed:04d}"
    write_png(config.outdir / f"{name}.png", _side_by_side(to_uint8(result.before), to_uint8(result.image)))
    write_png(config.outdir / f"{name}_joined.png", to_uint8(result.image)[0])
    save_latents(config.outdir / f"{name}_face.safetensors", Latents(result.face_ws))
    save_latents(config.outdir / f"{name}_body.safetensors", Latents(result.body_ws))
    if config.video:
        from ..video import write_film

        write_film(config.outdir / f"{name}.mp4", result.frames, 30)
    print(f"wrote {config.outdir / name}.png")


def _latent(generator, path: Path | None, seed: int, psi: float):
    from ..generate import sample_ws
    from ..latents.latent_file import Latents, load_latents

    return load_latents(path) if path is not None else Latents(sample_ws(generator, [seed], psi))


def _side_by_side(before, after):
    import numpy as np

    return np.concatenate([before[0], after[0]], axis=1)


def _finder(config: InsetFlags):
    """How the face is found: by dlib, by a pose estimator, or not at all."""
    from ..inset.face_box import dlib_finder, pose_finder

    if config.landmarks is not None:
        return dlib_finder(config.landmarks, config.face_detector)
    return None if config.pose_model is None else pose_finder(config.pose_model)
