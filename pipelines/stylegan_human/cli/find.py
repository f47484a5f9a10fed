"""``figura stylegan find``: a direction for an attribute nobody shipped."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

if TYPE_CHECKING:
    from torch import Tensor

    from ..networks.generator import Generator


@dataclass(frozen=True)
class FindConfig:
    """A direction learnt from people drawn at random; say what tells them apart in one of three ways."""

    output: Annotated[Path, tyro.conf.Positional]
    """File to write: .safetensors, .pt or .npy."""
    network: Path
    """Network .pkl (v1, v2, v3) or converted .safetensors."""
    attribute: str | None = None
    """module:function of yours: pictures [N, H, W, 3] in 0..1 to N numbers. Your code is run."""
    labels: Path | None = None
    """A .csv with the columns seed and label (numbers, or yes and no); its seeds are used."""
    text: str | None = None
    """What there shall be more of, such as 'a person in a long dress'. Needs --versus and --clip."""
    versus: str | None = None
    """What there shall be less of."""
    clip: Path | None = None
    """A CLIP as transformers saves it: its folder, or model.safetensors."""
    seeds: str = "0-999"
    """People to learn from."""
    trunc: float = 1.0
    """Truncation psi."""
    method: Literal["auto", "logistic", "svm", "ridge"] = "auto"
    """auto: logistic for yes and no, ridge for amounts. svm needs scikit-learn."""
    extremes: float = 1.0
    """Share of the people used, half from each end of the scale."""
    channels: int = 0
    """Instead of a direction of w: shift this many style channels, those that tell it best (StyleSpace)."""
    rows: str = "all"
    """Rows of w that the direction shall move."""
    without: list[Path] | None = None
    """Directions that must not change with this one."""
    held_out: float = 0.25
    """Share of the people kept aside to try the direction on."""
    device: str = "auto"
    """cpu, cuda, or auto."""


def find(config: Annotated[FindConfig, tyro.conf.arg(name="")]) -> None:
    """Find the direction of an attribute: by a function of yours, by labels, or by two texts."""
    from ..directions.attribute import mean_rows
    from ..directions.direction_file import check_direction_file, load_direction, save_direction
    from ..directions.fit import fit_direction
    from ..generate import sample_ws
    from ..latents.edit import EVERY_ROW
    from ..latents.latents import parse_rows
    from .films import load

    check_direction_file(config.output)
    labels = _labels(config)
    attribute = None if labels else _attribute(config)
    generator = load(config.network, config.device)
    rows = parse_rows(config.rows, generator.config.num_ws)
    others = [load_direction(path, rows) for path in config.without or []]
    seeds = list(labels) if labels else _seeds(config.seeds)
    ws = sample_ws(generator, seeds, config.trunc)
    values = list(labels.values()) if labels else _scores(generator, ws, attribute)
    if config.channels:
        return _save_channels(generator, ws, values, config)
    fit = fit_direction(
        mean_rows(ws, rows), values, config.method, config.extremes,
        [vector for other in others for vector in other.rows.values()], config.held_out,
    )  # fmt: skip
    save_direction(config.output, fit.edit(rows or [EVERY_ROW], config.output.stem))
    print(f"wrote {config.output}: {fit.report()}")


def _save_channels(generator: "Generator", ws: "Tensor", values: list[float], config: FindConfig) -> None:
    from ..directions.attribute import with_attribute
    from ..directions.direction_file import save_direction
    from ..directions.style_space import strongest_channels, styles_of

    known, chosen = with_attribute(values)
    styles = styles_of(generator, ws[known])
    edit, best = strongest_channels(styles, chosen, config.channels, name=config.output.stem)
    save_direction(config.output, edit)
    found = ", ".join(f"{channel} of style {i} ({score:+.2f})" for i, channel, score in best[:8])
    print(f"wrote {config.output}: channels {found}")


def _seeds(text: str) -> list[int]:
    from ..latents.latents import parse_seeds

    return parse_seeds(text, limit=20_000)


def _labels(config: FindConfig) -> dict[int, float]:
    """Seed -> label of --labels; {} when pictures are asked instead. Refuses none or several ways at once."""
    from ...common.errors import FiguraInputError
    from ..directions.attribute import read_labels

    ways = {"--attribute": config.attribute, "--labels": config.labels, "--text": config.text}
    given = [way for way, value in ways.items() if value is not None]
    if len(given) != 1:
        raise FiguraInputError("attribute", " and ".join(given) or "nothing", "one of " + ", ".join(ways))
    return {} if config.labels is None else read_labels(config.labels)


def _attribute(config: FindConfig):
    from ...common.errors import FiguraInputError
    from ...common.processes import find_device
    from ..directions.attribute import load_attribute

    if config.attribute is not None:
        return load_attribute(config.attribute)
    if config.versus is None or config.clip is None:
        missing = "--versus" if config.versus is None else "--clip"
        raise FiguraInputError("--text", f"no {missing}", "all three of --text, --versus and --clip")
    from ..directions.clip_score import TextContrast, load_clip

    clip = load_clip(config.clip).to(find_device(config.device))
    return TextContrast(clip, str(config.text), config.versus)


def _scores(generator: "Generator", ws: "Tensor", attribute) -> list[float]:
    from ...common.progress import console
    from ..directions.attribute import score_people

    return score_people(generator, ws, attribute, progress=console("drawing"))
