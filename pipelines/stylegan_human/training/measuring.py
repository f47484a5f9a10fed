"""What happens at every snapshot: the average is kept as a file, and measured where there is a ruler."""

from collections.abc import Callable
from pathlib import Path

from ..generator import Generator
from ..loading import save_generator

Ruler = Callable[[Generator], dict[str, float]]


class Measuring:
    """Keeps ``snapshots/network-<thousands of pictures>.safetensors`` in ``out``, and applies ``ruler``."""

    def __init__(self, out: Path, writes: bool = True, ruler: Ruler | None = None) -> None:
        self.out, self.writes, self.ruler = out, writes, ruler

    def __call__(self, average: Generator, samples: int) -> dict[str, float]:
        """``samples``: pictures seen so far."""
        if self.writes:
            save_generator(self.out / "snapshots" / f"network-{samples / 1000:010.3f}.safetensors", average)
        return {} if self.ruler is None else self.ruler(average)
