"""The verbs of this system on the command line: ``figura stylegan generate | interpolate | mix | edit | info
| convert``.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from .explore_commands import edit, interpolate, mix


@dataclass(frozen=True)
class GenerateConfig:
    """Pictures from seeds, one PNG each (seed0001.png), as the released generate.py makes them."""

    network: Path
    """Network .pkl (v1, v2, v3) or converted .safetensors."""
    seeds: str = "0-9"
    """Seeds and inclusive ranges, such as 1,3,5-9."""
    trunc: float = 1.0
    """Truncation psi: 1 full variety, 0 the average person."""
    noise_mode: Literal["const", "random", "none"] = "const"
    """Fine detail: the network's own, drawn anew from each seed, or none."""
    outdir: Path = Path("outputs/generate")
    """Folder for the pictures."""
    truncation_cutoff: int | None = None
    """Rows of w to truncate; the network's own default when left out (8 for v1, all for v2 and v3)."""
    device: str = "auto"
    """cpu, cuda, or auto."""
    force_fp32: bool = False
    """Never use half precision on a GPU."""
    version: str = "auto"
    """Accepted for old command lines; the file itself says its version."""


def generate(config: Annotated[GenerateConfig, tyro.conf.arg(name="")]) -> None:
    """Generate pictures from seeds."""
    from ..common.images import to_uint8, write_png
    from ..common.progress import console
    from .generate import sample_ws, synthesize
    from .latents import parse_seeds
    from .loading import load_generator

    seeds = parse_seeds(config.seeds)
    generator = load_generator(config.network).to(pick_device(config.device))
    report, steps = console("generating"), generator.synthesis.num_steps
    for i, seed in enumerate(seeds):
        ws = sample_ws(generator, [seed], config.trunc, config.truncation_cutoff)

        def progress(done: int, total: int, preview=None, before: int = i * steps) -> None:
            report(before + done, len(seeds) * steps)

        pixels = synthesize(generator, ws, config.noise_mode, [seed], config.force_fp32, progress=progress)
        write_png(config.outdir / f"seed{seed:04d}.png", to_uint8(pixels)[0])
    print(f"{len(seeds)} picture(s) in {config.outdir}")


def pick_device(name: str):
    """The torch device of a ``--device`` flag."""
    import torch

    from ..common.errors import FiguraInputError

    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        return torch.zeros(0, device=name).device
    except (RuntimeError, AssertionError) as error:
        raise FiguraInputError(
            "--device", f"'{name}', which torch cannot use here", "cpu, cuda or auto"
        ) from error


def info(network: Annotated[Path, tyro.conf.Positional]) -> None:
    """Say what a network file holds."""
    from .loading import describe, load_generator

    for name, value in describe(load_generator(network)).items():
        print(f"{name:12} {value}")


def convert(
    network: Annotated[Path, tyro.conf.Positional], output: Annotated[Path, tyro.conf.Positional]
) -> None:
    """Write a network .pkl as .safetensors, which loads faster and holds no pickle."""
    from .loading import load_generator, save_generator

    save_generator(output, load_generator(network))
    print(f"wrote {output}")


COMMANDS: dict = {
    "generate": generate,
    "interpolate": interpolate,
    "mix": mix,
    "edit": edit,
    "info": info,
    "convert": convert,
}
