"""The verbs of this system on the command line."""

from dataclasses import asdict
from typing import Annotated

from tyro.conf import arg

from .configs import GenerateConfig, StudyConfig, TrainConfig


def generate(config: Annotated[GenerateConfig, arg(name="")]) -> None:
    """Draw people from dense prompts with CosmicMan-SDXL or CosmicMan-SD. Needs no network."""
    from ..common.progress import console
    from . import generate as pictures

    for path in pictures.run(config, console("cosmicman")):
        print(path)


def train(config: Annotated[TrainConfig, arg(name="")]) -> None:
    """Fine-tune a base on dense captions with the HOLA loss; runs under accelerate launch."""
    from ..common.progress import console
    from ..common.training.loop import train as run
    from .train import HolaTask

    result = run(
        HolaTask(config, console("encoding")), config.trainer, console("cosmicman", "sample"), asdict(config)
    )
    print(f"{result.steps} updates in {config.trainer.out}")


def study(config: Annotated[StudyConfig, arg(name="")]) -> None:
    """Train with and without HOLA, several seeds, and publish the table. Takes as long as all its runs."""
    from ..common.progress import console
    from . import study as work

    for path in work.run(config, console("hola study")):
        print(path)


COMMANDS: dict = {"generate": generate, "train": train, "study": study}
