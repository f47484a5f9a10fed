"""How the reader is trained. No torch here."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ...common.errors import FiguraInputError
from ...common.training.configs import TrainerConfig

HELD_OUT_SEED = 990_001
"""World of the pictures that are never trained on."""


@dataclass(frozen=True)
class ReaderConfig:
    """Training of the networks that read mannequins."""

    trainer: TrainerConfig
    """The run (--trainer.out, --trainer.steps, --trainer.batch …)."""
    pictures: int = 9000
    """Figures drawn, a third each of standing, lively and fully dressed ones. They are kept in memory."""
    world_seed: int = 77
    """Number of the world that is trained on."""
    lr: float = 2e-3
    """Peak learning rate; warm-up over 50 updates, then a cosine to nothing."""
    average: float = 0.995
    """Decay of the averaged weights, which are the ones written."""
    only: Literal["both", "body", "attributes"] = "both"
    """Which network is trained: that of parts, joints and kinds, that of attributes and features, or both."""
    start: Path | None = None
    """A reader's file to begin from."""
    held_out: int = 240
    """Figures on which accuracy is measured."""

    def check(self) -> None:
        """Raise FiguraInputError for a number that cannot work."""
        if not 30 <= self.pictures <= 1_000_000 or not 3 <= self.held_out <= 100_000:
            came = f"{self.pictures} pictures, {self.held_out} held out"
            raise FiguraInputError("reader data", came, "30 or more pictures and 3 or more held out")
        if self.world_seed == HELD_OUT_SEED:
            raise FiguraInputError("world-seed", str(self.world_seed), "another number: this one is held out")
        if not 0 < self.lr < 1 or not 0 <= self.average < 1:
            raise FiguraInputError(
                "reader training", f"lr {self.lr}, average {self.average}", "both in 0 to 1"
            )
