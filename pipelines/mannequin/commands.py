"""The verbs of this system on the command line: ``figura mannequin write`` and ``figura mannequin sheet``."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Literal

from tyro.conf import arg

from .configs import WorldConfig
from .reader.commands import read, train_reader

SIZES = {"cosmicman": (256, 256), "humansd": (512, 512), "parts2whole": (550, 375), "stylegan": (256, 128)}


@dataclass(frozen=True)
class WriteConfig:
    """A data set on disk."""

    format: Literal["cosmicman", "humansd", "parts2whole", "stylegan"]
    """Whose layout to write."""
    out: Path
    """A new or empty folder; the same command again completes a set that was cut off."""
    count: int = 1000
    """Pictures (pairs for parts2whole)."""
    seed: int = 0
    """Number of the world: same seed, same pictures."""
    world: Literal["own", "demo", "lively"] = "own"
    """What is drawn: the format's own world, or the demo models' (one plain figure, short captions), still
    or lively."""
    size: tuple[int, int] | None = None
    """Height and width in pixels; without it a size that suits the format."""
    styles: tuple[Literal["shaded", "flat", "cartoon", "sketch"], ...] = ()
    """Drawing styles to choose from; without it the format's own choice."""
    scenery: float | None = None
    """Share of pictures with a landscape behind, 0 to 1."""
    variant: bool = False
    """humansd: poses as plain arrays instead of object arrays. parts2whole: also RGBA parts."""


@dataclass(frozen=True)
class SheetConfig:
    """A page of figures."""

    out: Path
    """The PNG file."""
    world: Literal["cosmicman", "humansd", "parts2whole", "stylegan", "demo", "lively", "any"] = "stylegan"
    """Whose pictures: one aligned figure (stylegan), any framing (cosmicman), several people (humansd), the
    demo models' (demo, lively)…"""
    count: int = 48
    """Pictures on the page."""
    columns: int = 12
    """Pictures in a row."""
    seed: int = 0
    """Number of the world."""
    size: tuple[int, int] | None = None
    """Height and width of each picture in pixels."""
    truth: bool = False
    """Also show part map, skeleton and IUV under each picture."""


def write(config: Annotated[WriteConfig, arg(name="")]) -> None:
    """Write a data set of mannequins in the layout of one of the four systems."""
    from ..common.progress import console
    from .formats import OTHER_WORLDS, WORLDS, open_format
    from .storage import write_set

    own = config.world == "own"
    make = WORLDS[config.format] if own else OTHER_WORLDS[config.world]
    size = config.size or (SIZES[config.format] if own or config.format == "parts2whole" else (128, 64))
    world = make(*size)
    if config.format == "parts2whole":  # its loader keeps the middle of tall pictures
        world = replace(world, aligned=False, band=WORLDS["parts2whole"](*size).band)
    if config.styles:
        world = replace(world, styles=config.styles)
    if config.scenery is not None:
        world = replace(world, scenery=config.scenery)
    layout = open_format(config.format, world, config.seed, config.variant)
    write_set(layout, config.out, config.count, console(f"{config.format} pictures"))  # type: ignore[arg-type]
    print(f"{config.count} pictures in {config.out}")


def sheet(config: Annotated[SheetConfig, arg(name="")]) -> None:
    """Draw a contact sheet of mannequins."""
    from ..common.errors import FiguraInputError
    from ..common.files import check_file
    from ..common.progress import console
    from .formats import OTHER_WORLDS, WORLDS
    from .sheet import draw_sheet, write_sheet

    check_file(config.out)
    if not 1 <= config.columns <= 64 or not 1 <= config.count <= 2000:
        came = f"{config.count} pictures in {config.columns} columns"
        raise FiguraInputError("sheet", came, "1 to 2000 pictures in 1 to 64 columns")
    size = config.size or (256, 128)
    make = WorldConfig if config.world == "any" else (WORLDS | OTHER_WORLDS)[config.world]
    page = draw_sheet(
        make(*size), config.seed, config.count, config.columns, config.truth, console("figures")
    )
    print(write_sheet(page, config.out))


COMMANDS = {"write": write, "sheet": sheet, "train-reader": train_reader, "read": read}
