"""The verbs of this system on the command line."""

from typing import Annotated

from tyro.conf import arg

from .configs import GenerateConfig


def generate(config: Annotated[GenerateConfig, arg(name="")]) -> None:
    """Draw people from dense prompts with CosmicMan-SDXL or CosmicMan-SD. Needs no network."""
    from ..common.progress import console
    from . import generate as pictures

    for path in pictures.run(config, console("cosmicman")):
        print(path)


COMMANDS: dict = {"generate": generate}
