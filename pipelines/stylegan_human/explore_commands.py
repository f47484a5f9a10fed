"""``figura stylegan interpolate | mix | edit``: the released scripts' flags, on every generation of
networks.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro


@dataclass(frozen=True)
class InterpolateConfig:
    """A film from one person to another."""

    network: Path
    """Network .pkl (v1, v2, v3) or converted .safetensors."""
    seeds: str
    """Two seeds; the film goes from the second towards the first, as the released script does."""
    trunc: float = 0.8
    """Truncation psi."""
    num_interps: int = 100
    """Frames."""
    fps: float = 15
    """Frames a second."""
    mode: Literal["linear", "spherical"] = "linear"
    """Straight through z, or along an arc."""
    format: Literal["gif", "mp4"] = "gif"
    """Kind of film."""
    outdir: Path = Path("outputs/inter_gifs")
    """Folder for the film."""
    device: str = "auto"
    """cpu, cuda, or auto."""


def interpolate(config: Annotated[InterpolateConfig, tyro.conf.arg(name="")]) -> None:
    """Film a walk between two seeds."""
    from ..common.images import to_uint8
    from ..common.progress import console
    from .explore import path_of_seeds
    from .generate import synthesize
    from .latents import parse_seeds
    from .video import write_film

    seeds, generator = parse_seeds(config.seeds), _load(config.network, config.device)
    ws = path_of_seeds(generator, seeds, config.num_interps, config.trunc, config.mode)
    frames = to_uint8(synthesize(generator, ws, progress=console("drawing")))
    path = config.outdir / f"{seeds[0]}-{seeds[1]}.{config.format}"
    write_film(path, list(frames), config.fps)
    print(f"wrote {path}")


@dataclass(frozen=True)
class MixConfig:
    """A sheet of mixtures."""

    network: Path
    """Network .pkl (v1, v2, v3) or converted .safetensors."""
    rows: str
    """Seeds down the left side."""
    cols: str
    """Seeds along the top."""
    styles: str = "0-6"
    """Rows of w taken from the columns."""
    trunc: float = 0.8
    """Truncation psi."""
    noise_mode: Literal["const", "random", "none"] = "const"
    """Fine detail."""
    outdir: Path = Path("outputs/stylemixing")
    """Folder for the sheet and its pictures."""
    device: str = "auto"
    """cpu, cuda, or auto."""


def mix(config: Annotated[MixConfig, tyro.conf.arg(name="")]) -> None:
    """Draw every row person with styles of every column person: grid.png, and each picture as
    row-column.png.
    """
    from ..common.images import to_image, write_png
    from ..common.progress import console
    from .explore import mixing_matrix
    from .generate import sample_ws
    from .grid import sheet
    from .latents import parse_rows, parse_seeds

    rows, columns = parse_seeds(config.rows), parse_seeds(config.cols)
    generator = _load(config.network, config.device)
    styles = parse_rows(config.styles, generator.config.num_ws) or list(range(generator.config.num_ws))
    down, along = (sample_ws(generator, seeds, config.trunc) for seeds in (rows, columns))
    images = to_image(
        mixing_matrix(generator, down, along, styles, config.noise_mode, progress=console("drawing"))
    )
    for i, row in enumerate(rows):
        for j, column in enumerate(columns):
            write_png(config.outdir / f"{row}-{column}.png", images[(i + 1) * (1 + len(columns)) + j + 1])
    write_png(config.outdir / "grid.png", sheet(images, columns=1 + len(columns), gap=0)[0])
    print(f"wrote {config.outdir / 'grid.png'}")


@dataclass(frozen=True)
class EditConfig:
    """A person before and after an edit."""

    network: Path
    """Network .pkl (v1, v2, v3) or converted .safetensors."""
    seeds: str
    """Whom to edit."""
    direction: Path | None = None
    """Direction file; see the node StyleGAN Load Direction. Left out: a direction from the weights
    (--sefa).
    """
    sefa: int = 0
    """Number of the direction found in the weights, strongest first."""
    rows: str = "4-7"
    """Rows of w that a direction of w moves."""
    strengths: str = "-5,0,5"
    """Strengths, one picture each, side by side."""
    trunc: float = 0.8
    """Truncation psi."""
    outdir: Path = Path("outputs/edit")
    """Folder for the strips."""
    device: str = "auto"
    """cpu, cuda, or auto."""


def edit(config: Annotated[EditConfig, tyro.conf.arg(name="")]) -> None:
    """Draw seeds with an edit at several strengths, one strip for each seed."""
    from ..common.images import to_image, write_png
    from ..common.progress import console
    from .directions import load_direction
    from .edit import direction_in_w, parse_strengths, sefa_vector, sweep
    from .generate import sample_ws
    from .grid import sheet
    from .latents import parse_rows, parse_seeds

    seeds, generator = parse_seeds(config.seeds), _load(config.network, config.device)
    rows = parse_rows(config.rows, generator.config.num_ws)
    if config.direction is not None:
        change = load_direction(config.direction, rows)
    else:
        every = list(range(generator.config.num_ws))
        change = direction_in_w(
            sefa_vector(generator.synthesis, config.sefa), rows or every, f"sefa{config.sefa}"
        )
    strengths = parse_strengths(config.strengths)
    for seed in seeds:
        ws = sample_ws(generator, [seed], config.trunc)
        pixels = sweep(generator, ws, [(change, 0.0)], 0, strengths, progress=console(f"seed {seed}"))
        path = config.outdir / f"{change.name}_seed{seed:04d}.png"
        write_png(path, sheet(to_image(pixels), columns=len(strengths), gap=0)[0])
        print(f"wrote {path}")


def _load(network: Path, device: str):
    from .commands import pick_device
    from .loading import load_generator

    return load_generator(network).to(pick_device(device))
