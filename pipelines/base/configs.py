"""What the trainers of the bases are told. No torch here."""

from dataclasses import dataclass, field
from math import inf
from pathlib import Path
from typing import Annotated, Literal

from tyro.conf import arg

from ..common.diffusion_configs import DiffusionConfig, require_data
from ..common.errors import FiguraInputError
from ..common.training.configs import TrainerConfig

LARGEST = 16384  # pixels a side of an enlarged picture


@dataclass(frozen=True)
class VaeConfig:
    """An autoencoder of Stable Diffusion's kind, trained from nothing on pictures of people."""

    trainer: TrainerConfig
    data: list[Path] = field(default_factory=list)
    """Folders in CosmicMan's format (figura mannequin write --format cosmicman), of which pictures and part
    maps are read; or .mannequin.stream:people,count=12000,seed=7 for mannequins drawn in memory."""
    size: tuple[int, int] = (128, 64)
    """Height and width of the pictures, multiples of 8."""
    widths: tuple[int, ...] = (64, 64, 64, 64)
    """Channels per level, multiples of 32; four levels make latents of an eighth of the size. With 32 at full
    size each group norm there has one channel, which loses the tint of plain surfaces."""
    layers: int = 1
    """Residual blocks per level of the encoder; the decoder has one more."""
    lr: float = 1e-3
    """Highest learning rate; rises over the warm-up, then falls along a cosine."""
    warmup: int = 50
    """Updates until the highest learning rate."""
    kl: float = 1e-4
    """Weight of the Kullback-Leibler term (mean over latent values)."""
    figure: float = 3.0
    """Weight of people's pixels; background has 1."""
    small: float = 0.05
    """Parts that cover less than this share of the picture weigh more (square root, at most three times)."""
    edges: float = 1.0
    """Weight of the differences of neighbouring pixels; makes edges sharp."""
    ema: float = 0.998
    """Averaging of the weights over updates."""
    skeletons: float = 0.08
    """Share of skeleton pictures in the mix, so that HumanSD can encode them."""
    held_out: int = 256
    """Last pictures of each folder, kept for measuring."""
    score: str = ""
    """module:function that reads pictures, called as function(pictures, records); see scoring.py."""
    bad_limit: float = 0.01
    """Share of samples that may be unusable."""

    def check(self) -> None:
        """Raise FiguraInputError for what cannot work."""
        self.trainer.check()
        require_data(self.data)
        if any(side < 16 or side % 8 for side in self.size):
            raise FiguraInputError("size", f"{self.size}", "height and width in multiples of 8, 16 or more")
        if not self.widths or any(w < 32 or w % 32 or w % self.widths[0] for w in self.widths):
            raise FiguraInputError(
                "widths", f"{self.widths}", "multiples of 32 that are multiples of the first",
                "ComfyUI's group norms have 32 groups.",
            )  # fmt: skip
        check_numbers(self, positive=("lr", "layers", "figure", "held_out"), shares=("skeletons", "ema"))


@dataclass(frozen=True)
class NewConfig:
    """An untrained base around a trained autoencoder."""

    out: Path
    """The folder to write, in diffusers' layout."""
    vae: Path
    """The autoencoder's folder (figura base vae writes RUN/vae)."""
    data: list[Path]
    """Folders in CosmicMan's format, or .mannequin.stream:people; their captions say which words get an
    embedding."""
    family: Literal["sd15", "sd21"] = "sd15"
    """SD1.5: eight heads, convolutions around attention. SD2.1: heads 64 wide, linears, OpenCLIP's text."""
    widths: tuple[int, ...] = (64, 128)
    """The UNet's channels per level, multiples of 64."""
    layers: int = 1
    """Residual blocks per level."""
    text_width: int = 64
    """The text encoder's channels, a multiple of 64."""
    text_layers: int = 2
    """Its layers, of which all are used."""
    seed: int = 0
    """Of the weights."""

    def check(self) -> None:
        """Raise FiguraInputError for what cannot work."""
        require_data(self.data)
        if not self.widths or any(w < 64 or w % 64 or w % self.widths[0] for w in self.widths):
            raise FiguraInputError("widths", f"{self.widths}", "multiples of 64, and of the first")
        if self.text_width < 64 or self.text_width % 64:
            raise FiguraInputError("text-width", str(self.text_width), "a multiple of 64")
        check_numbers(self, positive=("layers", "text_layers"))


@dataclass(frozen=True)
class TextConfig(DiffusionConfig):
    """The UNet and the text encoder of a tiny base, trained from nothing."""

    train_text: bool = True
    """Also train the text encoder."""


