"""How the published scripts' users type switches, lists and networks, as types of flags. No torch here."""

from pathlib import Path
from typing import Annotated

from tyro.conf import FlagConversionOff
from tyro.constructors import PrimitiveConstructorSpec

from ...common.errors import FiguraInputError
from .metric_names import split_names

YES, NO = ("1", "true", "t", "yes", "y", "on"), ("0", "false", "f", "no", "n", "off")
NO_NETWORK = ("noresume", "none")
PUBLISHED_NETWORKS = {  # words that stand for files in StyleGAN2-ada's script
    "ffhq256": "ffhq-res256-mirror-paper256-noaug.pkl",
    "ffhq512": "ffhq-res512-mirror-stylegan2-noaug.pkl",
    "ffhq1024": "ffhq-res1024-mirror-stylegan2-noaug.pkl",
    "celebahq256": "celebahq-res256-mirror-paper256-kimg100000-ada-target0.5.pkl",
    "lsundog256": "lsundog-res256-paper256-kimg100000-noaug.pkl",
}


def _meant(words: list[str]) -> bool:
    """``--mirror``, ``--mirror 1`` and ``--mirror=True`` alike."""
    word = words[0].lower() if words else "true"
    if word not in YES + NO:
        raise ValueError(f"{words[0]!r} is neither true nor false")
    return word in YES


def _network(words: list[str]) -> Path | None:
    return None if words[0].lower() in NO_NETWORK else Path(words[0])


Switch = Annotated[
    bool, FlagConversionOff,
    PrimitiveConstructorSpec(
        nargs=(0, 1), metavar="[BOOL]", instance_from_str=_meant,
        is_instance=lambda value: isinstance(value, bool), str_from_instance=lambda value: [str(value)],
    ),
]  # fmt: skip
MetricNames = Annotated[
    tuple[str, ...],
    PrimitiveConstructorSpec(
        nargs="*", metavar="NAME,NAME|none", instance_from_str=split_names,
        is_instance=lambda value: isinstance(value, tuple),
        str_from_instance=lambda value: list(value) or ["none"],
    ),
]  # fmt: skip
StartingNetwork = Annotated[
    Path | None,
    PrimitiveConstructorSpec(
        nargs=1, metavar="FILE|noresume", instance_from_str=_network,
        is_instance=lambda value: value is None or isinstance(value, Path),
        str_from_instance=lambda value: [str(value or NO_NETWORK[0])],
    ),
]  # fmt: skip


def check_starting_network(path: Path | None) -> None:
    """Refuse what the published scripts would download: a training run fetches nothing."""
    if path is None or path.exists():
        return
    wanted = "a file on this machine"
    if str(path).startswith(("http:", "https:")):
        raise FiguraInputError(
            "--resume", "an address", wanted, f"Download it, then: --resume {path.name or 'FILE'}"
        )
    if str(path) in PUBLISHED_NETWORKS:
        raise FiguraInputError(
            "--resume", f"'{path}', the name of a published network", wanted,
            f"Download it, then: --resume {PUBLISHED_NETWORKS[str(path)]}",
        )  # fmt: skip
