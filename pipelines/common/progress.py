"""How long work reports on itself and is stopped, without knowing who listens.

A long function takes ``progress: Progress = silent`` and calls it after each step. Whoever listens may raise
to stop the work (ComfyUI's interrupt does); the function must leave nothing half done when that happens.
"""

from typing import Any, Protocol
from weakref import WeakSet

from torch import Tensor


class Progress(Protocol):
    """Called as ``progress(done, total, preview)`` after each step."""

    def __call__(self, done: int, total: int, preview: Tensor | None = None) -> None:
        """Args: done: steps finished, 1..total. preview: pixels [3, H, W] in [-1, 1], or None."""
        ...


def silent(done: int, total: int, preview: Tensor | None = None) -> None:
    """The listener that does nothing."""


def part(progress: Progress, index: int, parts: int) -> Progress:
    """Return the listener of part ``index`` of several equal parts of the work."""

    def report(done: int, total: int, preview: Tensor | None = None) -> None:
        progress(index * total + done, parts * total, preview)

    return report


_bars: WeakSet[Any] = WeakSet()


def clear_bars() -> None:
    """Take unfinished bars off the terminal, so that what is said next has a line to itself."""
    for bar in list(_bars):
        bar.leave = False
        bar.close()


def console(description: str, unit: str = "step") -> Progress:
    """Return a listener that draws a tqdm bar on the terminal; its speed is in ``unit``/s."""
    from tqdm import tqdm

    bar = tqdm(desc=description, unit=unit, unit_scale=unit != "step")
    _bars.add(bar)

    def update(done: int, total: int, preview: Tensor | None = None) -> None:
        bar.total = total
        bar.update(done - bar.n)
        if done >= total:
            bar.close()

    return update
