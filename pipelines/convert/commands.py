"""``figura convert`` and ``figura identify``: weight files of every released kind."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from tyro.conf import Positional, arg


@dataclass(frozen=True)
class ConvertConfig:
    """One file or diffusers folder into one .safetensors file."""

    source: Positional[Path]
    """A .ckpt, .pt, .pth, .bin, .pkl or .safetensors file, or a folder with config.json and weights."""
    target: Positional[Path]
    """The .safetensors file to write."""
    network: Literal["G_ema", "G", "D"] = "G_ema"
    """Of a StyleGAN pickle: the averaged generator (the one to use), the trained one, the discriminator."""
    half: bool = False
    """Store floating-point tensors in 16 bits."""
    overwrite: bool = False
    """Replace the target if it exists."""


def convert(config: Annotated[ConvertConfig, arg(name="")]) -> None:
    """Write any released weight file as .safetensors. Nothing in the source is executed."""
    from .convert import run

    written = run(config)
    size = written.path.stat().st_size
    print(f"wrote {written.path} ({written.tensors} tensors, {size:,} bytes): {written.title}")


def identify(files: Positional[list[Path]]) -> None:
    """Say what weight files hold and which node takes them, from their headers alone.

    Exit code 2 where one of them cannot be used.
    """
    from ..common.errors import FiguraInputError
    from ..common.identify import identify as look

    unusable = 0
    for path in files:
        try:
            found = look(path)
        except FiguraInputError as error:
            print(f"{path.name}: cannot be used. {error}")
            unusable += 1
            continue
        node = f" -> node '{found.node}'" if found.node else ""
        print(f"{path.name}: {found.title} ({found.tensors} tensors){node}")
    if unusable:
        raise SystemExit(2)


COMMANDS = {"convert": convert, "identify": identify}
