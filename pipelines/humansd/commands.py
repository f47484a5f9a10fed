"""The verbs of this system on the command line."""

from typing import Annotated

from tyro.conf import OmitArgPrefixes, arg

from .configs import ConvertConfig, GenerateConfig, SkeletonConfig, WidenConfig
from .evaluation.configs import MeasureConfig
from .training.configs import TrainConfig


def generate(config: Annotated[OmitArgPrefixes[GenerateConfig], arg(name="")]) -> None:
    """Paint people in given poses: from a pose file, a photograph, a drawn skeleton, or a folder of them."""
    from ..common.progress import console
    from . import generate as pictures

    for path in pictures.run(config, console("humansd")):
        print(path)


def train(config: Annotated[TrainConfig, arg(name="")]) -> None:
    """Train on pictures, poses and prompts, from Stable Diffusion 2.1-base or a HumanSD; runs under
    accelerate launch."""
    from dataclasses import asdict

    from ..common.progress import console
    from ..common.training.loop import train as run
    from .training.task import HumanSDTask

    result = run(HumanSDTask(config), config.trainer, console("humansd", "sample"), asdict(config))
    print(f"{result.steps} updates in {config.trainer.out}")


def measure(config: Annotated[MeasureConfig, arg(name="")]) -> None:
    """Measure pictures against the poses asked for (AP, CAP, PCE), and against real pictures (FID, KID)."""
    import json

    from ..common.files import atomic_path
    from ..common.progress import console
    from .evaluation.measure import measured

    text = json.dumps(measured(config, console("pictures", "picture")), indent=1)
    if config.out is not None:
        with atomic_path(config.out) as temporary:
            temporary.write_text(text + "\n", encoding="utf-8")
    print(text)


def skeleton(config: Annotated[OmitArgPrefixes[SkeletonConfig], arg(name="")]) -> None:
    """Draw the skeletons of a folder of photographs or pose files, and save their poses."""
    from .poses import draw_all

    for path in draw_all(config):
        print(path)


def widen(config: Annotated[WidenConfig, arg(name="")]) -> None:
    """Turn plain Stable Diffusion 2.1-base (4 input channels) into a start for training HumanSD (8)."""
    from ..common.files import check_file
    from .checkpoint import widen_file

    check_file(config.out)
    widen_file(config.source, config.out)
    print(f"{config.out}: ignores the skeleton until it is trained")


def convert(config: Annotated[ConvertConfig, arg(name="")]) -> None:
    """Turn the released .ckpt into .safetensors with only what inference needs."""
    from ..common.files import check_file
    from .checkpoint import convert_file

    check_file(config.out)
    convert_file(config.source, config.out)
    print(config.out)


COMMANDS: dict = {
    "generate": generate, "train": train, "measure": measure, "skeleton": skeleton, "widen": widen,
    "convert": convert,
}  # fmt: skip
