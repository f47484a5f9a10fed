"""Times two ways of doing the same work side by side, in one process, turn by turn."""

import json
import platform
import statistics
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

RESULTS = Path(__file__).parent / "results"


@dataclass(frozen=True)
class Record:
    """One measured claim. ``ratio`` is other/ours for times and memory: above 1 means ours is better."""

    name: str
    ours: float
    other: float
    other_is: str
    ratio: float
    unit: str
    machine: str


def compare(
    name: str,
    ours: Callable[[], object],
    other: Callable[[], object],
    other_is: str,
    repeats: int = 3,
    warm: bool = False,
):
    """Return a Record of CPU seconds: medians of ``repeats`` turns, taken alternately after one warm-up.

    ``warm``: both sides have run once already.

    CPU seconds of one thread, not wall time: on a shared machine only they can be compared.
    """
    if not warm:
        ours(), other()
    times: tuple[list[float], list[float]] = ([], [])
    for _ in range(repeats):
        for work, seconds in zip((ours, other), times, strict=True):
            start = time.process_time()
            work()
            seconds.append(time.process_time() - start)
    a, b = (statistics.median(seconds) for seconds in times)
    return record(name, a, b, other_is, "CPU s")


def record(name: str, ours: float, other: float, other_is: str, unit: str) -> Record:
    """Return a Record with the ratio and this machine's name filled in."""
    return Record(name, round(ours, 4), round(other, 4), other_is, round(other / ours, 3), unit, machine())


def machine() -> str:
    """Name the processor, its thread count as torch uses it, and the torch version."""
    import torch

    names = {line.split(":")[1].strip() for line in _cpuinfo() if line.startswith("model name")}
    cpu = names.pop() if names else platform.processor() or platform.machine()
    return f"{cpu}, {torch.get_num_threads()} thread(s), torch {torch.__version__}"


def _cpuinfo() -> list[str]:
    path = Path("/proc/cpuinfo")
    return path.read_text().splitlines() if path.exists() else []


def store(system: str, records: list[Record]) -> None:
    """Write ``benchmarks/results/<system>.json`` and print the same as a table."""
    RESULTS.mkdir(exist_ok=True)
    text = json.dumps([asdict(entry) for entry in records], indent=1)
    (RESULTS / f"{system}.json").write_text(text + "\n")
    for entry in records:
        print(
            f"{system:16} {entry.name:28} ours {entry.ours:9.4f}  {entry.other_is} {entry.other:9.4f}"
            f"  {entry.unit}  ratio {entry.ratio:.3f}"
        )
