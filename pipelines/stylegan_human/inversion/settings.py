"""Settings of inversion. No torch here.

The defaults are the released run_pti's, but for what its authors or users found wrong; ``published`` gives
those back. run_pti stops tuning at an LPIPS of 0.04 or after 350 steps, which users found too early for
faces and prints: lower the one and raise the other.
"""

import math
from dataclasses import dataclass
from typing import Literal

from ...common.errors import FiguraInputError


@dataclass(frozen=True)
class ProjectSettings:
    """How a latent is searched."""

    space: Literal["w", "w+"] = "w"
    """w: one row for all layers, stays among people; w+: a row for each layer, closer to the picture."""
    steps: int = 450
    """Steps of the search."""
    learning_rate: float = 0.01
    """Highest rate; it rises during the first 5 % of the steps and falls during the last 25 %."""
    seed: int = 0
    """Drives the noise that is added to the latent at first."""
    jitter: float = 0.05
    """Noise added to w at the start, in standard deviations of w; none after three quarters."""
    samples: int = 600
    """People drawn to know the average w, where the search starts, and its spread."""
    free_noise: bool = False
    """Also search the generator's noise maps, and drop what was found, as the released script does. Off: the
    picture is searched with the noise it will be drawn with.
    """
    noise_weight: float = 1e5
    """How strongly free noise maps are kept noise: their correlation with themselves shifted."""
    squash: bool = False
    """Compare at 256x256 whatever the picture's shape, as the released script does."""

    @classmethod
    def published(cls, **changes) -> "ProjectSettings":
        """The released script's settings."""
        return cls(**{"free_noise": True, "squash": True, **changes})

    def check(self) -> "ProjectSettings":
        """Return these settings, or raise FiguraInputError."""
        if self.space not in ("w", "w+"):
            raise FiguraInputError("mode", repr(self.space), "w or w+")
        whole("projection steps", self.steps, 1)
        whole("samples", self.samples, 2)
        number("projection learning rate", self.learning_rate, 1e-8, 10)
        number("jitter", self.jitter, 0, 100)
        number("noise weight", self.noise_weight, 0, 1e12)
        whole("seed", self.seed, 0, 2**64 - 1)
        return self


@dataclass(frozen=True)
class LocalitySettings:
    """How much the generator must go on drawing other people as before (section 3.3 of the paper)."""

    pixel_weight: float = 0.1
    """Of the mean squared difference between the old and the new picture of a person near by."""
    perceptual_weight: float = 0.1
    """Of their perceptual distance."""
    distance: float = 30
    """How far from the pivot, in the norm of all rows of w together, those people are."""
    samples: int = 1
    """People per step."""


@dataclass(frozen=True)
class TuneSettings:
    """How the generator is tuned to a picture."""

    steps: int = 350
    """At most as many steps."""
    learning_rate: float = 5e-4
    """Adam's, for all weights of the synthesis network."""
    pixel_weight: float = 1
    """Of the mean squared difference."""
    perceptual_weight: float = 1
    """Of the perceptual distance."""
    threshold: float | None = 0.04
    """Stop once the perceptual distance is no larger; None: never. 0.04 of LPIPS is the released value."""
    locality: LocalitySettings | None = None
    """Keep other people as they were; None: leave them free, as released."""
    seed: int = 0
    """Drives which people ``locality`` looks at."""

    def check(self) -> "TuneSettings":
        """Return these settings, or raise FiguraInputError."""
        whole("tuning steps", self.steps, 1)
        number("tuning learning rate", self.learning_rate, 1e-10, 10)
        number("pixel weight", self.pixel_weight, 0, 1e6)
        number("perceptual weight", self.perceptual_weight, 0, 1e6)
        number("threshold", self.threshold or 0.0, 0, 1e6)
        if self.pixel_weight == 0 and self.perceptual_weight == 0:
            raise FiguraInputError("pixel and perceptual weight", "0 and 0", "at least one above 0")
        if self.locality is not None:
            number("locality's pixel weight", self.locality.pixel_weight, 0, 1e6)
            number("locality's perceptual weight", self.locality.perceptual_weight, 0, 1e6)
            number("locality's distance", self.locality.distance, 1e-6, 1e6)
            whole("locality's samples", self.locality.samples, 1, 64)
        whole("seed", self.seed, 0, 2**64 - 1)
        return self


def whole(what: str, value: int, smallest: int, largest: int = 1_000_000) -> None:
    """Raise FiguraInputError unless ``value`` is a whole number in that range."""
    if isinstance(value, bool) or not isinstance(value, int) or not smallest <= value <= largest:
        raise FiguraInputError(what, repr(value), f"a whole number from {smallest} to {largest}")


def number(what: str, value: float, smallest: float, largest: float) -> None:
    """Raise FiguraInputError unless ``value`` is a number in that range."""
    if not isinstance(value, (int, float)) or not math.isfinite(value) or not smallest <= value <= largest:
        raise FiguraInputError(what, repr(value), f"a number from {smallest:g} to {largest:g}")
