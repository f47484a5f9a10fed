"""Inversion in ComfyUI: gradients switched on, networks on the device, unfinished work in the temp folder."""

from dataclasses import dataclass, replace
from pathlib import Path

import folder_paths
import torch
from comfy.model_patcher import ModelPatcher
from torch import Tensor

from ...pipelines.common.errors import FiguraInputError
from ...pipelines.common.images import to_image
from ...pipelines.common.perceptual import Perceptual
from ...pipelines.common.perceptual_file import load_perceptual
from ...pipelines.stylegan_human.inversion import invert as work
from ...pipelines.stylegan_human.inversion.copies import frozen
from ...pipelines.stylegan_human.inversion.encoder import Encoder
from ...pipelines.stylegan_human.inversion.encoder_file import load_encoder
from ...pipelines.stylegan_human.inversion.settings import LocalitySettings, ProjectSettings, TuneSettings
from ...pipelines.stylegan_human.inversion.target import target_pixels
from ...pipelines.stylegan_human.latents.latent_file import Latents
from ...pipelines.stylegan_human.latents.latents import check_ws
from ...pipelines.stylegan_human.loading import save_generator
from ...pipelines.stylegan_human.networks.generator import Generator
from .. import host
from .bridge import check
from .folders import ENCODERS, FOLDER, PERCEPTUAL, save_path

ENCODER_MODE = "encoder"


@dataclass(frozen=True)
class Made:
    """What a node gives; ``words`` says how it went."""

    image: Tensor
    comparison: Tensor
    words: str
    latents: Latents | None = None
    stylegan: ModelPatcher | None = None


def load_measure(names: list[str]) -> ModelPatcher:
    """The perceptual measure in the files of these combo names."""
    paths = [host.model_path(PERCEPTUAL, name) for name in names]
    with torch.inference_mode(False), torch.no_grad():
        return host.as_patcher(load_perceptual(*paths))


def load_encoder_file(name: str) -> ModelPatcher:
    """The encoder of a combo's name."""
    with torch.inference_mode(False), torch.no_grad():
        return host.as_patcher(load_encoder(host.model_path(ENCODERS, name)))


def search_settings(
    mode: str, steps: int, seed: int, learning_rate: float, as_published: bool
) -> ProjectSettings | None:
    """Settings of the search; None for the encoder, which does not search."""
    if mode == ENCODER_MODE:
        return None
    make = ProjectSettings.published if as_published else ProjectSettings
    return make(space=mode, steps=steps, seed=seed, learning_rate=learning_rate).check()


def tune_settings(
    steps: int, learning_rate: float, threshold: float, weights: tuple[float, float], keep_others: bool
) -> TuneSettings:
    """Settings of the tuning; a threshold of 0 never stops it."""
    settings = TuneSettings(steps, learning_rate, *weights, threshold=threshold).check()
    settings = settings if threshold > 0 else replace(settings, threshold=None)
    return replace(settings, locality=LocalitySettings()) if keep_others else settings


def invert(
    stylegan: ModelPatcher,
    image: Tensor,
    settings: ProjectSettings | None,
    fit: str,
    encoder: ModelPatcher | None,
    perceptual: ModelPatcher | None,
) -> Made:
    """Latents of a batch of pictures; with ``settings`` None the encoder reads them off."""
    _check_parts(encoder, perceptual, needs_encoder=settings is None)
    with host.gradients():
        targets = target_pixels(image.clone() if isinstance(image, Tensor) else image, stylegan.model, fit)
        generator, measure = _on_device(stylegan, perceptual)
        if settings is None:
            reader = host.on_device(encoder)
            ws = work.encoded_latents(generator, frozen(reader), targets)
        else:
            progress = host.NodeProgress(settings.steps * len(targets))
            ws = work.find_latents(generator, targets, measure, settings, progress, state=_unfinished())
        told = _compared(generator, None, targets, ws, measure)
    return Made(*_shown(told), latents=Latents(ws))


