"""From a preset's name and the data's height to every number of a run.

Sources: StyleGAN2-ada's and StyleGAN3's published configurations, and StyleGAN-Human's ``shhq`` (the
automatic one with a mapping network of 8 layers).
"""

from dataclasses import dataclass, replace

from ...common.errors import FiguraInputError
from ..configs import V2Config, V3Config
from ..networks.discriminator import DiscriminatorConfig
from .adversary import LossSettings
from .configs import TrainConfig
from .phases import AdamSettings


@dataclass(frozen=True)
class AdaSettings:
    """How augmentation is applied: see ``augmentation/control.py``."""

    pipe: str = "bgc"
    p: float = 0.0
    target: float | None = None
    """None leaves p as it is."""
    kimg: float = 500.0
    interval: int = 4


@dataclass(frozen=True)
class Recipe:
    """All numbers of a run."""

    generator: V2Config | V3Config
    discriminator: DiscriminatorConfig
    losses: LossSettings
    g_adam: AdamSettings
    d_adam: AdamSettings
    batch: int
    kimg: float
    ema_kimg: float
    ema_rampup: float | None = 0.05
    g_interval: int | None = 4
    d_interval: int | None = 16
    ada: AdaSettings | None = None
    noise_mode: str = "random"


@dataclass(frozen=True)
class Numbers:
    """One line of the published tables. ``fmaps`` scales 32768, the base of the feature maps."""

    kimg: float
    batch: int
    mbstd: int
    fmaps: float
    lr: float
    gamma: float
    ema_kimg: float
    rampup: float | None
    map_depth: int


TABLE = {
    "stylegan2": Numbers(25000, 32, 4, 1, 0.002, 10, 10, None, 8),
    "paper256": Numbers(25000, 64, 8, 0.5, 0.0025, 1, 20, None, 8),
    "paper512": Numbers(25000, 64, 8, 1, 0.0025, 0.5, 20, None, 8),
    "paper1024": Numbers(25000, 32, 4, 1, 0.002, 2, 10, None, 8),
    "cifar": Numbers(100000, 64, 32, 1, 0.0025, 0.01, 500, 0.05, 2),
    "tiny": Numbers(120, 16, 4, 1 / 32, 0.003, 0.1, 5, 0.05, 4),
}


