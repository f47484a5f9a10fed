"""``figura stylegan interpolate | mix-video | walk``: films, with the flags of the released scripts.

Frames are drawn a few at a time while the film is written.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

if TYPE_CHECKING:
    import numpy as np

    from ..networks.generator import Generator


def _switch(words: list[str]) -> bool:
    """A flag alone says yes; the released scripts' ``--flag True`` and ``--flag False`` are read too."""
    word = words[0].lower() if len(words) == 1 else "yes" if not words else ""
    if word not in ("yes", "true", "1", "no", "false", "0"):
        raise ValueError("True or False")
    return word in ("yes", "true", "1")


Switch = Annotated[
    bool,
    tyro.conf.FlagConversionOff,
    tyro.constructors.PrimitiveConstructorSpec(
        nargs="*",
        metavar="[True|False]",
        instance_from_str=_switch,
        is_instance=lambda value: isinstance(value, bool),
        str_from_instance=lambda value: [str(value)],
    ),
]


@dataclass(frozen=True)
class InterpolateConfig:
    """A film from one person to another."""

    network: Path
    """Network .pkl (v1, v2, v3) or converted .safetensors."""
    seeds: str
    """Two seeds; the film goes from the second towards the first, which it never reaches, as the released
    script does. More seeds: from the last to the first.
    """
    trunc: float = 0.8
    """Truncation psi."""
    noise_mode: Literal["const", "random", "none"] = "const"
    """Fine detail."""
    num_interps: int = 100
    """Frames from one person to the next."""
    fps: float = 15
    """Frames a second."""
    mode: Literal["linear", "spherical"] = "linear"
    """Straight, or along an arc."""
    space: Literal["z", "w", "w+"] = "z"
    """Where the way leads through: before the mapping network, after it, or row by row."""
    sources: Switch = True
    """Show the two ends at the left and the right of the moving picture (two seeds only)."""
    save_mid_image: Switch = False
    """Write every frame as a picture too, into the folder img."""
    format: Literal["gif", "mp4"] = "gif"
    """Kind of film."""
    outdir: Path = Path("outputs/inter_gifs")
    """Folder for the film and the pictures of its ends."""
    device: str = "auto"
    """cpu, cuda, or auto."""


def interpolate(config: Annotated[InterpolateConfig, tyro.conf.arg(name="")]) -> None:
    """Film a walk between seeds."""
    from ...common.images import to_uint8, write_png
    from ...common.progress import console
    from ..generate import frames, sample_ws, synthesize
    from ..latents.latents import parse_seeds
    from ..latents.walks import path_of_seeds
    from ..video import check_film, write_film

    seeds = parse_seeds(config.seeds)
    path = config.outdir / f"{'-'.join(map(str, seeds[:8]))}.{config.format}"
    check_film(path, config.fps)
    generator = load(config.network, config.device)
    ws = path_of_seeds(generator, seeds[::-1], config.num_interps, config.trunc, config.mode, config.space)[
        :-1
    ]
    ends = to_uint8(
        synthesize(generator, sample_ws(generator, seeds, config.trunc), config.noise_mode, [0] * len(seeds))
    )
    drawn = frames(generator, ws, config.noise_mode, progress=console("drawing"))
    if config.save_mid_image:
        drawn = _kept(drawn, config.outdir / "img")
    if config.sources and len(seeds) == 2:
        drawn = _between(drawn, ends[1], ends[0])
    write_film(path, drawn, config.fps)
    for seed, end in zip(seeds, ends, strict=True):
        write_png(config.outdir / f"seed{seed:04d}.png", end)
    print(f"wrote {path}")


def _kept(drawn: Iterable["np.ndarray"], folder: Path) -> Iterator["np.ndarray"]:
    from ...common.images import write_png

    for i, frame in enumerate(drawn):
        write_png(folder / f"frame{i:04d}.png", frame)
        yield frame


def _between(
    drawn: Iterable["np.ndarray"], left: "np.ndarray", right: "np.ndarray"
) -> Iterator["np.ndarray"]:
    import numpy as np

    for frame in drawn:
        yield np.concatenate([left, frame, right], axis=1)


