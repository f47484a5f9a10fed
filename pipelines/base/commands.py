"""The verbs of the bases on the command line: ``figura base vae``, ``figura base text`` …"""

from dataclasses import asdict
from typing import Annotated

from tyro.conf import arg

from .configs import VaeConfig


def vae(config: Annotated[VaeConfig, arg(name="")]) -> None:
    """Train an autoencoder of Stable Diffusion's kind on pictures of people; runs under accelerate launch."""
    from ..common.progress import console
    from ..common.training.loop import train
    from .vae_task import VaeTask

    result = train(VaeTask(config), config.trainer, console("base vae"), asdict(config))
    print(f"{result.steps} updates in {config.trainer.out}")


COMMANDS: dict = {"vae": vae}
