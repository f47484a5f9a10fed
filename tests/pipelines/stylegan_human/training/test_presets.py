"""Presets against the published tables, and settings that are refused."""

from dataclasses import replace
from pathlib import Path

import pytest
from comfyui_figura.pipelines.common.errors import FiguraInputError
from comfyui_figura.pipelines.stylegan_human.training.configs import PRESETS, TrainConfig, trainer_config
from comfyui_figura.pipelines.stylegan_human.training.phases import AdamSettings, plan_phases
from comfyui_figura.pipelines.stylegan_human.training.presets import recipe


def settled(resolution=1024, processes=8, **flags):
    return recipe(TrainConfig(Path("data"), **flags), resolution, 0, processes)


@pytest.mark.parametrize(
    ("resolution", "batch", "gamma", "lr", "ema", "base"),
    [
        (1024, 32, 6.5536, 0.002, 10, 32768),
        (512, 64, 0.8192, 0.0025, 20, 32768),
        (256, 64, 0.2048, 0.0025, 20, 16384),
    ],
)
def test_shhq_on_eight_gpus(resolution, batch, gamma, lr, ema, base):
    """StyleGAN-Human's own preset: numbers of its README."""
    numbers = settled(resolution, cfg="shhq")
    assert (numbers.batch, numbers.ema_kimg, numbers.ema_rampup, numbers.kimg) == (batch, ema, 0.05, 25000)
    assert numbers.losses.r1_gamma == pytest.approx(gamma)
    assert numbers.g_adam == numbers.d_adam == AdamSettings(lr)
    assert (numbers.generator.channel_base, numbers.generator.mapping_layers) == (base, 8)
    assert (numbers.losses.pl_weight, numbers.losses.style_mixing_prob) == (2, 0.9)
    assert (numbers.g_interval, numbers.d_interval) == (4, 16)
    assert numbers.discriminator.mbstd_group_size == 4


def test_auto_differs_from_shhq_in_the_mapping_alone():
    auto, shhq = settled(cfg="auto"), settled(cfg="shhq")
    assert (auto.generator.mapping_layers, shhq.generator.mapping_layers) == (2, 8)
    assert auto.losses == shhq.losses and auto.batch == shhq.batch


@pytest.mark.parametrize(
    ("cfg", "batch", "mbstd", "base", "lr", "gamma", "ema", "layers"),
    [
        ("stylegan2", 32, 4, 32768, 0.002, 10, 10, 8),
        ("paper256", 64, 8, 16384, 0.0025, 1, 20, 8),
        ("paper512", 64, 8, 32768, 0.0025, 0.5, 20, 8),
        ("paper1024", 32, 4, 32768, 0.002, 2, 10, 8),
        ("cifar", 64, 32, 32768, 0.0025, 0.01, 500, 2),
    ],
)
def test_fixed_presets(cfg, batch, mbstd, base, lr, gamma, ema, layers):
    numbers = settled(256, 2, cfg=cfg)
    assert (numbers.batch, numbers.discriminator.mbstd_group_size) == (batch, mbstd)
    assert (numbers.generator.channel_base, numbers.generator.mapping_layers) == (base, layers)
    assert (numbers.g_adam.lr, numbers.losses.r1_gamma, numbers.ema_kimg) == (lr, gamma, ema)
    assert numbers.ema_rampup == (0.05 if cfg == "cifar" else None)
    plain = cfg == "cifar"
    assert (numbers.losses.pl_weight == 0, numbers.losses.style_mixing_prob == 0) == (plain, plain)
    assert numbers.discriminator.residual != plain


def test_stylegan3_r():
    """The README's training line: batch 32, gamma 12.4."""
    numbers = settled(512, 8, cfg="stylegan3-r", batch=32, gamma=12.4)
    generator = numbers.generator
    assert (generator.channel_base, generator.channel_max, generator.conv_kernel) == (65536, 1024, 1)
    assert generator.use_radial_filters and generator.mapping_layers == 2
    assert generator.magnitude_ema_beta == pytest.approx(0.5 ** (32 / 20000))
    assert (numbers.discriminator.channel_base, numbers.discriminator.channel_max) == (32768, 512)
    assert (numbers.g_adam.lr, numbers.d_adam.lr, numbers.g_interval) == (0.0025, 0.002, None)
    assert (numbers.losses.blur_init_sigma, numbers.losses.blur_fade_kimg) == (10, 200)
    assert (numbers.losses.pl_weight, numbers.losses.style_mixing_prob, numbers.losses.third) == (0, 0, True)


def test_stylegan3_t_has_no_blur():
    numbers = settled(512, 8, cfg="stylegan3-t")
    assert numbers.losses.blur_init_sigma == numbers.losses.blur_fade_kimg == 0
    assert (numbers.generator.conv_kernel, numbers.generator.channel_max) == (3, 512)