@dataclass(frozen=True)
class MixVideoConfig:
    """A film of people who take the styles of someone on a walk."""

    network: Path
    """Network .pkl (v1, v2, v3) or converted .safetensors."""
    row_seed: int
    """Seed of the walk, whose styles go into everyone."""
    col_seeds: str
    """Seeds of the people who are mixed with it."""
    col_styles: str = "0-6"
    """Rows of w taken from the walk."""
    only_stylemix: Switch = False
    """Show the mixtures alone, without the walk and the people they come from."""
    trunc: float = 1.0
    """Truncation psi."""
    duration_sec: float = 10.0
    """Seconds."""
    fps: float = 10
    """Frames a second; also how slowly the walk goes: people change within about a second."""
    indent_range: int | None = None
    """Pixels that neighbours overlap; 30 at 512 wide, in proportion at other sizes, when left out."""
    noise_mode: Literal["const", "random", "none"] = "const"
    """Fine detail."""
    outdir: Path = Path("outputs/stylemixing_video")
    """Folder for the film."""
    device: str = "auto"
    """cpu, cuda, or auto."""


def mix_video(config: Annotated[MixVideoConfig, tyro.conf.arg(name="")]) -> None:
    """Film style mixing along a random walk."""
    from ...common.progress import console
    from ..generate import sample_ws
    from ..latents.latents import parse_rows, parse_seeds
    from ..latents.mixing import mixing_frames
    from ..latents.walks import frame_count, random_walk
    from ..video import check_film, write_film

    seeds, count = parse_seeds(config.col_seeds), frame_count(config.duration_sec, config.fps)
    path = config.outdir / f"{config.row_seed}-{'-'.join(map(str, seeds[:8]))}.mp4"
    check_film(path, config.fps)
    generator = load(config.network, config.device)
    every = list(range(generator.config.num_ws))
    styles = parse_rows(config.col_styles, generator.config.num_ws) or every
    walk = random_walk(generator, config.row_seed, count, config.fps, config.trunc)
    people = sample_ws(generator, seeds, config.trunc)
    drawn = mixing_frames(
        generator, walk, people, styles, config.only_stylemix, config.indent_range, config.noise_mode,
        progress=console("drawing"),
    )  # fmt: skip
    write_film(path, drawn, config.fps)
    print(f"wrote {path}")


@dataclass(frozen=True)
class WalkConfig:
    """A film of a walk that comes back to where it began."""

    network: Path
    """Network .pkl (v1, v2, v3) or converted .safetensors."""
    seed: int = 0
    """Seed of a random walk."""
    latent: Path | None = None
    """Instead: walk through the latents of this file (.safetensors, .pt, .npz), in order."""
    duration_sec: float = 10.0
    """Seconds."""
    fps: float = 15
    """Frames a second."""
    smooth: float = 1.0
    """Random walk: seconds within which people change."""
    mode: Literal["linear", "spherical"] = "linear"
    """Between latents of a file: straight, or along an arc."""
    trunc: float = 0.8
    """Truncation psi of a random walk."""
    format: Literal["gif", "mp4"] = "mp4"
    """Kind of film."""
    outdir: Path = Path("outputs/walk")
    """Folder for the film."""
    device: str = "auto"
    """cpu, cuda, or auto."""


def walk(config: Annotated[WalkConfig, tyro.conf.arg(name="")]) -> None:
    """Film a random walk, or one through saved latents."""
    from ...common.progress import console
    from ..generate import frames
    from ..latents.latent_file import Latents, load_latents
    from ..latents.walks import frame_count, path_of_ws, random_walk
    from ..video import check_film, write_film

    count = frame_count(config.duration_sec, config.fps)
    name = f"seed{config.seed:04d}" if config.latent is None else config.latent.stem
    path = config.outdir / f"{name}.{config.format}"
    check_film(path, config.fps)
    generator = load(config.network, config.device)
    if config.latent is None:
        sigma = config.smooth * config.fps
        given = Latents(random_walk(generator, config.seed, count, sigma, config.trunc))
    else:
        stops = load_latents(config.latent)
        steps = max(1, round(count / len(stops.ws)))
        given = Latents(path_of_ws(stops.ws, steps, config.mode, loop=True), edits=stops.edits)
    drawn = frames(generator, given.ws, progress=console("drawing"), edits=given.edits)
    write_film(path, drawn, config.fps)
    print(f"wrote {path}")


def load(network: Path, device: str) -> "Generator":
    """The generator of a network file, on the device of a ``--device`` flag."""
    from ...common.processes import find_device
    from ..loading import load_generator

    return load_generator(network).to(find_device(device))
