"""What HumanSD's training is told. The released run's values stand as defaults. No torch here."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import astuple, dataclass, field
from math import inf
from pathlib import Path
from typing import Annotated, Literal

from tyro.conf import arg

from ...common.errors import FiguraInputError
from ...common.training.configs import TrainerConfig
from ..defaults import GUIDANCE, MULTIPLE, SIZE


@dataclass(frozen=True)
class Chances:
    """How often each change of a picture is made, joints following."""

    mirror: float = 0.2
    """Left for right."""
    upside_down: float = 0.1
    """Top for bottom."""
    turn: float = 0.1
    """By up to 90 degrees."""
    colour: float = 0.4
    """Hue, saturation and value, or a tint."""
    light: float = 0.2
    """Contrast and brightness."""


NEVER = Chances(0, 0, 0, 0, 0)


@dataclass(frozen=True)
class TrainConfig:
    """Train on pictures, poses and prompts, from Stable Diffusion 2.1-base or from a HumanSD."""

    trainer: TrainerConfig
    base_path: Annotated[Path, arg(aliases=("--base",))]
    """v2-1_512-ema-pruned (its UNet is widened by four channels of zeros), a HumanSD checkpoint, or a
    diffusers folder of either."""
    data: list[Path] = field(default_factory=list)
    """Folders that hold HumanArt and Laion (figura mannequin write --format humansd makes one); or
    .mannequin.stream:poses,count=12000,seed=7 for mannequins drawn in memory."""
    mapping: str = "mapping_train.json"
    """The mapping file in each of them."""
    size: tuple[int, int] = (SIZE, SIZE)
    """Height and width that pictures are cut to, multiples of 64; smaller models take smaller ones."""
    skeleton_scale: int = 1
    """Draw skeletons so many times larger and average them down: lines are 10 pixels wide, made for 512."""
    loss: Literal["original", "heatmap_released", "heatmap_paper"] = "original"
    """The noise loss; weighted by the error's heat maps as the released code does; or as we read the paper,
    with more weight where joints are seen."""
    heatmap_weight: float = 0.1
    """Of the added term."""
    heatmap_threshold: float = 0.05
    """A heat map above it sees a joint."""
    estimator: Path | None = None
    """HigherHRNet's .pth, for the heatmap losses; out of the base where that carries one."""
    lr: float = 5e-6
    """Learning rate; times the pictures of an update, see --no-scale-lr."""
    scale_lr: bool = True
    """Multiply lr by the pictures of an update (processes x batch x accumulation), as released."""
    schedule: Literal["cosine", "constant"] = "constant"
    """How the learning rate goes on after the warm-up."""
    warmup: int = 0
    """Updates until the highest learning rate."""
    weight_decay: float = 0.01
    """AdamW's."""
    ema: float = 0.0
    """Averaging of the weights over updates, at most; the averaged ones are written. 0 does not average."""
    drop_text: float = 0.0
    """How often the prompt is left empty. The released run never does."""
    chances: Chances = Chances()
    held_out: int = 64
    """Last pictures of each folder, kept for looking and measuring."""
    measured: int = 64
    """Pictures painted at a measurement."""
    guidance: float = GUIDANCE
    """Guidance of the pictures shown and measured."""
    preview_steps: int = 20
    """Their denoising steps."""
    score: str = ""
    """module:function that reads pictures, called as function(pictures, items); .demo.scores:poses reads
    mannequins."""
    bad_limit: float = 0.01
    """Share of samples that may be unusable."""

    @property
    def rate(self) -> float:
        """The learning rate of an update."""
        return self.lr * (self.trainer.batch if self.scale_lr else 1)

    def check(self) -> None:
        """Raise FiguraInputError for what cannot work."""
        self.trainer.check()
        if not self.data:
            raise FiguraInputError(
                "data", "no folder", "one or more folders with a mapping file",
                "figura mannequin write --format humansd makes one; .mannequin.stream:poses needs none.",
            )  # fmt: skip
        if any(side < MULTIPLE or side % MULTIPLE for side in self.size):
            raise FiguraInputError("size", f"{self.size}", f"height and width in multiples of {MULTIPLE}")
        for name in ("lr", "held_out", "measured", "preview_steps", "skeleton_scale"):
            if not 0 < getattr(self, name) < inf:
                raise FiguraInputError(name, str(getattr(self, name)), "a number above 0")
        for name in ("heatmap_weight", "heatmap_threshold", "warmup", "weight_decay", "guidance"):
            if not 0 <= getattr(self, name) < inf:
                raise FiguraInputError(name, str(getattr(self, name)), "a number from 0 up")
        if not 0 <= self.ema < 1:
            raise FiguraInputError("ema", str(self.ema), "a share from 0 to below 1")
        _check_shares("chances and drop-text", (*astuple(self.chances), self.drop_text))


def _check_shares(what: str, values: Iterable[float]) -> None:
    wrong = [value for value in values if not 0 <= value <= 1]
    if wrong:
        raise FiguraInputError(what, f"{wrong[0]}", "numbers from 0 to 1")
