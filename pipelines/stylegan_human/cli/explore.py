"""``figura stylegan mix | edit | latent``: sheets and strips, with the flags of the released scripts."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

from .films import load

MAX_FRAMES = 10_000  # of the film of an edit, whose frames are drawn before they are written

if TYPE_CHECKING:
    from ..latents.edit import Edit
    from ..latents.latent_file import Latents
    from ..networks.generator import Generator


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
    from ...common.files import check_folder
    from ...common.images import to_image, write_png
    from ...common.progress import console
    from ..generate import sample_ws
    from ..grid import sheet
    from ..latents.latents import parse_rows, parse_seeds
    from ..latents.mixing import mixing_matrix

    check_folder(config.outdir, "--outdir")
    rows, columns = parse_seeds(config.rows), parse_seeds(config.cols)
    generator = load(config.network, config.device)
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
    seeds: str = ""
    """Whom to edit."""
    latent: Path | None = None
    """Instead: the latents of a file (.safetensors, .pt, .npz), such as an inverted photo's."""
    direction: Path | None = None
    """Direction file; see the node StyleGAN Load Direction. Left out: a direction from the weights
    (--sefa).
    """
    sefa: int = 0
    """Number of the direction found in the weights, strongest first."""
    rows: str = ""
    """Rows of w that a direction of w moves, or all; as its file says, else 4-7, when left out."""
    strengths: str = "-5,0,5"
    """Strengths, one picture each, side by side."""
    trunc: float = 0.8
    """Truncation psi of seeds; latents of a file are drawn as they are."""
    noise_mode: Literal["const", "random", "none"] = "const"
    """Fine detail."""
    film: Literal["none", "gif", "mp4"] = "none"
    """Also a film from the first strength to the last."""
    film_steps: int = 90
    """Frames of it."""
    outdir: Path = Path("outputs/edit")
    """Folder for the strips."""
    device: str = "auto"
    """cpu, cuda, or auto."""


def edit(config: Annotated[EditConfig, tyro.conf.arg(name="")]) -> None:
    """Draw seeds or latents with an edit at several strengths, one strip for each."""
    from ...common.errors import FiguraInputError
    from ...common.files import check_folder
    from ...common.images import to_image, write_png
    from ...common.progress import console
    from ..grid import sheet
    from ..latents.edit import check_edit, parse_strengths, sweep

    check_folder(config.outdir, "--outdir")
    strengths = parse_strengths(config.strengths)
    if config.film != "none" and not 1 <= config.film_steps <= MAX_FRAMES:
        raise FiguraInputError("--film-steps", str(config.film_steps), f"1 to {MAX_FRAMES}")
    _check_people(config.seeds, config.latent)
    generator = load(config.network, config.device)
    change = _direction(config, generator)
    check_edit(change, generator)
    for name, person in _people(generator, config.seeds, config.latent, config.trunc):
        stack = [*person.edits, (change, 0.0)]
        pixels = sweep(
            generator, person.ws, stack, len(stack) - 1, strengths, config.noise_mode,
            progress=console(name),
        )  # fmt: skip
        path = config.outdir / f"{change.name}_{name}.png"
        write_png(path, sheet(to_image(pixels), columns=len(strengths), gap=0)[0])
        print(f"wrote {path}")
        if config.film != "none":
            _film(config, generator, person, change, path.with_suffix(f".{config.film}"), strengths)


def _check_people(seeds: str, latent: Path | None) -> None:
    from ...common.errors import FiguraInputError

    if bool(seeds.strip()) == (latent is not None):
        came = "both --seeds and --latent" if latent else "neither --seeds nor --latent"
        raise FiguraInputError("person", came, "one of them")


def _people(
    generator: "Generator", seeds: str, latent: Path | None, psi: float
) -> list[tuple[str, "Latents"]]:
    """Name and latent of everyone asked for."""
    from ..generate import sample_ws
    from ..latents.latent_file import Latents, load_latents
    from ..latents.latents import parse_seeds

    if latent is None:
        return [
            (f"seed{seed:04d}", Latents(sample_ws(generator, [seed], psi))) for seed in parse_seeds(seeds)
        ]
    found = load_latents(latent)
    return [(f"{latent.stem}_{i}", Latents(ws, edits=found.edits)) for i, ws in enumerate(found.ws.split(1))]


def _direction(config: EditConfig, generator: "Generator") -> "Edit":
    from ..directions.direction_file import load_direction
    from ..latents.edit import SEFA_ROWS, direction_in_w, parse_edit_rows, sefa_vector

    rows = parse_edit_rows(config.rows, generator.config.num_ws)
    if config.direction is not None:
        return load_direction(config.direction, rows)
    vector = sefa_vector(generator.synthesis, config.sefa)
    return direction_in_w(vector, rows or SEFA_ROWS, f"sefa{config.sefa}")