def tune(
    stylegan: ModelPatcher,
    image: Tensor,
    latent: Latents,
    settings: TuneSettings,
    fit: str,
    perceptual: ModelPatcher | None,
) -> Made:
    """A copy of the network, tuned to the pictures at their latents."""
    _check_parts(None, perceptual, needs_encoder=False)
    if check(latent).edits:
        raise FiguraInputError(
            "latent", "one with edits", "the latent as StyleGAN Invert gave it", "Edit it after tuning."
        )
    config = stylegan.model.config
    ws = check_ws(latent.ws, config.num_ws, config.w_dim)
    with host.gradients():
        targets = target_pixels(image.clone() if isinstance(image, Tensor) else image, stylegan.model, fit)
        generator, measure = _on_device(stylegan, perceptual, 6)
        progress = host.NodeProgress(settings.steps)
        tuned = work.tune_generator(
            generator, targets, ws, measure, settings, progress, state=_unfinished()
        )  # fmt: skip
        told = _compared(generator, tuned.generator, targets, ws, measure)
        network = host.as_patcher(tuned.generator.to(host.management.unet_offload_device()))
    image, comparison, words = _shown(told)
    words = f"{words}\n{tuned.updates} updates"
    return Made(image, comparison, words, stylegan=network)


def save_network(stylegan: ModelPatcher, prefix: str) -> str:
    """Write the network into the output folder, where the loader looks too, and return the file's name."""
    path = save_path(f"{FOLDER}/{prefix}" if prefix.strip() else prefix)
    if not path.resolve().is_relative_to(Path(folder_paths.get_output_directory(), FOLDER).resolve()):
        raise FiguraInputError("filename prefix", repr(prefix[:80]), f"a name inside output/{FOLDER}")
    save_generator(path, stylegan.model)
    return path.name


def _check_parts(encoder, perceptual, needs_encoder: bool) -> None:
    if needs_encoder and encoder is None:
        raise FiguraInputError(
            "encoder", "nothing", "an e4e encoder for the mode encoder",
            "Connect StyleGAN Encoder Loader, or choose the mode w or w+.",
        )  # fmt: skip
    for what, patcher, kind in (("encoder", encoder, Encoder), ("perceptual", perceptual, Perceptual)):
        if patcher is not None and not isinstance(getattr(patcher, "model", None), kind):
            raise FiguraInputError(what, type(patcher).__name__, f"the output of StyleGAN {what} loader")


def _on_device(
    stylegan: ModelPatcher, perceptual: ModelPatcher | None, copies: int = 2
) -> tuple[Generator, Perceptual]:
    """Generator and measure on the device, with room for ``copies`` of the weights and for the maps.

    The measure is copied: its weights may have been moved in inference mode, where gradients cannot pass.
    """
    height, width = stylegan.model.image_size
    room = copies * stylegan.model_size() + height * width * 64 * 4 * 30
    generator = host.on_device(stylegan, room)
    measure = None if perceptual is None else frozen(host.on_device(perceptual))
    return generator, work.measure_or_stand_in(measure).to(host.management.get_torch_device())


def _unfinished() -> Path:
    return Path(folder_paths.get_temp_directory()) / "figura_inversion"


def _compared(
    generator: Generator, tuned: Generator | None, targets: Tensor, ws: Tensor, measure: Perceptual
) -> list[work.Comparison]:
    pairs = zip(targets.split(1), ws.split(1), strict=True)
    return [work.compare(generator, tuned, target, row, measure) for target, row in pairs]


def _shown(told: list[work.Comparison]) -> tuple[Tensor, Tensor, str]:
    drawn = torch.cat([each.pictures[-1:] for each in told])
    strips = torch.cat([each.strip() for each in told])
    words = "\n".join(each.words() for each in told)
    return host.result(to_image(drawn)), host.result(strips), words
