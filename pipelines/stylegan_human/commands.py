"""The verbs of this system on the command line: ``figura stylegan generate | info | convert`` here, the
others in ``cli/``.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from .cli.align import align, bg_white, paste
from .cli.explore import edit, latent, mix
from .cli.films import interpolate, mix_video, walk
from .cli.find import find
from .cli.inset import inset
from .cli.invert import invert
from .cli.train import measure, train


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
    from ..common.files import check_folder
    from ..common.images import to_uint8, write_png
    from ..common.processes import find_device, share
    from ..common.progress import console
    from .generate import sample_ws, synthesize
    from .latents.latents import parse_seeds
    from .loading import load_generator

    check_folder(config.outdir, "--outdir")
    seeds = [seed for _, seed in share(parse_seeds(config.seeds))]
    generator = load_generator(config.network).to(find_device(config.device))
    report, steps = console("generating"), generator.synthesis.num_steps
    for i, seed in enumerate(seeds):
        ws = sample_ws(generator, [seed], config.trunc, config.truncation_cutoff)

        def progress(done: int, total: int, preview=None, before: int = i * steps) -> None:
            report(before + done, len(seeds) * steps)

        pixels = synthesize(generator, ws, config.noise_mode, [seed], config.force_fp32, progress=progress)
        write_png(config.outdir / f"seed{seed:04d}.png", to_uint8(pixels)[0])
    print(f"{len(seeds)} picture(s) in {config.outdir}")


def info(network: Annotated[Path, tyro.conf.Positional]) -> None:
    """Say what a network file holds."""
    from .loading import describe, load_generator

    for name, value in describe(load_generator(network)).items():
        print(f"{name:12} {value}")


def convert(
    network: Annotated[Path, tyro.conf.Positional],
    output: Annotated[Path, tyro.conf.Positional],
    half: bool = False,
) -> None:
    """Write a network .pkl as .safetensors, which loads faster and holds no pickle.

    Args:
        half: Write float16, half the size.
    """
    from ..common.files import check_file
    from .loading import load_generator, save_generator

    check_file(output, "output")
    save_generator(output, load_generator(network), half)
    print(f"wrote {output}")


COMMANDS: dict = {
    "generate": generate,
    "interpolate": interpolate,
    "mix": mix,
    "mix-video": mix_video,
    "walk": walk,
    "latent": latent,
    "edit": edit,
    "find": find,
    "invert": invert,
    "align": align,
    "paste": paste,
    "bg-white": bg_white,
    "inset": inset,
    "info": info,
    "convert": convert,
    "train": train,
    "measure": measure,
}
