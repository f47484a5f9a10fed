"""Training a text-to-image UNet to predict noise; what CosmicMan and the tiny bases share.

One ``DiffusionTask`` is a run. A system that adds a loss of its own overrides ``forward`` and returns it
beside the prediction.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from . import base_model, diffusion, text
from .captioned import draw_captions, whole_picture
from .compact_text import CompactText, words_of
from .dense_captions import all_texts, join, varied_texts
from .diffusion_configs import DiffusionConfig
from .errors import FiguraInputError
from .latent_cache import cached_moments
from .named_function import named
from .people_dataset import Record, open_sets, pixels_of, trained_on
from .progress import Progress, silent
from .schedules import cosine_with_warmup
from .training.averages import update_average
from .training.step import Step
from .training.task import Task
from .write_base import write_base

SHOWN = 8


@dataclass(frozen=True)
class Said:
    """What is said of a picture in one update: its caption and, group by group, the words in it."""

    caption: str = ""
    texts: Sequence[str] = ()
    groups: Sequence[int | None] = field(default=())
    """Which group's mask belongs to each text; None for one that was dropped."""


def say(record: Record, rng: random.Random, sentences: float, drop: float) -> Said:
    """The plain sentence (where there is one, with probability ``sentences``) or a varied dense caption."""
    if record.sentence and rng.random() < sentences:
        texts = all_texts(record.shot, record.attributes)
        return Said(record.sentence, texts, range(len(texts)))
    texts, groups = varied_texts(record.shot, record.attributes, rng, drop)
    return Said(join(texts), texts, groups)


class NoiseSchedule:
    """Stable Diffusion's forward process: x_t = sqrt(a_t) x + sqrt(1 - a_t) noise."""

    def __init__(self, config: dict[str, Any] | None = None) -> None:
        """Args: config: diffusers' of the base; Stable Diffusion's own if None."""
        from diffusers.schedulers.scheduling_ddpm import DDPMScheduler

        settings = {k: v for k, v in (config or diffusion.STABLE_DIFFUSION).items() if not k.startswith("_")}
        known = {k: v for k, v in settings.items() if k not in ("set_alpha_to_one", "skip_prk_steps")}
        scheduler: Any = DDPMScheduler.from_config(known)
        self.alphas: Tensor = scheduler.alphas_cumprod
        self.steps = len(self.alphas)
        self.kind = scheduler.config.prediction_type
        if self.kind not in ("epsilon", "v_prediction"):
            raise FiguraInputError("scheduler", f"prediction type {self.kind}", "epsilon or v_prediction")

    def noisy(self, clean: Tensor, noise: Tensor, timesteps: Tensor) -> Tensor:
        """Latents [B, C, h, w] at their timesteps [B]."""
        kept = self._rows(timesteps, clean)
        return kept.sqrt() * clean + (1 - kept).sqrt() * noise

    def target(self, clean: Tensor, noise: Tensor, timesteps: Tensor) -> Tensor:
        """What the network should answer: the noise, or v."""
        if self.kind == "epsilon":
            return noise
        kept = self._rows(timesteps, clean)
        return kept.sqrt() * noise - (1 - kept).sqrt() * clean

    def _rows(self, timesteps: Tensor, like: Tensor) -> Tensor:
        return self.alphas.to(like)[timesteps.to(like.device)][:, None, None, None]


class Denoiser(nn.Module):
    """The UNet, and the text encoder where that is trained too, as one module."""

    def __init__(self, unet: nn.Module, encoder: CompactText | None) -> None:
        super().__init__()
        self.unet: Any = unet.requires_grad_(True)
        self.text = encoder

    def forward(
        self, latents: Tensor, timesteps: Tensor, context: Tensor, added: dict[str, Tensor] | None = None
    ) -> Tensor:
        """``context``: token ids [B, 77] where the text encoder is trained, else embeddings [B, 77, C]."""
        if self.text is not None:
            context = self.text(context).last_hidden_state
        return self.unet(latents, timesteps, context, added_cond_kwargs=added).sample


