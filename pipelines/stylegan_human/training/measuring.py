"""What happens at every snapshot: the average is kept as a file, and measured where there is a ruler."""

from collections.abc import Callable
from pathlib import Path

from ..loading import save_generator
from ..networks.generator import Generator
from .metric_names import is_distance

Ruler = Callable[[Generator], dict[str, float]]


class Measuring:
    """Keeps ``snapshots/network-<thousands of pictures>.safetensors`` in ``out``, and applies ``ruler``.

    The snapshot with the least first distance of the ruler is also kept as ``best.safetensors``.

    Attributes:
        best: (figure's name, its value, pictures seen) of that snapshot; part of the run's state.
    """

    def __init__(self, out: Path, writes: bool = True, ruler: Ruler | None = None) -> None:
        self.out, self.writes, self.ruler = out, writes, ruler
        self.best: tuple[str, float, int] | None = None

    def __call__(self, average: Generator, samples: int) -> dict[str, float]:
        """``samples``: pictures seen so far."""
        if self.writes:
            save_generator(self.out / "snapshots" / f"network-{samples / 1000:010.3f}.safetensors", average)
        if self.ruler is None:
            return {}
        figures = self.ruler(average)
        first = next(((name, value) for name, value in figures.items() if is_distance(name)), None)
        if first is not None and self._is_best(*first):
            self.best = *first, samples
            if self.writes:
                save_generator(self.out / "best.safetensors", average)
        return figures

    def _is_best(self, name: str, value: float) -> bool:
        """Whether it is less than the best so far; another figure than before begins anew."""
        return value < (self.best[1] if self.best is not None and self.best[0] == name else float("inf"))
