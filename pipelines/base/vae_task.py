"""Training the autoencoder: weighted L1 + L2, a small KL term, edges; skeletons in the mix; EMA."""

from __future__ import annotations

import math
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ..common.named_function import named
from ..common.people_dataset import open_sets, pixels_of, trained_on
from ..common.schedules import cosine_with_warmup
from ..common.training.averages import update_average
from ..common.training.step import Step
from ..common.training.task import Task
from ..common.write_base import WEIGHTS, write_module
from . import standardise
from .configs import VaeConfig
from .skeletons import draw_random

SHOWN, MEASURED = 12, 256
STATISTICS = 1024  # pictures whose latents are standardised


def new_vae(widths: tuple[int, ...], layers: int) -> Any:
    """A diffusers AutoencoderKL of Stable Diffusion's layout, fresh."""
    from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL

    return AutoencoderKL.from_config({
        "down_block_types": ["DownEncoderBlock2D"] * len(widths),
        "up_block_types": ["UpDecoderBlock2D"] * len(widths),
        "block_out_channels": list(widths), "layers_per_block": layers, "latent_channels": 4,
        "scaling_factor": standardise.FACTOR, "sample_size": 128,
    })  # fmt: skip


class Autoencoder(nn.Module):
    """The VAE with all of a training step in ``forward``, as data parallel wrappers need it."""

    def __init__(self, vae: nn.Module) -> None:
        super().__init__()
        self.vae: Any = vae

    def forward(self, pixels: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
        """Pixels [B, 3, H, W], unit noise of the latents' shape -> (pixels back, KL as mean over latents)."""
        posterior = self.vae.encode(pixels).latent_dist
        back = self.vae.decode(posterior.mean + posterior.std * noise).sample
        kl = 0.5 * (posterior.mean.square() + posterior.var - 1 - posterior.logvar).mean()
        return back.float(), kl.float()


def pixel_weights(labels: np.ndarray, figure: float, small: float) -> np.ndarray:
    """float32 [H, W]: 1 on the background, ``figure`` on people, up to three times that on small parts."""
    share = np.bincount(labels.ravel(), minlength=18) / labels.size
    factor = np.clip(np.sqrt(small / np.maximum(share, 1e-6)), 1, 3) * figure
    factor[0] = 1
    return factor[labels].astype(np.float32)


def reconstruction_loss(back: Tensor, pixels: Tensor, weights: Tensor, edges: float) -> Tensor:
    """Weighted L1 + L2 per pixel; ``edges`` times the weighted L1 of the error's differences between
    neighbours."""
    error = back - pixels
    loss = (weights * (error.abs() + error.square())).mean()
    if edges:
        root = weights.sqrt()
        for axis in (-2, -1):
            size = error.shape[axis] - 1
            near = torch.minimum(root.narrow(axis, 0, size), root.narrow(axis, 1, size))
            loss = loss + edges * (near * error.diff(dim=axis).abs()).mean()
    return loss


def psnr(back: Tensor, pixels: Tensor, mask: Tensor | None = None) -> float:
    """Decibels between pictures in [-1, 1], on the pixels of ``mask`` [B, 1, H, W] where one is given."""
    error = ((back.clamp(-1, 1) - pixels) / 2).square().mean(1, keepdim=True)
    mean = error.mean() if mask is None else (error * mask).sum() / mask.sum().clamp_min(1)
    return -10 * math.log10(max(mean.item(), 1e-12))


class VaeTask(Task):
    """One training run of an autoencoder."""

    def __init__(self, config: VaeConfig) -> None:
        super().__init__()
        config.check()
        self.config = config
        self.sets = open_sets(config.data, config.size, config.bad_limit)
        kept = [trained_on(people, config.held_out) for people in self.sets]
        self.places = [(number, place) for number, count in enumerate(kept) for place in range(count)]
        extra = int(len(self.places) * config.skeletons / (1 - config.skeletons))
        self.length = len(self.places) + extra
        self.score = named(config.score)
        torch.manual_seed(config.trainer.seed)
        network = Autoencoder(new_vae(config.widths, config.layers))
        self.modules = {"vae": network}
        self.averages = {"vae": deepcopy(network).eval().requires_grad_(False)}
        steps, warmup = config.trainer.steps, config.warmup
        optimizer = torch.optim.AdamW(network.parameters(), config.lr, (0.9, 0.99), weight_decay=0.0)
        self.optimizers = {"vae": optimizer}
        self.schedules = {
            "vae": torch.optim.lr_scheduler.LambdaLR(
                optimizer, lambda step: cosine_with_warmup(step, warmup, steps)
            )
        }

    def batch(self, indices: list[int]) -> dict[str, Tensor]:
        """``pixels`` [B, 3, H, W] and ``weights`` [B, 1, H, W]; places after the pictures are skeletons."""
        pictures, weights = [], []
        for index in indices:
            if index < len(self.places):
                number, place = self.places[index]
                _, image, labels = self.sets[number].read(place)
                weight = pixel_weights(labels, self.config.figure, self.config.small)
            else:
                image = draw_random(index, self.config.size)
                weight = np.where(image.any(-1), self.config.figure, 1).astype(np.float32)
            pictures.append(image)
            weights.append(torch.from_numpy(weight)[None])
        return {"pixels": pixels_of(pictures), "weights": torch.stack(weights)}

    def names(self, indices: list[int]) -> list[str]:
        """Paths of pictures, and which skeletons."""
        return [
            self.sets[self.places[i][0]].records[self.places[i][1]].path
            if i < len(self.places)
            else f"skeleton {i}"
            for i in indices
        ]

    def update(self, batch: Any, step: Step) -> dict[str, Tensor | float]:
        """One step on a batch."""
        total: dict[str, Tensor | float] = {"loss": 0.0, "kl": 0.0}
        for number, part in enumerate(step.parts(batch)):
            pixels, weights = (part[name].to(step.device) for name in ("pixels", "weights"))
            factor = 2 ** (len(self.config.widths) - 1)
            shape = (pixels.shape[0], 4, pixels.shape[2] // factor, pixels.shape[3] // factor)
            noise = torch.randn(shape, generator=step.generator(f"posterior {number}")).to(step.device)
            back, kl = self.modules["vae"](pixels, noise)
            loss = reconstruction_loss(back, pixels, weights, self.config.edges)
            step.backward((loss + self.config.kl * kl) / step.rounds)
            total["loss"] += loss.detach() / step.rounds
            total["kl"] += kl.detach() / step.rounds
        if step.apply("vae"):
            beta = min(self.config.ema, (1 + step.number) / (10 + step.number))
            update_average(self.averages["vae"], self.modules["vae"], beta)
        return total

    def held_out(self, count: int) -> tuple[Tensor, Tensor, list[Any]]:
        """Pixels, figure masks [B, 1, H, W] and records that training never sees, evenly from all folders."""
        pictures, masks, records = [], [], []
        for people in self.sets:
            first = trained_on(people, self.config.held_out)
            for place in range(first, min(len(people), first + -(-count // len(self.sets)))):
                own, image, labels = people.read(place)
                pictures.append(image)
                masks.append(torch.from_numpy(labels > 0)[None].float())
                records.append(people.records[own])
        return pixels_of(pictures), torch.stack(masks), records

    @torch.no_grad()
    def back(self, pixels: Tensor) -> Tensor:
        """Pictures through the averaged autoencoder, without noise: [B, 3, H, W] in [-1, 1], on the CPU."""
        vae: Any = self.averages["vae"].vae
        device = next(vae.parameters()).device
        decoded = [vae.decode(vae.encode(p.to(device)).latent_dist.mean).sample for p in pixels.split(16)]
        return torch.cat(decoded).clamp(-1, 1).cpu()

    def samples(self, step: int) -> dict[str, Tensor]:
        """Held-out pictures (upper rows) and skeletons, and what comes back of them."""
        pixels, _, _ = self.held_out(SHOWN)
        drawn = pixels_of([draw_random(-1 % 2**32 - i, self.config.size) for i in range(4)])
        pixels = torch.cat([pixels[:SHOWN], drawn])
        return {"held_out": (torch.cat([pixels, self.back(pixels)]) + 1) / 2}

    def measure(self, step: int) -> dict[str, float]:
        """PSNR on held-out pictures, on the whole and on people alone; and what the reader says."""
        pixels, masks, records = self.held_out(min(MEASURED, self.config.held_out))
        back = self.back(pixels)
        figures = {"psnr": psnr(back, pixels), "psnr_figure": psnr(back, pixels, masks)}
        if self.score:
            decoded = ((back + 1) * 127.5).round().byte().permute(0, 2, 3, 1).numpy()
            figures |= self.score(decoded, records)
        return figures

    def finish(self, out: Path) -> None:
        """Write ``<out>/vae/``: the averaged autoencoder, standardised, in diffusers' layout, fp32."""
        people = self.sets[0]
        count = min(STATISTICS, trained_on(people, self.config.held_out))
        pixels = pixels_of([people.read(place)[1] for place in range(count)])
        vae: Any = deepcopy(self.averages["vae"]).cpu().vae
        standardise.fold(vae, *standardise.latent_statistics(vae, pixels))
        write_module(out / "vae", vae, WEIGHTS)
