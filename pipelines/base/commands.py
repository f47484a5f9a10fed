"""The verbs of the bases on the command line: ``figura base vae``, ``figura base text`` …"""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

from tyro.conf import arg

from .configs import GenerateConfig, MeasureConfig, NewConfig, PackConfig, ScoreConfig, TextConfig, VaeConfig


def vae(config: Annotated[VaeConfig, arg(name="")]) -> None:
    """Train an autoencoder of Stable Diffusion's kind on pictures of people; runs under accelerate launch."""
    from ..common.progress import console
    from ..common.training.loop import train
    from .vae_task import VaeTask

    result = train(VaeTask(config), config.trainer, console("base vae", "sample"), asdict(config))
    print(f"{result.steps} updates in {config.trainer.out}")


def new(config: Annotated[NewConfig, arg(name="")]) -> None:
    """Write an untrained base of SD1.5's or SD2.1's layout around a trained autoencoder."""
    from ..common.files import check_folder
    from .new import write_new

    check_folder(config.out)
    print(write_new(config))


def text(config: Annotated[TextConfig, arg(name="")]) -> None:
    """Train a base's UNet (and text encoder) on captions; runs under accelerate launch."""
    from ..common.diffusion_training import DiffusionTask
    from ..common.progress import console
    from ..common.training.loop import train

    task = DiffusionTask(config, console("encoding"))
    result = train(task, config.trainer, console("base text", "sample"), asdict(config))
    print(f"{result.steps} updates in {config.trainer.out}")


def measure(config: Annotated[MeasureConfig, arg(name="")]) -> None:
    """Measure an autoencoder on held-out pictures; exit code 1 where it does not pass the gate."""
    from ..common.files import check_file
    from .gate import measured

    if config.out is not None:
        check_file(config.out)
    figures = measured(config)
    _tell(figures, config.out)
    if not figures["passes"]:
        raise SystemExit(1)


def score(config: Annotated[ScoreConfig, arg(name="")]) -> None:
    """Draw held-out captions with a base, and read from the pictures what came of them."""
    from ..common.files import check_file
    from ..common.progress import console
    from .score import scored

    if config.out is not None:
        check_file(config.out)
    _tell(scored(config, console("base score")), config.out)


def _tell(figures: dict, out: Path | None) -> None:
    from ..common.files import atomic_path

    text = json.dumps(figures, indent=1)
    if out is not None:
        with atomic_path(out) as temporary:
            temporary.write_text(text + "\n", encoding="utf-8")
    print(text)


def pack(config: Annotated[PackConfig, arg(name="")]) -> None:
    """Write a trained base small: one single-file checkpoint, or a folder without its autoencoder."""
    from .pack import write_packed

    print(write_packed(config))


def generate(config: Annotated[GenerateConfig, arg(name="")]) -> None:
    """Draw pictures from prompts with a base of any size. Needs no network."""
    from ..common.progress import console
    from . import generate as pictures

    for path in pictures.run(config, console("base")):
        print(path)


COMMANDS: dict = {
    "vae": vae,
    "measure": measure,
    "new": new,
    "text": text,
    "score": score,
    "pack": pack,
    "generate": generate,
}