def _film(
    config: EditConfig,
    generator: "Generator",
    person: "Latents",
    change: "Edit",
    path: Path,
    strengths: list[float],
) -> None:
    from ...common.images import to_uint8
    from ..latents.edit import spread, sweep
    from ..video import write_film

    stack = [*person.edits, (change, 0.0)]
    moments = spread(strengths[0], strengths[-1], config.film_steps)
    pixels = sweep(generator, person.ws, stack, len(stack) - 1, moments, config.noise_mode)
    write_film(path, list(to_uint8(pixels)), 30)
    print(f"wrote {path}")


@dataclass(frozen=True)
class LatentConfig:
    """Latents computed and saved, and drawn if wished."""

    output: Annotated[Path, tyro.conf.Positional]
    """File to write: .safetensors (with seeds and edits), .pt or .npz (ws alone, as the released tools')."""
    network: Path
    """Network .pkl (v1, v2, v3) or converted .safetensors."""
    seeds: str = ""
    """Whose latents."""
    latent: Path | None = None
    """Instead: those of a file."""
    blend: Path | None = None
    """Move towards the latents of this file, by --factor."""
    add: Path | None = None
    """Add the latents of this file, times --factor."""
    subtract: Path | None = None
    """Take away the latents of this file, times --factor."""
    factor: float | None = None
    """How much; 0.5 for --blend and 1 for the others when left out."""
    mode: Literal["linear", "spherical"] = "linear"
    """Way of --blend."""
    rows: str = "all"
    """Rows that --blend, --add, --subtract and --truncate change."""
    trunc: float = 1.0
    """Truncation psi of seeds."""
    truncate: float = 1.0
    """Truncation psi of the result."""
    grid: str = ""
    """Rows x columns, such as 5x7: fill a sheet between 2 latents (left, right) or 4 (its corners)."""
    picture: Path | None = None
    """Also draw the result, as one sheet (.png)."""
    device: str = "auto"
    """cpu, cuda, or auto."""


def latent(config: Annotated[LatentConfig, tyro.conf.arg(name="")]) -> None:
    """Compute with latents: blend, add, subtract, truncate rows, convert between file formats."""
    import torch

    from ...common.files import check_file
    from ...common.images import to_image, write_png
    from ..generate import synthesize
    from ..grid import sheet
    from ..latents.latent_file import Latents, check_latent_file, save_latents
    from ..latents.latents import check_ws, parse_rows, truncate_rows
    from ..networks.generator import device_of

    check_latent_file(config.output)
    if config.picture is not None:
        check_file(config.picture, "--picture")
    _check_people(config.seeds, config.latent)
    generator = load(config.network, config.device)
    shape = generator.config.num_ws, generator.config.w_dim
    people = [person for _, person in _people(generator, config.seeds, config.latent, config.trunc)]
    rows = parse_rows(config.rows, shape[0])
    ws = _computed(config, check_ws(torch.cat([person.ws for person in people]), *shape).cpu(), rows)
    ws = truncate_rows(ws, generator.mapping.w_avg.cpu(), config.truncate, rows)
    ws, columns = _filled(ws, config.grid, config.mode)
    result = Latents(ws, edits=people[0].edits)
    save_latents(config.output, result)
    print(f"wrote {config.output}: {len(ws)} latent(s)")
    if config.picture is not None:
        pixels = synthesize(generator, result.ws.to(device_of(generator)), edits=result.edits)
        write_png(config.picture, sheet(to_image(pixels), columns=columns)[0])


def _filled(ws, grid: str, mode: str):
    """``ws`` as corners of a sheet, filled; and its columns. Without ``grid`` as it is, and 0."""
    import re

    from ...common.errors import FiguraInputError
    from ..latents.walks import corner_grid

    if not grid:
        return ws, 0
    found = re.fullmatch(r"(\d{1,4})x(\d{1,4})", grid.strip())
    if not found:
        raise FiguraInputError("--grid", f"'{grid}'", "rows x columns, such as 5x7")
    rows, columns = int(found[1]), int(found[2])
    return corner_grid(ws, rows, columns, mode), columns


def _computed(config: LatentConfig, ws, rows: list[int] | None):
    """``ws`` after --blend, --add and --subtract, in this order."""
    from ..latents.latent_file import load_latents
    from ..latents.latents import blend, combine

    if config.blend is not None:
        factor = 0.5 if config.factor is None else config.factor
        ws = blend(ws, load_latents(config.blend).ws, factor, config.mode, rows)
    for operation, path in (("add", config.add), ("subtract", config.subtract)):
        if path is not None:
            ws = combine(
                ws, load_latents(path).ws, operation, 1.0 if config.factor is None else config.factor, rows
            )
    return ws