def automatic(resolution: int, processes: int, map_depth: int) -> Numbers:
    """StyleGAN2-ada's rule for any resolution (the height) and number of GPUs."""
    batch = max(min(processes * min(4096 // resolution, 32), 64), processes)
    return Numbers(
        kimg=25000, batch=batch, mbstd=min(batch // processes, 4), fmaps=1 if resolution >= 512 else 0.5,
        lr=0.002 if resolution >= 1024 else 0.0025, gamma=0.0002 * resolution**2 / batch,
        ema_kimg=batch * 10 / 32, rampup=0.05, map_depth=map_depth,
    )  # fmt: skip


def third_generation(config: TrainConfig, processes: int) -> Numbers:
    """StyleGAN3's rule: batch and R1's weight have no defaults there; 32 and the paper's 512 are taken."""
    batch = config.batch or 32
    mbstd = min(4, config.batch_gpu or max(batch // processes, 1))
    return Numbers(25000, batch, mbstd, 1, 0.0025, 12.4, batch * 10 / 32, 0.05, 2)


def numbers_of(config: TrainConfig, resolution: int, processes: int) -> Numbers:
    """The preset's line, changed as the flags say."""
    if config.cfg in ("auto", "shhq"):
        numbers = automatic(resolution, processes, 8 if config.cfg == "shhq" else 2)
    elif config.cfg in TABLE:
        numbers = TABLE[config.cfg]
    else:
        numbers = third_generation(config, processes)
    given = {
        "kimg": config.kimg, "batch": config.batch, "mbstd": config.mbstd_group, "gamma": config.gamma,
        "ema_kimg": config.ema_kimg, "map_depth": config.map_depth,
    }  # fmt: skip
    return replace(numbers, **{name: value for name, value in given.items() if value is not None})


def recipe(config: TrainConfig, resolution: int, labels: int, processes: int = 1) -> Recipe:
    """Settle everything for pictures of height ``resolution`` with ``labels`` classes (0: none)."""
    config.check()
    processes = config.gpus or processes
    numbers = numbers_of(config, resolution, processes)
    third, tiny = config.cfg.startswith("stylegan3"), config.cfg == "tiny"
    share = config.batch_gpu or max(numbers.batch // processes, 1)
    group = min(numbers.mbstd, share)
    if share % group:
        raise FiguraInputError(
            "--mbstd-group", f"{group} with {share} pictures at once", "a divisor of them",
            "Groups of the minibatch deviation must come out even.",
        )  # fmt: skip
    generator = _generator(config, numbers, resolution, labels)
    regular = not third and not tiny
    mixing = 0.0 if third or config.cfg == "cifar" else 0.5 if tiny else 0.9
    lr = numbers.lr
    losses = LossSettings(
        r1_gamma=numbers.gamma,
        pl_weight=_first(config.pl_weight, 2.0 if regular and config.cfg != "cifar" else 0.0),
        style_mixing_prob=_first(config.style_mixing, mixing),
        blur_init_sigma=10.0 if config.cfg == "stylegan3-r" and config.resume is None else 0.0,
        blur_fade_kimg=numbers.batch * 200 / 32 if config.cfg == "stylegan3-r" else 0.0,
        third=third,
    )
    return Recipe(
        generator=generator,
        discriminator=_discriminator(generator, numbers, group, config),
        losses=losses,
        g_adam=AdamSettings(_first(config.glr, lr)),
        d_adam=AdamSettings(_first(config.dlr, 0.002 if third else lr)),
        batch=numbers.batch,
        kimg=numbers.kimg,
        ema_kimg=numbers.ema_kimg,
        ema_rampup=None if config.resume else numbers.rampup,
        g_interval=4 if regular or losses.pl_weight else None,
        ada=_ada(config),
    )


def _generator(config: TrainConfig, numbers: Numbers, resolution: int, labels: int) -> V2Config | V3Config:
    radial = config.cfg == "stylegan3-r"
    width = _first(config.zdim, 64 if config.cfg == "tiny" else 512)
    scale = 2 if radial else 1
    values = {
        "resolution": resolution, "square": config.square, "z_dim": width, "w_dim": width, "c_dim": labels,
        "mapping_layers": numbers.map_depth,
        "channel_base": scale * _first(config.cbase, int(numbers.fmaps * 32768)),
        "channel_max": scale * _first(config.cmax, 64 if config.cfg == "tiny" else 512),
        "num_fp16_res": 0 if config.fp32 else 4,
        "conv_clamp": None if config.fp32 else 256,
    }  # fmt: skip
    if not config.cfg.startswith("stylegan3"):
        return V2Config(**values)
    beta = 0.5 ** (numbers.batch / 20000)
    return V3Config(
        **values, conv_kernel=1 if radial else 3, use_radial_filters=radial, magnitude_ema_beta=beta
    )


def _discriminator(
    generator: V2Config | V3Config, numbers: Numbers, group: int, config: TrainConfig
) -> DiscriminatorConfig:
    scale = 2 if config.cfg == "stylegan3-r" else 1  # only the generator is doubled
    return DiscriminatorConfig(
        generator.resolution, generator.square, generator.c_dim, generator.img_channels,
        generator.channel_base // scale, generator.channel_max // scale, generator.num_fp16_res,
        generator.conv_clamp, group,
        residual=config.cfg != "cifar",
    )  # fmt: skip


def _ada(config: TrainConfig) -> AdaSettings | None:
    pipe, kimg = config.augpipe or "bgc", 100.0 if config.resume else 500.0
    if config.aug == "fixed":
        return AdaSettings(pipe, _first(config.p, 0.2))
    if config.aug == "ada":
        return AdaSettings(pipe, 0.0, _first(config.target, 0.6), kimg)
    return None


def _first(given, otherwise):
    return otherwise if given is None else given