class DiffusionTask(Task):
    """One training run of a UNet."""

    needs_parts = False
    """Whether batches bring the part maps."""

    def __init__(self, config: DiffusionConfig, progress: Progress = silent) -> None:
        """Args: progress: called while pictures are encoded, which comes before training."""
        super().__init__()
        config.check()
        self.config = config
        self.sets = open_sets(config.data, config.size, config.bad_limit)
        kept = [trained_on(people, config.held_out) for people in self.sets]
        starts = np.cumsum([0, *map(len, self.sets)])
        self.first = starts[:-1].tolist()
        self.places = [s + i for s, count in zip(self.first, kept, strict=True) for i in range(count)]
        self.others = sorted(set(range(starts[-1])) - set(self.places))
        self.length = len(self.places)
        self.score = named(config.score)
        path = base_model.find(config.base_path, "base", "figura base new makes a tiny one.")
        opened = base_model.open_base(path, unet=True)
        self.base = opened.to("cpu", torch.float32, torch.float32)  # halves are too coarse to train
        self.scaling = float(self.base.vae.config.scaling_factor)  # type: ignore[union-attr, arg-type]
        self.noise = NoiseSchedule(self.base.scheduler)
        self._build()
        self.moments = self._cache(progress) if config.cache_latents else None

    def _build(self) -> None:
        """Modules, averages, optimiser and schedule."""
        config, encoders = self.config, self.base.encoders
        torch.manual_seed(config.trainer.seed)
        few = None
        if config.train_text:
            if "clip_g" in encoders:
                raise FiguraInputError(
                    "train-text", "a base with SDXL's text encoders", "an SD1.5 or SD2 base"
                )
            ((self.encoder_name, encoder),) = encoders.items()
            captions = (c for p in self.sets for r in p.records for c in _all_captions(r))
            few = CompactText(encoder, words_of(captions, self.encoder_name))
        assert self.base.unet is not None
        network = Denoiser(deepcopy(self.base.unet).train(), few)
        if config.trainer.gradient_checkpointing:
            network.unet.enable_gradient_checkpointing()
        self.modules = {"denoiser": network}
        self.averages = {"denoiser": deepcopy(network).eval().requires_grad_(False)}
        self.frozen = {"vae": self.base.vae} | ({} if few else dict(encoders))
        steps = config.trainer.steps
        optimizer = torch.optim.AdamW(network.parameters(), config.lr, weight_decay=config.weight_decay)
        self.optimizers = {"denoiser": optimizer}
        self.schedules = {"denoiser": torch.optim.lr_scheduler.LambdaLR(
            optimizer, lambda s: cosine_with_warmup(s, config.warmup, steps, config.schedule == "cosine")
        )}  # fmt: skip

    def _cache(self, progress: Progress) -> dict[str, Tensor]:
        """The latents of all pictures; the first process makes them, the others wait and read."""
        from accelerate import PartialState

        state = PartialState(cpu=self.config.trainer.cpu)
        path = self.config.trainer.out / "latents.safetensors"
        with state.main_process_first():
            return cached_moments(path, self.base.vae.to(state.device), self.sets, progress)

    def record(self, place: int) -> Record:
        """The record at a place in all data sets together."""
        number = int(np.searchsorted(self.first, place, side="right")) - 1
        return self.sets[number].records[place - self.first[number]]

    def batch(self, indices: list[int]) -> dict[str, Any]:
        """``place`` [B]; ``mean`` and ``std``, or ``pixels``; ``parts`` uint8 [B, H, W] where needed."""
        return self.read([self.places[index] for index in indices])

    def read(self, places: list[int]) -> dict[str, Any]:
        """As ``batch``, for places in all data sets together."""
        owns, pictures, maps = [], [], []
        for place in places:
            number = int(np.searchsorted(self.first, place, side="right")) - 1
            start, people = self.first[number], self.sets[number]
            own = place - start
            if self.moments is None:
                own, image, parts = people.read(own)
                pictures.append(image)
                maps.append(parts)
            else:
                own = int(self.moments["own"][place])
                if self.needs_parts:
                    maps.append(people.parts(own))
            owns.append(start + own)
        found: dict[str, Any] = {"place": torch.tensor(owns)}
        if maps:
            found["parts"] = torch.from_numpy(np.stack(maps))
        if self.moments is None:
            return found | {"pixels": pixels_of(pictures)}
        return found | {name: self.moments[name][places].float() for name in ("mean", "std")}

    def names(self, indices: list[int]) -> list[str]:
        """Paths of the pictures."""
        return [self.record(self.places[index]).path for index in indices]

    def update(self, batch: Any, step: Step) -> dict[str, Any]:
        """One step: noise at random times, the network's answer, the loss."""
        total: dict[str, Any] = {}
        for number, part in enumerate(step.parts(batch)):
            rng = step.generator(f"part {number}")
            clean = self._latents(part, step, rng)
            noise = torch.randn(clean.shape, generator=rng)
            noise += self.config.noise_offset * torch.randn((*clean.shape[:2], 1, 1), generator=rng)
            times = torch.randint(self.noise.steps, clean.shape[:1], generator=rng)
            said = self._say(part["place"].tolist(), random.Random(rng.initial_seed()))
            noise, times = noise.to(step.device), times.to(step.device)
            noisy = self.noise.noisy(clean, noise, times)
            prediction, more = self.forward(noisy, times, said, part)
            losses = {"loss": F.mse_loss(prediction.float(), self.noise.target(clean, noise, times))} | more
            weighted = [w * losses[name] for name, w in self.weights().items() if name in losses]
            step.backward(torch.stack(weighted).sum() / step.rounds)
            for name, value in losses.items():
                total[name] = total.get(name, 0.0) + value.detach() / step.rounds
        if step.apply("denoiser"):
            beta = min(self.config.ema, (1 + step.number) / (10 + step.number))
            update_average(self.averages["denoiser"], self.modules["denoiser"], beta)
        return total

    def weights(self) -> dict[str, float]:
        """The weight of each loss by name."""
        return {"loss": 1.0}

    def forward(
        self, noisy: Tensor, times: Tensor, said: Sequence[Said], part: Any
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """The network's answer, and losses of one's own by name."""
        return self.answer(noisy, times, said), {}

    def answer(self, noisy: Tensor, times: Tensor, said: Sequence[Said]) -> Tensor:
        """Run the trained network on captions."""
        captions = [one.caption for one in said]
        if self.config.train_text:
            ids = text.padded_ids(captions, self.encoder_name).to(noisy.device)
            return self.modules["denoiser"](noisy, times, ids)
        with torch.no_grad():
            words = text.encode(self.base.encoders, captions)
        return self.modules["denoiser"](noisy, times, words.embeds, self._added(words, len(said)))

    def _added(self, words: text.PromptEmbeds, count: int) -> dict[str, Tensor] | None:
        """SDXL's: the pooled text, and the sizes of a picture that was not cropped."""
        if words.pooled is None:
            return None
        sizes = whole_picture(self.config.size).expand(count, -1).to(words.pooled)
        return {"text_embeds": words.pooled, "time_ids": sizes}

    def _latents(self, part: Any, step: Step, rng: torch.Generator) -> Tensor:
        """A sample of the posterior, in the network's scale."""
        if self.moments is None:
            vae: Any = self.frozen["vae"]
            with torch.no_grad():
                posterior = vae.encode(part["pixels"].to(step.device)).latent_dist
            mean, std = posterior.mean, posterior.std
        else:
            mean, std = part["mean"].to(step.device), part["std"].to(step.device)
        return (mean + std * torch.randn(mean.shape, generator=rng).to(mean)) * self.scaling

    def _say(self, places: list[int], rng: random.Random) -> list[Said]:
        config = self.config
        alike = rng.random() < config.drop_text
        said = []
        for place in places:
            one = say(self.record(place), rng, config.sentences, config.drop_groups)
            alone = rng.random() < config.drop_text
            said.append(Said() if (alone if config.drop_per == "sample" else alike) else one)
        return said

    def draw(self, captions: Sequence[str], seeds: Sequence[int]) -> Tensor:
        """Pictures [B, 3, H, W] in [-1, 1] by the averaged network, picture i from seed i alone."""
        network: Any = self.averages["denoiser"]
        encoders = self.base.encoders if network.text is None else {self.encoder_name: network.text}
        return draw_captions(
            network.unet, encoders, self.frozen["vae"], captions, seeds, size=self.config.size,
            guidance=self.config.guidance, steps=self.config.preview_steps, schedule=self.base.scheduler,
        )  # fmt: skip

    def samples(self, step: int) -> dict[str, Tensor]:
        """Pictures for held-out captions, always of the same seeds."""
        captions = [self.record(place).caption for place in self.others[:SHOWN]]
        return {"captions": (self.draw(captions, range(len(captions))) + 1) / 2} if captions else {}

    def measure(self, step: int) -> dict[str, float]:
        """What the reader says of pictures for held-out captions; nothing without a reader."""
        if self.score is None or not self.others:
            return {}
        records = [self.record(place) for place in self.others[: self.config.measured]]
        pictures = self.draw([record.caption for record in records], range(1000, 1000 + len(records)))
        return self.score(((pictures + 1) * 127.5).round().byte().permute(0, 2, 3, 1).numpy(), records)

    def finish(self, out: Path) -> None:
        """Write ``<out>/model``: the averaged weights and what the base brought, a diffusers folder."""
        network: Any = deepcopy(self.averages["denoiser"]).cpu()
        encoders = dict(self.base.encoders)
        if network.text is not None:
            encoders = {self.encoder_name: network.text.whole(encoders[self.encoder_name])}
        write_base(out / "model", network.unet, encoders, self.base.vae, self.base.scheduler)


def _all_captions(record: Record) -> list[str]:
    return [record.sentence, join(all_texts(record.shot, record.attributes))]