def test_resuming_shortens_the_start():
    flags = dict(cfg="stylegan3-r", resume=Path("network.pkl"))
    numbers = settled(512, 8, **flags)
    assert numbers.ada is not None
    assert (numbers.ada.kimg, numbers.ema_rampup, numbers.losses.blur_init_sigma) == (100, None, 0)


def test_augmentation_flags():
    ada, fixed = settled().ada, settled(aug="fixed", p=0.3, augpipe="body").ada
    assert (ada.pipe, ada.p, ada.target, ada.kimg) == ("bgc", 0, 0.6, 500)
    assert (fixed.pipe, fixed.p, fixed.target) == ("body", 0.3, None)
    assert settled(aug="noaug").ada is None


def test_full_precision():
    numbers = settled(fp32=True)
    assert (numbers.generator.num_fp16_res, numbers.generator.conv_clamp) == (0, None)
    assert (numbers.discriminator.num_fp16_res, numbers.discriminator.conv_clamp) == (0, None)


def test_flags_reach_the_shared_trainer():
    config = TrainConfig(Path("data"), Path("run"), batch=32, batch_gpu=4, kimg=10, tick=2, snap=3, seed=5)
    trainer = trainer_config(config, 32, 10, processes=2)
    assert (trainer.out, trainer.steps, trainer.batch, trainer.accumulate, trainer.seed) == (
        Path("run"),
        312,
        32,
        4,
        5,
    )
    assert trainer.checkpoint_every == trainer.sample_every == trainer.measure_every == 188
    with pytest.raises(FiguraInputError, match="--batch"):
        trainer_config(config, 30, 10, processes=2)


@pytest.mark.parametrize("setting", [{"mixed_precision": "bf16"}, {"gradient_checkpointing": True}])
def test_settings_of_the_trainer_that_have_no_effect_here(setting):
    config = TrainConfig(Path("data"))
    config = replace(config, trainer=replace(config.trainer, **setting))
    with pytest.raises(FiguraInputError, match="--trainer"):
        trainer_config(config, 32, 10, processes=1)


def test_numbers_of_eight_gpus_on_one_process():
    """The same numbers, in eight rounds."""
    config = TrainConfig(Path("data"), cfg="shhq", gpus=8)
    numbers = recipe(config, 1024, 0, processes=1)
    assert numbers == recipe(TrainConfig(Path("data"), cfg="shhq"), 1024, 0, processes=8)
    trainer = trainer_config(config, numbers.batch, numbers.kimg, processes=1)
    assert (trainer.batch, trainer.accumulate) == (32, 8)
    with pytest.raises(FiguraInputError, match="--batch"):
        trainer_config(config, numbers.batch, numbers.kimg, processes=3)


def test_lazy_regularisers_slow_adam_down():
    slowed = AdamSettings(0.0025).slowed(4)
    assert (slowed.lr, slowed.betas) == (pytest.approx(0.002), (0.0, pytest.approx(0.99**0.8)))
    assert AdamSettings(0.0025).slowed(None) == AdamSettings(0.0025)
    due = [[phase.name for phase in plan_phases(4, 16) if phase.due(update)] for update in (0, 1, 4, 16)]
    assert due == [["Gmain", "Greg", "Dmain", "Dreg"], ["Gmain", "Dmain"], ["Gmain", "Greg", "Dmain"],
                   ["Gmain", "Greg", "Dmain", "Dreg"]]  # fmt: skip


BAD = [
    dict(gamma=-1.0), dict(gamma=float("nan")), dict(kimg=0), dict(batch=0), dict(batch_gpu=0), dict(snap=0),
    dict(tick=0), dict(subset=0), dict(cbase=0), dict(glr=-0.1), dict(freezed=-1), dict(freezed=2),
    dict(aug="fixed", p=1.5), dict(p=0.5), dict(aug="noaug", target=0.5), dict(target=2.0),
    dict(aug="noaug", augpipe="bg"), dict(style_mixing=1.1), dict(seed=-1), dict(batch=30, mbstd_group=4),
    dict(metric_data=Path("heldout")),
]  # fmt: skip


@pytest.mark.parametrize("flags", BAD, ids=str)
def test_settings_that_cannot_work(flags):
    with pytest.raises(FiguraInputError, match="--"):
        settled(256, 1, **flags)


@pytest.mark.parametrize("cfg", PRESETS)
def test_every_preset_settles_on_one_process(cfg):
    numbers = settled(64, 1, cfg=cfg)
    assert numbers.batch % numbers.discriminator.mbstd_group_size == 0
