"""Names of metrics: ours, and the published scripts', which say how many pictures are compared. No torch."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from ...common.errors import FiguraInputError

PUBLISHED = 50000  # pictures that the published metrics generate


@dataclass(frozen=True)
class Metric:
    """One way to compare generated pictures with real ones."""

    name: str
    kind: Literal["fid", "kid", "pr"]
    generated: int | None = PUBLISHED
    """Pictures generated; None: as many as asked for."""
    real: int | None = None
    """Real pictures at most; None: all."""
    mirrored: bool = False
    """Whether mirror images count as real pictures where training shows them."""


OFFERED = {
    metric.name: metric
    for metric in (
        Metric("fid", "fid", None),
        Metric("kid", "kid", None),
        Metric("pr", "pr", None),
        Metric("fid50k_full", "fid"),
        Metric("kid50k_full", "kid", real=1_000_000),
        Metric("pr50k3_full", "pr", real=200_000),
        Metric("fid50k", "fid", real=50000, mirrored=True),
        Metric("kid50k", "kid", real=50000, mirrored=True),
        Metric("pr50k3", "pr", real=50000, mirrored=True),
    )
}
NOT_OFFERED = {  # how names of the published code begin -> what they would need
    "is50k": "it needs a network's class probabilities, which --detector does not give",
    "ppl": "path lengths are measured with LPIPS between neighbouring pictures, not with features of a set",
    "eq": "equivariance compares a generator with itself, not with real pictures",
}


def split_names(words: Sequence[str]) -> tuple[str, ...]:
    """What was typed, as names: ``fid,kid``, ``fid kid``; ``none`` alone is no name at all."""
    names = tuple(name for word in words for name in word.lower().replace(",", " ").split())
    return () if names == ("none",) else names


def metrics_named(names: Sequence[str], flag: str = "--metrics") -> list[Metric]:
    """The metrics of these names, each once.

    Raises:
        FiguraInputError: a name that is not offered, with the reason where the published code has it.
    """
    for name in names:
        if name not in OFFERED:
            reasons = [reason for start, reason in NOT_OFFERED.items() if name.startswith(start)]
            got = f"'{name}'" + (f": {reasons[0]}" if reasons else "")
            raise FiguraInputError(flag, got, ", ".join(OFFERED) + ", or none alone")
    return [OFFERED[name] for name in dict.fromkeys(names)]


def check_samples(names: Sequence[str], samples: int, flag: str) -> None:
    """Refuse a number of pictures that no metric would take: the published names hold theirs."""
    metrics = metrics_named(names)
    if metrics and samples != PUBLISHED and all(metric.generated is not None for metric in metrics):
        raise FiguraInputError(
            flag, f"{samples} with --metrics {','.join(names)}", f"{PUBLISHED}, which those names mean",
            "Name fid, kid or pr to choose the number.",
        )  # fmt: skip


def is_distance(figure: str) -> bool:
    """Whether less of a figure of this name is better: a distance, not a precision or recall."""
    return figure.startswith(("fid", "kid"))
