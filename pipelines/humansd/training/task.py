"""HumanSD's training as a task of the shared trainer: all of the UNet, the rest frozen (paper section 4)."""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ...common import text
from ...common.diffusion_training import NoiseSchedule
from ...common.errors import FiguraInputError
from ...common.images import to_pixels
from ...common.named_function import named
from ...common.schedules import cosine_with_warmup
from ...common.seeds import noise as noise_of
from ...common.training.averages import update_average
from ...common.training.order import key
from ...common.training.step import Step
from ...common.training.task import Task
from ...common.write_base import write_base
from ...pose.estimators import higherhrnet
from .. import ddim, model, vae
from ..defaults import LATENT_CHANNELS
from .configs import TrainConfig
from .losses import JointWeights, noise_loss
from .samples import PoseSamples, Sample
from .start import open_start
from .step import average_decay, sampled_latents

SHOWN = 8
PREVIEW_SEED = 1000
TOGETHER = 16  # pictures painted at once at a measurement


class HumanSDTask(Task):
    """One training run."""

    def __init__(self, config: TrainConfig) -> None:
        """Raises FiguraInputError: settings, data, base or estimator that cannot be used."""
        super().__init__()
        config.check()
        self.config = config
        self.data = PoseSamples(
            config.data, config.mapping, config.size, held_out=config.held_out, scale=config.skeleton_scale,
            bad_limit=config.bad_limit,
        )  # fmt: skip
        self.length = len(self.data.places)
        self.score = named(config.score)
        self.networks = open_start(config.base_path)
        self.noise = NoiseSchedule()
        network = deepcopy(self.networks.unet).train().requires_grad_(True)
        if config.trainer.gradient_checkpointing:
            network.enable_gradient_checkpointing()
        self.modules = {"unet": network}
        if config.ema:
            self.averages = {"unet": deepcopy(network).eval().requires_grad_(False)}
        self.frozen = {"vae": self.networks.vae, **self.networks.encoders}
        self._choose_loss()
        optimizer = torch.optim.AdamW(network.parameters(), config.rate, weight_decay=config.weight_decay)
        self.optimizers = {"unet": optimizer}
        steps = config.trainer.steps
        self.schedules = {"unet": torch.optim.lr_scheduler.LambdaLR(
            optimizer, lambda s: cosine_with_warmup(s, config.warmup, steps, config.schedule == "cosine")
        )}  # fmt: skip

    def _choose_loss(self) -> None:
        """The weighting, and the estimator it needs: a file of its own, or the one inside the base."""
        config, self.joints = self.config, None
        if config.loss == "original":
            return
        source = config.estimator or config.base_path
        if source.is_dir():
            raise FiguraInputError(
                "estimator",
                "none",
                "HigherHRNet's file",
                "--estimator higherhrnet_w48_humanart_512x512_udp.pth",
            )
        estimator = higherhrnet.load(source)
        self.frozen["estimator"] = estimator
        self.joints = JointWeights(
            self.networks.vae, estimator, config.heatmap_weight, config.heatmap_threshold,
            config.loss == "heatmap_paper",
        )  # fmt: skip

    def batch(self, indices: list[int]) -> dict[str, Any]:
        """Samples as they are."""
        return _stacked([self.data.plain(self.data.places[index]) for index in indices])

    def batch_at(self, indices: list[int], step: int) -> dict[str, Any]:
        """``pixels``, ``skeletons`` float32 [B, 3, H, W] in [-1, 1], ``prompts``; varied anew each time."""
        seed, chances = self.config.trainer.seed, self.config.chances
        return _stacked([
            self.data.varied(self.data.places[index], chances, key(seed, step, index, "varied"))
            for index in indices
        ])  # fmt: skip

    def names(self, indices: list[int]) -> list[str]:
        """Paths of the pictures."""
        return [self.data.name(self.data.places[index]) for index in indices]

    def update(self, batch: Any, step: Step) -> dict[str, Any]:
        """One step: latents of picture and skeleton, noise at random times, the answer, the loss."""
        total: dict[str, Any] = {}
        for number, part in enumerate(step.parts(batch)):
            loss, plain = self._losses(part, step, step.generator(f"part {number}"))
            step.backward(loss / step.rounds)
            for name, value in {"loss": plain, "weighted": loss}.items():
                if name == "loss" or self.joints is not None:
                    total[name] = total.get(name, 0.0) + value.detach() / step.rounds
        if step.apply("unet") and self.averages:
            beta = average_decay(step.number, self.config.ema)
            update_average(self.averages["unet"], self.modules["unet"], beta)
        return total

    def _losses(self, part: Any, step: Step, rng: torch.Generator) -> tuple[Tensor, Tensor]:
        """The loss, and the plain noise loss beside it. Draws in the released trainer's order."""

        def draw(like: Tensor) -> Tensor:
            return torch.randn(like.shape, generator=rng).to(like)

        clean, skeleton = (
            sampled_latents(self.frozen["vae"], part[name].to(step.device), draw)
            for name in ("pixels", "skeletons")
        )
        times = torch.randint(self.noise.steps, clean.shape[:1], generator=rng).to(step.device)
        noise = draw(clean)
        joined = torch.cat([self.noise.noisy(clean, noise, times), skeleton], 1)
        words = self._words(part["prompts"], torch.rand(len(clean), generator=rng).tolist())
        prediction = self.modules["unet"](joined, times, words.to(clean)).sample.float()
        plain = noise_loss(prediction, noise)
        return (plain if self.joints is None else self.joints.loss(prediction, noise, draw)), plain

    @torch.no_grad()
    def _words(self, prompts: Sequence[str], chances: Sequence[float]) -> Tensor:
        """Embeddings [B, 77, C]; some prompts are left empty where the configuration says so."""
        said = [
            "" if chance < self.config.drop_text else prompt
            for prompt, chance in zip(prompts, chances, strict=True)
        ]
        return text.encode(self.networks.encoders, said).embeds

    def painted(self, samples: Sequence[Sample], seeds: Sequence[int]) -> Tensor:
        """Pictures [B, 3, H, W] in [0, 1] of the samples' poses and prompts, picture i of seed i alone."""
        network = self.averages.get("unet") or _bare(self.modules["unet"])
        was_training, rows = network.training, []
        painter = model.HumanSD(network.eval(), self.frozen["vae"], self.networks.encoders)
        for first in range(0, len(samples), TOGETHER):
            rows.append(
                self._paint(painter, samples[first : first + TOGETHER], seeds[first : first + TOGETHER])
            )
        network.train(was_training)
        return torch.cat(rows)

    @torch.no_grad()
    def _paint(self, painter: model.HumanSD, samples: Sequence[Sample], seeds: Sequence[int]) -> Tensor:
        drawn = torch.from_numpy(np.stack([sample.skeleton for sample in samples])).float() / 255
        pose = vae.encode(painter.vae, to_pixels(drawn).to(painter.device))
        positive, negative = (
            model.encode_prompts(painter, words)
            for words in ([sample.prompt for sample in samples], [""] * len(samples))
        )
        predict = model.predictor(painter, pose, positive, negative, self.config.guidance)
        start = noise_of((LATENT_CHANNELS, *pose.shape[2:]), seeds).to(painter.device)
        latents = ddim.denoise(predict, start, ddim.full_plan(self.config.preview_steps))
        return ((vae.decode(painter.vae, latents) + 1) / 2).clamp(0, 1).cpu()

    def _held_out(self, count: int) -> list[Sample]:
        return [self.data.plain(place) for place in self.data.held_out[:count]]

    def samples(self, step: int) -> dict[str, Tensor]:
        """Held-out poses: the pictures themselves, their skeletons, and what is painted, in three rows."""
        samples = self._held_out(SHOWN)
        if not samples:
            return {}
        rows = [[sample.image for sample in samples], [sample.skeleton for sample in samples]]
        shown = [torch.from_numpy(np.stack(row)).permute(0, 3, 1, 2).float() / 255 for row in rows]
        return {"poses": torch.cat([*shown, self.painted(samples, range(len(samples)))])}

    def measure(self, step: int) -> dict[str, float]:
        """What the reader says of pictures in held-out poses; nothing without a reader."""
        samples = self._held_out(self.config.measured)
        if self.score is None or not samples:
            return {}
        pictures = self.painted(samples, range(PREVIEW_SEED, PREVIEW_SEED + len(samples)))
        return self.score((pictures * 255).round().byte().permute(0, 2, 3, 1).numpy(), samples)

    def finish(self, out: Path) -> None:
        """Write ``<out>/model``, a diffusers folder that our loaders open as HumanSD."""
        network = deepcopy(self.averages.get("unet") or _bare(self.modules["unet"])).cpu()
        write_base(out / "model", network, self.networks.encoders, self.networks.vae)


def _bare(module: Any) -> Any:
    from accelerate.utils import extract_model_from_parallel

    return extract_model_from_parallel(module)


def _stacked(samples: Sequence[Sample]) -> dict[str, Any]:
    def pixels(pictures: list[np.ndarray]) -> Tensor:
        return torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2).float() / 127.5 - 1

    return {
        "pixels": pixels([sample.image for sample in samples]),
        "skeletons": pixels([sample.skeleton for sample in samples]),
        "prompts": [sample.prompt for sample in samples],
    }
