"""Reading what a run left behind. Needs neither torch nor accelerate."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from math import isfinite
from pathlib import Path
from typing import Any

from ..errors import FiguraInputError

COUNTERS = ("step", "samples")


def read_log(path: Path) -> list[dict[str, Any]]:
    """The lines of a JSON-lines file; a last line that a killed process tore is dropped."""
    if not path.is_file():
        return []
    lines = []
    for text in path.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            lines.append(json.loads(text))
        except ValueError:
            continue
    return lines


@dataclass(frozen=True)
class Curve:
    """One logged value over the run."""

    name: str
    steps: tuple[int, ...]
    values: tuple[float, ...]
    lost: int = 0
    """Lines where the value was not a finite number; they are left out."""


@dataclass(frozen=True)
class Run:
    """A run's folder, read."""

    name: str
    about: dict[str, Any]
    """run.json: trainer, task, processes, device, versions."""
    curves: tuple[Curve, ...]
    grids: dict[str, list[tuple[int, Path]]]
    """Sample grids by name, as (step, file) in order."""
    steps: int = 0
    samples: int = 0
    seconds: float = 0.0
    rate: float = 0.0
    """Samples per second, over all logged updates."""
    peak_bytes: int | None = None
    bad: list[dict[str, Any]] = field(default_factory=list)
    """Batches whose loss or gradient was not finite: step and names of samples."""


def read_run(folder: Path) -> Run:
    """Read a run's folder, finished or not.

    Raises:
        FiguraInputError: there is no run in it, or nothing was logged yet.
    """
    about = _about(folder)
    lines = [line for line in read_log(folder / "log.jsonl") if _whole(line.get("step"))]
    grids = find_grids(folder / "samples")
    if not lines and not grids:
        raise FiguraInputError(folder.name, "a run that has not logged anything yet", "a line in log.jsonl")
    speed = [
        line for line in read_log(folder / "speed.jsonl") if isinstance(line.get("seconds"), int | float)
    ]
    seconds = sum(line["seconds"] for line in speed)
    seen = sum(line["seconds"] * line.get("samples_per_second", 0.0) for line in speed)
    peaks = [line["peak_gpu_bytes"] for line in speed if line.get("peak_gpu_bytes")]
    last = lines[-1] if lines else {}
    return Run(
        folder.resolve().name,
        about,
        tuple(curves_of(lines)),
        grids,
        last.get("step", 0),
        last.get("samples", 0),
        seconds,
        seen / seconds if seconds else 0.0,
        max(peaks) if peaks else None,
        read_log(folder / "bad_batches.jsonl"),
    )


def _about(folder: Path) -> dict[str, Any]:
    path = folder / "run.json"
    if not path.is_file():
        raise FiguraInputError(
            folder.name, "no run.json in it", "the folder of a training run (--trainer.out)"
        )
    try:
        about = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, OSError) as error:
        raise FiguraInputError("run.json", "a damaged file", "the one that the trainer wrote") from error
    if not isinstance(about, dict):
        raise FiguraInputError("run.json", "JSON of another form", "the one that the trainer wrote")
    return about


def _whole(step: object) -> bool:
    return isinstance(step, int) and not isinstance(step, bool)


def curves_of(lines: list[dict[str, Any]]) -> list[Curve]:
    """Every logged value as a curve, in the order in which they first appear."""
    points: dict[str, list[tuple[int, float]]] = {}
    for line in lines:
        for name, value in line.items():
            if name not in COUNTERS and isinstance(value, int | float) and not isinstance(value, bool):
                points.setdefault(name, []).append((line["step"], float(value)))
    curves = []
    for name, found in points.items():
        good = [(step, value) for step, value in found if isfinite(value)]
        steps, values = zip(*good, strict=True) if good else ((), ())
        curves.append(Curve(name, steps, values, len(found) - len(good)))
    return curves


def find_grids(folder: Path) -> dict[str, list[tuple[int, Path]]]:
    """The grids ``<name>_<step>.png`` of a folder, by name, in order of steps."""
    grids: dict[str, list[tuple[int, Path]]] = {}
    for path in sorted(folder.glob("*.png")) if folder.is_dir() else []:
        if found := re.fullmatch(r"(.+)_(\d+)\.png", path.name):
            grids.setdefault(found.group(1), []).append((int(found.group(2)), path))
    return {name: sorted(pages) for name, pages in sorted(grids.items())}
