"""``figura demo``: every system run on tiny models, some of them trained, with no download."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from tyro.conf import arg


@dataclass(frozen=True)
class DemoConfig:
    """What the demo does."""

    out: Path = Path("demo_output")
    """Folder for the pictures, the tiny models and the contact sheet."""
    comfyui: bool = True
    """Also run the shipped workflows in a real ComfyUI, when one is found."""


def demo(config: Annotated[DemoConfig, arg(name="")]) -> None:
    """Run every system on tiny models, trained on mannequins or random, and draw a contact sheet. Needs no
    download."""
    from .runner import run

    run(config)


COMMANDS = {"demo": demo}
