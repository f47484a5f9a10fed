"""``figura report``: a training run as one HTML page."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from tyro.conf import Positional, arg


@dataclass(frozen=True)
class ReportConfig:
    """The page of one run."""

    run: Positional[Path]
    """The folder of a training run (its --trainer.out), finished or still running."""
    out: Path | None = None
    """The HTML file; without it report.html in the run's folder."""


def report(config: Annotated[ReportConfig, arg(name="")]) -> None:
    """Write a training run's curves, sample grids and figures as one HTML page."""
    from .report import write_report

    print(write_report(config.run, config.out))


COMMANDS = {"report": report}
