"""What ``figura cosmicman generate`` is told, with the released scripts' flags and defaults."""

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Literal

from tyro.conf import arg

from ..common.diffusion_configs import DiffusionConfig
from ..common.errors import FiguraInputError

SDXL_UNET, SDXL_BASE = "cosmicman/CosmicMan-SDXL", "stabilityai/stable-diffusion-xl-base-1.0"
SD_UNET, SD_BASE = "cosmicman/CosmicMan-SD", "stable-diffusion-v1-5/stable-diffusion-v1-5"
SDXL_REFINER = "stabilityai/stable-diffusion-xl-refiner-1.0"


@dataclass(frozen=True)
class GenerateConfig:
    """Pictures from prompts. What is left out takes the released script's default for the variant."""

    prompts: list[str] = field(default_factory=list)
    """One or more prompts; a dense description of the person works best."""
    variant: Literal["sdxl", "sd"] = "sdxl"
    """CosmicMan-SDXL, or CosmicMan-SD on Stable Diffusion 1.5."""
    unet_path: str = ""
    """CosmicMan's UNet: its folder, its .safetensors file, or an id in Hugging Face's local cache."""
    base_path: Annotated[str, arg(aliases=("--model-path",))] = ""
    """The base with text encoders and VAE: a checkpoint file, a diffusers folder, or an id in the cache."""
    use_refiner: bool = False
    """Run a second pass over the latents, 15 steps at strength 0.3 and guidance 5. SDXL only."""
    refiner_path: str = SDXL_REFINER
    """The model of the second pass; "base" takes the base's own UNet, which the authors found as good."""
    steps: int = 50
    """Denoising steps of the first pass."""
    H: int = 0
    """Height in pixels, a multiple of 8. 1024 for sdxl, 768 for sd."""
    W: int = 0
    """Width in pixels, a multiple of 8. 1024 for sdxl, 768 for sd."""
    scale: float = 7.5
    """Guidance."""
    sampler: str = ""
    """ddim, pndm, lms, euler, euler_a or dpm. euler_a for sdxl, ddim for sd."""
    seed: int = 17
    """Picture i of the run is made from seed + i alone, and its file keeps that number."""
    images: int = 1
    """Pictures per prompt."""
    n_prompt: str = ""
    """Negative prompt."""
    a_prompt: str = ""
    """Added to every prompt, after a comma."""
    released_commas: bool = False
    """Append ", " even where --a-prompt is empty, as the released script does."""
    outdir: Path | None = None
    """Folder for the pictures: test_results for sdxl, tmp/test for sd."""
    device: str = "auto"
    """auto, cpu, cuda, cuda:1, mps …"""
    dtype: Literal["auto", "fp32", "fp16", "bf16"] = "auto"
    """Of UNet and text encoders; fp16 on a GPU, fp32 on the CPU. The VAE is always fp32."""


def with_defaults(config: GenerateConfig) -> GenerateConfig:
    """Fill what was left out with the released defaults of the variant."""
    sdxl = config.variant == "sdxl"
    return replace(
        config,
        unet_path=config.unet_path or (SDXL_UNET if sdxl else SD_UNET),
        base_path=config.base_path or (SDXL_BASE if sdxl else SD_BASE),
        H=config.H or (1024 if sdxl else 768),
        W=config.W or (1024 if sdxl else 768),
        sampler=config.sampler or ("euler_a" if sdxl else "ddim"),
        outdir=config.outdir or Path("test_results" if sdxl else "tmp/test"),
    )


@dataclass(frozen=True)
class HolaConfig:
    """CosmicMan's loss on the attention of body groups."""

    weight: float = 1.0
    """Beside the noise loss's 1; 0 turns it off."""
    stride: int = 16
    """Pixels per query position of the layers used: 16 is half the latents' grid, 8 (tiny models) all of
    it."""
    whole_figure: bool = True
    """Whether the texts of the whole person (shot, subject, body shape) take part, as released. Their mask
    covers every part's pixels, where their many words outweigh the part's own."""
    form: Literal["code", "paper"] = "code"
    """Mean over all columns as the released code, or over groups as the paper writes it."""


@dataclass(frozen=True)
class TrainConfig(DiffusionConfig):
    """Fine-tuning on dense captions: the noise loss and HOLA. Defaults are the released script's."""

    size: tuple[int, int] = (1024, 1024)
    """Height and width of the pictures, multiples of the VAE's factor and of the UNet's."""
    lr: float = 1e-5
    """Highest learning rate."""
    schedule: Literal["cosine", "constant"] = "constant"
    """How the learning rate goes on after the warm-up."""
    warmup: int = 0
    """Updates until the highest learning rate."""
    ema: float = 0.9999
    """Averaging of the weights over updates; the averaged ones are written."""
    cache_latents: bool = False
    """Encode all pictures once, before training; off encodes them in each update."""
    drop_per: Literal["sample", "batch"] = "batch"
    """Whether captions are dropped one by one, or all of a batch together."""
    noise_offset: float = 0.05
    """Extra noise that is the same over a channel."""
    guidance: float = 7.5
    """Guidance of the pictures shown and measured."""
    preview_steps: int = 30
    """Their denoising steps."""
    hola: HolaConfig = field(default_factory=HolaConfig)
    """The loss on attention."""

    def check(self) -> None:
        """Raise FiguraInputError for what cannot work."""
        super().check()
        if not self.hola.weight >= 0:
            raise FiguraInputError("hola.weight", str(self.hola.weight), "0 or more")
        if self.hola.stride < 1:
            raise FiguraInputError("hola.stride", str(self.hola.stride), "1 or more")


Variant = Literal["without", "released", "parts"]


@dataclass(frozen=True)
class StudyConfig:
    """Does HOLA bind words to garments? The same runs with and without it, from each base, with each seed."""

    train: TrainConfig
    """What all runs share; base path, seed and the loss's variant are put in by the study. Its trainer.out
    holds the runs; the same command again goes on where it was cut off."""
    bases: list[Path] = field(default_factory=list)
    """Bases to start from: one that does not bind yet, and one that does."""
    seeds: tuple[int, ...] = (0, 1, 2)
    """Of data order and noise."""
    variants: tuple[Variant, ...] = ("without", "released", "parts")
    """Weight 0; the loss as released; the loss without the whole figure's texts."""
    ceiling: Path | None = None
    """What figura base measure --out wrote of the bases' autoencoder; the scores' ceiling is read from it."""
    results: Path = Path("docs/results")
    """Where the table is written,"""
    name: str = "hola"
    """and under which name: NAME.json and NAME.md."""

    def check(self) -> None:
        """Raise FiguraInputError for what cannot work."""
        self.train.check()
        if not self.bases or not self.seeds or not self.variants:
            raise FiguraInputError("study", "no base, no seed or no variant", "one or more of each")
        if len({path.name for path in self.bases}) < len(self.bases):
            raise FiguraInputError("bases", "two folders of one name", "folders that are named differently")
        if not self.train.hola.weight > 0 or not self.train.score or not self.train.trainer.measure_every:
            raise FiguraInputError(
                "study", "no weight, no reader or no rhythm of measuring",
                "--train.hola.weight above 0, --train.score and --train.trainer.measure-every",
            )  # fmt: skip
