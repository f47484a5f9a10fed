"""A picture to its latent, and the generator tuned to it: what node and command line both call."""

from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from ...common.images import to_image
from ...common.perceptual import Perceptual, PixelsAndGradients
from ...common.progress import Progress, part, silent
from ..grid import sheet
from ..latents.latents import check_ws
from ..networks.generator import Generator, device_of
from .encoder import Encoder, encode
from .encoder_file import check_encoder
from .project import Projector
from .run import run
from .settings import ProjectSettings, TuneSettings
from .state_file import StateFile, fingerprint
from .target import psnr
from .tune import Tuner, draw


@dataclass(frozen=True)
class Likeness:
    """How like two pictures are: PSNR in dB, and the distance by the measure that ``title`` names."""

    psnr: float
    distance: float
    title: str

    @property
    def words(self) -> str:
        """For a label."""
        return f"{self.psnr:.1f} dB, {self.distance:.3f}"


@torch.no_grad()
def likeness(pixels: Tensor, target: Tensor, measure: Perceptual) -> Likeness:
    """Of pixels [1, 3, H, W] to the target's."""
    target = target.to(pixels)
    return Likeness(psnr(pixels, target)[0], measure(pixels, target).item(), measure.title)


def measure_or_stand_in(measure: Perceptual | None) -> Perceptual:
    """The user's measure; without one, pixels and gradients."""
    return PixelsAndGradients() if measure is None else measure


def find_latents(
    generator: Generator,
    targets: Tensor,
    measure: Perceptual,
    settings: ProjectSettings,
    progress: Progress = silent,
    preview_every: int = 10,
    state: Path | None = None,
) -> Tensor:
    """Search ws [N, num_ws, w_dim] for pixels [N, 3, H, W] of the generator's size, one after the other.

    ``state``: a folder where interrupted work is kept; the same call goes on there.
    """
    settings.check()
    found = []
    for i, target in enumerate(targets.split(1)):
        kept = _state_file(state, generator, measure, settings, target)
        work = Projector(generator, target, measure, settings)
        run(work, part(progress, i, len(targets)), preview_every, kept)
        found.append(work.ws().cpu())
        if kept is not None and len(targets) == 1:
            kept.remove()
        elif kept is not None:
            kept.write(work)  # the next picture may be interrupted: then this one need not run again
    for target in targets.split(1):
        if kept := _state_file(state, generator, measure, settings, target):
            kept.remove()
    return torch.cat(found)


def encoded_latents(generator: Generator, encoder: Encoder, targets: Tensor) -> Tensor:
    """ws [N, num_ws, w_dim] that the encoder reads off pixels [N, 3, H, W]."""
    check_encoder(encoder, generator)
    return encode(encoder, targets).cpu()


@dataclass(frozen=True)
class Tuned:
    """A generator tuned to pictures, and how the tuning went."""

    generator: Generator
    curve: list[list[float]]
    """Loss, mean squared difference and perceptual distance at every update."""
    updates: int


def tune_generator(
    generator: Generator,
    targets: Tensor,
    ws: Tensor,
    measure: Perceptual,
    settings: TuneSettings,
    progress: Progress = silent,
    preview_every: int = 10,
    state: Path | None = None,
) -> Tuned:
    """Tune a copy of the generator to pixels [N, 3, H, W] at ws [N, num_ws, w_dim]; the generator stays.

    The threshold is one of LPIPS: with any other measure all steps are taken.
    """
    settings = settings.check()
    if not measure.is_lpips:
        settings = replace(settings, threshold=None)
    ws = check_ws(ws, generator.config.num_ws, generator.config.w_dim)
    work = Tuner(generator, targets, ws, measure, settings)
    kept = _state_file(state, generator, measure, settings, targets, ws)
    run(work, progress, preview_every, kept)
    if kept is not None:
        kept.remove()
    return Tuned(work.result(), work.curve, len(work.curve) - (work.done < work.steps))


def _state_file(
    folder: Path | None, generator: Generator, measure: Perceptual, settings: object, *data: Tensor
) -> StateFile | None:
    if folder is None:
        return None
    words = [settings, measure.title, generator.config]
    weights = [*generator.state_dict().values(), *measure.state_dict().values()]
    digest = fingerprint(words, [*weights, *data])
    return StateFile(folder / f"{digest[:32]}.safetensors", digest)


@dataclass(frozen=True)
class Comparison:
    """A picture, what the network draws at its latent, and what the tuned network draws there."""

    pictures: Tensor
    """Pixels [2 or 3, 3, H, W]."""
    before: Likeness
    after: Likeness | None

    def strip(self) -> Tensor:
        """IMAGE [1, H', W', 3]: side by side, each labelled with its PSNR and distance."""
        labels = ["picture", self.before.words] + ([self.after.words] if self.after else [])
        return sheet(to_image(self.pictures), labels, columns=len(self.pictures))

    def words(self) -> str:
        """A sentence of figures."""
        after = "" if self.after is None else f"; after tuning {self.after.words}"
        return f"before tuning {self.before.words}{after} (PSNR, {self.before.title})"


@torch.no_grad()
def compare(
    generator: Generator, tuned: Generator | None, target: Tensor, ws: Tensor, measure: Perceptual
) -> Comparison:
    """Draw the first latent with both generators beside the first target."""
    target, drawn = target[:1].cpu(), []
    for network in (generator, tuned):
        if network is not None:
            drawn.append(draw(network.synthesis, ws[:1].to(device_of(network))))
    figures = [likeness(pixels, target, measure) for pixels in drawn]
    pictures = torch.cat([target, *[pixels.cpu() for pixels in drawn]])
    return Comparison(pictures, figures[0], figures[1] if tuned is not None else None)
