"""The settings of a training run as flags, under the published scripts' names. No torch here."""

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Literal

from tyro.conf import arg

from ...common.errors import FiguraInputError
from ...common.training.configs import TrainerConfig
from .flag_words import MetricNames, StartingNetwork, Switch, check_starting_network
from .metric_names import check_samples

PRESETS = (
    "auto", "shhq", "stylegan2", "paper256", "paper512", "paper1024", "cifar", "stylegan3-t", "stylegan3-r",
    "tiny",
)  # fmt: skip
AUGMENTATIONS = (
    "blit", "geom", "color", "filter", "noise", "cutout", "bg", "bgc", "bgcf", "bgcfn", "bgcfnc", "body",
)  # fmt: skip
Preset = Literal[
    "auto", "shhq", "stylegan2", "paper256", "paper512", "paper1024", "cifar", "stylegan3-t", "stylegan3-r",
    "tiny",
]  # fmt: skip
Pipe = Literal[
    "blit", "geom", "color", "filter", "noise", "cutout", "bg", "bgc", "bgcf", "bgcfn", "bgcfnc", "body",
]  # fmt: skip


@dataclass(frozen=True)
class TrainConfig:
    """A StyleGAN2 or StyleGAN3 from a folder of aligned pictures. What is left out comes from the preset."""

    data: Path
    """Folder or .zip of pictures of one size, twice as high as wide, the height a power of two; with labels
    in dataset.json if there are any. Or .mannequin.stream:portraits,count=20000,height=64 for mannequins
    drawn in memory."""
    outdir: Path = Path("runs/stylegan")
    """The run's folder. The same command again resumes the run in it."""
    cfg: Preset = "shhq"
    """Preset: shhq and auto suit themselves to resolution and number of GPUs; tiny trains on a CPU."""
    trainer: TrainerConfig = field(default_factory=lambda: TrainerConfig(Path("runs/stylegan")))
    """What all training has in common. Its out, steps, batch, accumulate and seed, and its rhythm, follow
    from the flags of the published scripts above and below."""

    kimg: float | None = None
    """Length of the run in thousands of pictures."""
    batch: int | None = None
    """Pictures per update, over all processes."""
    batch_gpu: int | None = None
    """Pictures at once in one process; the rest of a batch follows in further rounds."""
    gpus: int | None = None
    """Settle all numbers as for so many GPUs, whatever the number of processes is: fewer processes take
    more rounds. Without it as for the processes there are (start several with accelerate launch)."""
    seed: int = 0
    """Of weights, order and noise."""
    snap: int = 50
    """Ticks between snapshots (network, sample grid, metrics)."""
    tick: float = 4
    """Thousands of pictures in a tick."""

    square: Switch = False
    """Pictures as high as wide instead of twice as high."""
    cond: Switch = False
    """Train on the labels in dataset.json."""
    subset: int | None = None
    """Use so many pictures, chosen by the seed, instead of all."""
    mirror: Switch = False
    """Show every picture mirrored too."""
    max_bad: float = 0.01
    """Share of unusable pictures that may be skipped."""

    gamma: float | None = None
    """Weight of R1."""
    pl_weight: float | None = None
    """Weight of path length regularisation."""
    style_mixing: float | None = None
    """Share of updates with style mixing."""
    glr: float | None = None
    """Generator's learning rate."""
    dlr: float | None = None
    """Discriminator's learning rate."""
    ema_kimg: float | None = None
    """Half-life of the generator's moving average."""
    cbase: int | None = None
    """Feature maps at height h: cbase / h …"""
    cmax: int | None = None
    """… and no more than this."""
    map_depth: int | None = None
    """Layers of the mapping network."""
    zdim: int | None = None
    """Numbers in z and in w."""
    mbstd_group: int | None = None
    """Pictures in a group of the discriminator's minibatch deviation."""

    aug: Literal["ada", "noaug", "fixed"] = "ada"
    """Augmentation in front of the discriminator: as strong as overfitting asks for, none, or of fixed
    strength."""
    p: float | None = None
    """Its strength for --aug fixed (0.2 when left out)."""
    target: float | None = None
    """Mean sign of the discriminator's verdict on real pictures that --aug ada holds (0.6)."""
    augpipe: Pipe | None = None
    """Which augmentations: bgc is geometry and colour; body is bgc without turning people (bgc)."""

    resume: StartingNetwork = None
    """Start from this network: a .pkl of the published code (G, D and G_ema), a snapshot or the training file
    of an earlier run; noresume is what leaving it out means."""
    freezed: int = 0
    """Leave this many of the discriminator's first layers as --resume has them."""

    fp32: Switch = False
    """Full precision everywhere, and no clamping of feature maps."""
    nhwc: Switch = False
    """Feature maps channels last in memory wherever torch can; the same results up to rounding. StyleGAN2's
    generator and the discriminator's weights lie so in any case."""
    allow_tf32: Switch = False
    """Let the GPU round the factors of matrix products to 10 bits."""
    nobench: Switch = False
    """Do not let cuDNN try several algorithms first."""

    metrics: MetricNames = ("fid",)
    """Measured before the first update and at every snapshot, if --detector says with what features: fid,
    kid, pr (precision and recall), or the published names fid50k_full, kid50k_full, pr50k3_full, fid50k,
    kid50k, pr50k3; or none. The snapshot with the least first distance is kept as best.safetensors."""
    detector: str | None = None
    """Feature network for the metrics, as module:function: your own code, called without arguments, whose
    result has features(pixels [B, 3, H, W] in [-1, 1]) -> [B, D]. For mannequins:
    .mannequin.reader.reading:load_reader"""
    metric_data: Path | None = None
    """Pictures to compare with; without it the training set."""
    metric_samples: int = 50000
    """Pictures generated for fid, kid and pr; the published names generate 50000."""
    workers: int = 1
    """Threads that read pictures ahead."""
    desc: str | None = None
    """A note of your own about the run, kept in run.json."""
    dry_run: Annotated[bool, arg(aliases=["-n"])] = False
    """Print the settings and stop."""

    def check(self) -> None:
        """Raise FiguraInputError for settings that contradict each other or cannot work."""
        _at_least("--gamma", self.gamma, 0)
        for name in ("kimg", "tick"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise FiguraInputError(f"--{name}", str(value), "more than 0")
        for name in (
            "batch",
            "batch_gpu",
            "gpus",
            "snap",
            "subset",
            "cbase",
            "cmax",
            "map_depth",
            "zdim",
            "mbstd_group",
        ):
            _at_least("--" + name.replace("_", "-"), getattr(self, name), 1)
        for name in ("glr", "dlr", "ema_kimg", "pl_weight", "freezed", "seed"):
            _at_least("--" + name.replace("_", "-"), getattr(self, name), 0)
        for name in ("p", "target", "style_mixing"):
            value = getattr(self, name)
            if value is not None and not 0 <= value <= 1:
                raise FiguraInputError("--" + name.replace("_", "-"), str(value), "from 0 to 1")
        self._check_augmentation()
        check_starting_network(self.resume)
        check_samples(self.metrics, self.metric_samples, "--metric-samples")
        if self.metric_data is not None and self.detector is None:
            raise FiguraInputError(
                "--metric-data", "without --detector", "--metric-data with --detector only"
            )
        if self.freezed and self.resume is None:
            raise FiguraInputError(
                "--freezed", f"{self.freezed} without --resume", "layers that have learned something"
            )

    def _check_augmentation(self) -> None:
        if self.p is not None and self.aug != "fixed":
            raise FiguraInputError("--p", f"{self.p} with --aug {self.aug}", "--p with --aug fixed only")
        if self.target is not None and self.aug != "ada":
            raise FiguraInputError(
                "--target", f"{self.target} with --aug {self.aug}", "--target with --aug ada only"
            )
        if self.augpipe is not None and self.aug == "noaug":
            raise FiguraInputError(
                "--augpipe", f"{self.augpipe} with --aug noaug", "--augpipe with augmentation only"
            )


def _at_least(flag: str, value: float | None, least: float) -> None:
    if value is not None and not value >= least:
        raise FiguraInputError(flag, str(value), f"{least} or more")


def trainer_config(config: TrainConfig, batch: int, kimg: float, processes: int) -> TrainerConfig:
    """The shared trainer's settings that the published flags ask for."""
    if config.trainer.mixed_precision != "no" or config.trainer.gradient_checkpointing:
        raise FiguraInputError(
            "--trainer", "mixed precision or gradient checkpointing", "neither",
            "On a GPU the networks run their finest layers in half precision by themselves; see --fp32.",
        )  # fmt: skip
    at_once = config.batch_gpu or max(batch // (config.gpus or processes), 1)
    share = processes * at_once
    if batch % share:
        raise FiguraInputError(
            "--batch",
            str(batch),
            f"a multiple of {share}",
            f"{processes} processes take {at_once} at once each.",
        )
    every = max(round(config.snap * config.tick * 1000 / batch), 1)
    return replace(
        config.trainer, out=config.outdir, steps=max(round(kimg * 1000 / batch), 1), batch=batch,
        accumulate=batch // share, seed=config.seed, workers=config.workers, checkpoint_every=every,
        sample_every=every, measure_every=every,
    )  # fmt: skip
