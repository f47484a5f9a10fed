"""What every text-to-image training run is told, whatever loss it adds. No torch here."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import inf
from pathlib import Path
from typing import Annotated, Literal

from tyro.conf import arg

from .errors import FiguraInputError
from .training.configs import TrainerConfig


@dataclass(frozen=True)
class DiffusionConfig:
    """Denoising with captions: the base, the data, the optimiser."""

    trainer: TrainerConfig
    base_path: Annotated[Path, arg(aliases=("--base",))] = Path("base")
    """The model to start from: a diffusers folder or a single-file checkpoint (figura base new makes one)."""
    data: list[Path] = field(default_factory=list)
    """Folders in CosmicMan's format, or .mannequin.stream:people,count=12000,seed=7 for mannequins that are
    drawn in memory."""
    size: tuple[int, int] = (128, 64)
    """Height and width of the pictures, multiples of the VAE's factor and of the UNet's."""
    lr: float = 1e-3
    """Highest learning rate."""
    schedule: Literal["cosine", "constant"] = "cosine"
    """How the learning rate goes on after the warm-up."""
    warmup: int = 60
    """Updates until the highest learning rate."""
    weight_decay: float = 0.01
    """AdamW's."""
    ema: float = 0.998
    """Averaging of the weights over updates; the averaged ones are written."""
    train_text: bool = False
    """Also train the text encoder (only the words of the captions)."""
    cache_latents: bool = True
    """Encode all pictures once, before training; off encodes them in each update."""
    drop_text: float = 0.1
    """How often the caption is left empty, for guidance."""
    drop_per: Literal["sample", "batch"] = "sample"
    """Whether captions are dropped one by one, or all of a batch together."""
    drop_groups: float = 0.1
    """How often each group of a dense caption is left out."""
    sentences: float = 0.5
    """How often the plain caption is taken, where the label files have one; else the dense caption."""
    noise_offset: float = 0.0
    """Extra noise that is the same over a channel."""
    held_out: int = 256
    """Last pictures of each folder, kept for measuring."""
    measured: int = 64
    """Pictures generated at a measurement."""
    guidance: float = 3.0
    """Guidance of the pictures shown and measured."""
    preview_steps: int = 15
    """Their denoising steps."""
    score: str = ""
    """module:function that reads pictures, called as function(pictures, records)."""
    bad_limit: float = 0.01
    """Share of samples that may be unusable."""

    def check(self) -> None:
        """Raise FiguraInputError for what cannot work."""
        self.trainer.check()
        require_data(self.data)
        for name in ("lr", "held_out", "measured", "preview_steps"):
            if not 0 < getattr(self, name) < inf:
                raise FiguraInputError(name, str(getattr(self, name)), "a number above 0")
        for name in ("warmup", "weight_decay", "guidance"):
            if not 0 <= getattr(self, name) < inf:
                raise FiguraInputError(name, str(getattr(self, name)), "a number from 0 up")
        for name in ("drop_text", "drop_groups", "sentences", "noise_offset"):
            if not 0 <= getattr(self, name) <= 1:
                raise FiguraInputError(name, str(getattr(self, name)), "a number from 0 to 1")
        if not 0 <= self.ema < 1:
            raise FiguraInputError("ema", str(self.ema), "a share from 0 to below 1")
        if any(side < 16 or side % 8 for side in self.size):
            raise FiguraInputError("size", f"{self.size}", "height and width in multiples of 8, 16 or more")


def require_data(data: Sequence[Path]) -> None:
    """Refuse an empty list of data sets."""
    if not data:
        raise FiguraInputError(
            "data", "no folder", "one or more folders in CosmicMan's format",
            "figura mannequin write makes one; .mannequin.stream:people needs none.",
        )  # fmt: skip
