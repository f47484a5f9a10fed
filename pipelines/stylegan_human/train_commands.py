"""``figura stylegan train``: the published scripts' options, on the shared trainer."""

from typing import Annotated

import tyro

from .training.configs import TrainConfig


def train(config: Annotated[TrainConfig, tyro.conf.arg(name="")]) -> None:
    """Train a StyleGAN2 or StyleGAN3 on a folder of aligned pictures."""
    from .training.run import run

    run(config)
