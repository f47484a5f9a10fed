"""``figura stylegan invert``: photos to latents and tuned networks, a folder at a time."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

import tyro

from ..inversion.settings import LocalitySettings, ProjectSettings, TuneSettings


@dataclass(frozen=True)
class InvertConfig:
    """Pictures to latents, and networks tuned to them. Run it again to go on where it was stopped."""

    network: Path
    """Network .pkl (v1, v2, v3) or converted .safetensors."""
    images: Path
    """Folder of aligned pictures, or one picture."""
    out: Path = Path("outputs/invert")
    """For each picture a folder with latent, tuned network, comparison and figures."""
    perceptual: tuple[Path, ...] = ()
    """Files of the measure: torchvision's alexnet or vgg16 and LPIPS's weights for it, or both in one. Left
    out: pixels and gradients.
    """
    encoder: Path | None = None
    """e4e encoder (e4e_w+.pt): read latents off in one pass in place of searching them."""
    fit: Literal["exact", "pad", "stretch"] = "exact"
    """Pictures of another shape: refuse, pad with white, or stretch."""
    tune: bool = True
    """Tune the network to each picture."""
    together: bool = False
    """Tune one network to all pictures."""
    keep_others: bool = False
    """While tuning keep other people as they were (locality regularisation)."""
    published: bool = False
    """The released script's way of searching: squashed to 256x256, with free noise that is dropped after."""
    search: ProjectSettings = field(default_factory=ProjectSettings)
    """The search."""
    tuning: TuneSettings = field(default_factory=TuneSettings)
    """The tuning."""
    device: str = "auto"
    """cpu, cuda, or auto."""


def invert(config: Annotated[InvertConfig, tyro.conf.arg(name="")]) -> None:
    """Find the latents of pictures and tune the network to draw them."""
    from ...common.errors import FiguraInputError
    from ...common.files import check_folder
    from ...common.perceptual_file import load_perceptual
    from ...common.processes import find_device
    from ...common.progress import console
    from ..inversion.encoder_file import load_encoder
    from ..inversion.folder import FolderInversion
    from ..inversion.invert import measure_or_stand_in
    from ..loading import load_generator

    check_folder(config.out, "--out")
    settings, device = folder_settings(config), find_device(config.device)
    measure = measure_or_stand_in(load_perceptual(*config.perceptual) if config.perceptual else None)
    encoder = None if config.encoder is None else load_encoder(config.encoder).to(device)
    generator = load_generator(config.network).to(device)
    print(f"measuring likeness by {measure.title}")
    work = FolderInversion(generator, measure.to(device), settings, config.out, encoder, console)
    work.run(config.images)
    print(f"{len(work.done)} picture(s) in {config.out}")
    for failure in work.failures:
        print(f"left out: {failure.reason}")
    if not work.done:
        raise FiguraInputError("--images", f"{len(work.failures)} picture(s), all left out", "a usable one")


def folder_settings(config: InvertConfig):
    """The settings of a command line, checked."""
    from dataclasses import replace

    from ..inversion.folder import FolderSettings

    project, tune = config.search.check(), config.tuning
    if config.published:
        project = replace(project, free_noise=True, squash=True)
    if config.keep_others and tune.locality is None:
        tune = replace(tune, locality=LocalitySettings())
    return FolderSettings(project, tune.check() if config.tune else None, config.fit, config.together)