@dataclass(frozen=True)
class GenerateConfig:
    """Pictures from prompts by a base; the defaults suit the tiny ones."""

    prompts: list[str]
    """One or more prompts."""
    base_path: Annotated[Path, arg(aliases=("--base",))]
    """A diffusers folder or a single-file checkpoint."""
    outdir: Path
    """Folder for the pictures."""
    size: tuple[int, int] = (128, 64)
    """Height and width in pixels, multiples of 8."""
    scale: float = 3.0
    """Guidance."""
    steps: int = 15
    """Denoising steps."""
    sampler: str = "dpm"
    """ddim, pndm, lms, euler, euler_a or dpm."""
    negative: str = ""
    """Negative prompt."""
    seed: int = 0
    """Picture i of the run is made from seed + i alone."""
    images: int = 1
    """Pictures per prompt."""
    enlarge: int = 1
    """Draw each pixel as a square of this many, to see tiny pictures."""
    device: str = "auto"
    """auto, cpu, cuda, cuda:1, mps …"""

    def check(self) -> None:
        """Raise FiguraInputError for what cannot work."""
        if not self.prompts:
            raise FiguraInputError("prompts", "none", "one or more")
        check_size(self.size)
        check_numbers(self, positive=("steps", "images", "scale", "enlarge"))
        if max(self.size) * self.enlarge > LARGEST:
            raise FiguraInputError(
                "enlarge", str(self.enlarge), f"pictures of at most {LARGEST} pixels a side"
            )


@dataclass(frozen=True)
class MeasureConfig:
    """Figures of a trained autoencoder, and the gate that a base's must pass."""

    vae: Path
    """Its folder (RUN/vae)."""
    data: list[Path]
    """Folders in CosmicMan's format, or .mannequin.stream:people."""
    score: str = ".demo.scores:captions"
    """module:function that reads pictures; a leading dot means this package."""
    count: int = 512
    """Last pictures of each folder to send through it."""
    size: tuple[int, int] = (128, 64)
    """Height and width of the pictures."""
    gate: float = 0.95
    """Least share of each colour of top, bottom and shoes that must be read right behind it."""
    out: Path | None = None
    """Write the figures there as JSON too."""

    def check(self) -> None:
        """Raise FiguraInputError for what cannot work."""
        check_size(self.size)
        check_numbers(self, positive=("count",), shares=("gate",))


@dataclass(frozen=True)
class ScoreConfig:
    """How well a base's pictures show what captions ask for."""

    base_path: Annotated[Path, arg(aliases=("--base",))]
    """A diffusers folder or a single-file checkpoint."""
    data: list[Path]
    """Folders in CosmicMan's format, or .mannequin.stream:people; training must have kept their last pictures
    out."""
    score: str = ".demo.scores:captions"
    """module:function that reads pictures; a leading dot means this package."""
    count: int = 256
    """Last captions of each folder to draw."""
    size: tuple[int, int] = (128, 64)
    """Height and width of the pictures."""
    scale: float = 3.0
    """Guidance."""
    steps: int = 15
    """Denoising steps."""
    seed: int = 0
    """Caption i is drawn with seed + i."""
    device: str = "auto"
    """auto, cpu, cuda, cuda:1, mps …"""
    out: Path | None = None
    """Write the figures there as JSON too."""

    def check(self) -> None:
        """Raise FiguraInputError for what cannot work."""
        require_data(self.data)
        check_size(self.size)
        check_numbers(self, positive=("count", "steps", "scale"))


@dataclass(frozen=True)
class PackConfig:
    """One small file of a trained base."""

    model: Path
    """A diffusers folder (RUN/model)."""
    out: Path
    """The .safetensors file to write, with SD's single-file names; with --few-words also a folder, which
    leaves out the autoencoder: several bases share the one in vae/ beside them."""
    half: bool = True
    """Write fp16."""
    few_words: bool = False
    """Leave out words without an embedding; only this pack's loaders open such a file."""


def check_size(size: tuple[int, int]) -> None:
    """Refuse a height and width that Stable Diffusion's autoencoder cannot take."""
    if any(not 8 <= side <= 4096 or side % 8 for side in size):
        raise FiguraInputError("size", f"{size}", "height and width in multiples of 8, up to 4096")


def check_numbers(config: object, positive: tuple[str, ...] = (), shares: tuple[str, ...] = ()) -> None:
    """Refuse settings outside their range; NaN is outside of any."""
    for name in positive:
        if not 0 < getattr(config, name) < inf:
            raise FiguraInputError(name, str(getattr(config, name)), "a number above 0")
    for name in shares:
        if not 0 <= getattr(config, name) < 1:
            raise FiguraInputError(name, str(getattr(config, name)), "a share from 0 to below 1")
