"""What every training run has in common, as flags: ``--trainer.steps 1000 …``. No torch here."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ..errors import FiguraInputError
from ..files import check_folder

POSITIVE = ("steps", "batch", "accumulate", "checkpoint_every", "keep", "log_every")
NOT_NEGATIVE = ("seed", "sample_every", "measure_every", "max_bad_steps", "workers", "clip_norm")


@dataclass(frozen=True)
class TrainerConfig:
    """Length, rhythm and place of a run."""

    out: Path
    """The run's folder. The same command again resumes the run in it."""
    steps: int = 1000
    """Updates."""
    batch: int = 16
    """Samples per update, over all processes and all rounds of accumulation together."""
    accumulate: int = 1
    """Rounds into which each process splits its share of a batch, to save memory."""
    seed: int = 0
    """Of the sample order and of all noise."""
    mixed_precision: Literal["no", "bf16", "fp16"] = "no"
    """Precision of the forward pass; weights and optimiser stay float32."""
    gradient_checkpointing: bool = False
    """Recompute activations in the backward pass: less memory, about a third more time."""
    clip_norm: float = 0.0
    """Largest norm of an optimiser's gradients; 0 does not clip."""
    checkpoint_every: int = 500
    """Updates between checkpoints."""
    keep: int = 2
    """Checkpoints kept; older ones are removed."""
    sample_every: int = 500
    """Updates between grids of sample pictures; 0 for none."""
    measure_every: int = 0
    """Updates between measurements such as FID; 0 for none."""
    log_every: int = 10
    """Updates whose mean is one line of the log."""
    max_bad_steps: int = 20
    """Updates with a loss or gradient that is not finite, after which the run stops. Each of them is
    skipped."""
    workers: int = 1
    """Threads that fetch batches ahead; 0 fetches them in the loop."""
    resume: bool = True
    """Continue from the newest whole checkpoint in ``out``."""
    cpu: bool = False
    """Stay on the CPU even where there is a GPU."""

    def check(self, processes: int = 1) -> None:
        """Raise FiguraInputError for a number or a folder that cannot work."""
        check_folder(self.out, "trainer.out")
        for name in POSITIVE:
            if getattr(self, name) < 1:
                raise FiguraInputError(f"trainer.{name}", str(getattr(self, name)), "1 or more")
        for name in NOT_NEGATIVE:
            if not getattr(self, name) >= 0:  # also refuses NaN
                raise FiguraInputError(f"trainer.{name}", str(getattr(self, name)), "0 or more")
        shares = processes * self.accumulate
        if self.batch % shares:
            raise FiguraInputError(
                "trainer.batch", str(self.batch), f"a multiple of {shares}",
                f"{processes} processes share it, in {self.accumulate} rounds each.",
            )  # fmt: skip
