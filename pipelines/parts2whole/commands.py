"""The verbs of this system on the command line."""

from typing import Annotated

from tyro.conf import arg

from .configs import GenerateConfig


def generate(config: Annotated[GenerateConfig, arg(name="")]) -> None:
    """Compose one person from up to six reference parts, a pose and a sentence."""
    from .compose import run

    for path in run(config):
        print(path)


COMMANDS = {"generate": generate}
