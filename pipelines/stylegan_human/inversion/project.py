"""Search for the latent of a picture (Karras et al. 2020, appendix D, as PTI uses it)."""

import math

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ...common.perceptual import Perceptual, distance
from ...common.seeds import generator as seeded
from ..networks.generator import Generator, device_of
from ..networks.noise import noise_source
from ..networks.synthesis import Context
from .copies import frozen
from .run import Optimisation
from .settings import ProjectSettings

LARGEST = 256  # height at which pictures are compared; VGG16 was made for 224
RAMP_UP, RAMP_DOWN, JITTER_END = 0.05, 0.25, 0.75
STATISTICS_SEED = 123


class Projector(Optimisation):
    """The search for one picture's latent. ``target``: pixels [1, 3, H, W] of the generator's size."""

    columns = ("loss",)

    def __init__(
        self, generator: Generator, target: Tensor, measure: Perceptual, settings: ProjectSettings
    ) -> None:
        super().__init__(settings.check().steps)
        self.generator, self.measure, self.settings = frozen(generator), measure, settings
        average, self.spread = w_statistics(self.generator, settings.samples)
        rows = self.generator.config.num_ws if settings.space == "w+" else 1
        self.w = average.expand(1, rows, -1).clone().requires_grad_()
        self.maps = self._noise_maps() if settings.free_noise else []
        device = device_of(self.generator)
        self.target = target.detach().clone().to(device)
        with torch.no_grad():
            self.wanted = measure.features(shrunk(self.target, settings.squash))
        self.optimizer = torch.optim.Adam([self.w, *self.maps], lr=settings.learning_rate)

    def _noise_maps(self) -> list[Tensor]:
        sizes = [
            buffer.shape
            for name, buffer in self.generator.synthesis.named_buffers()
            if name.endswith("noise_const")
        ]
        draw = seeded(self.settings.seed)
        device = device_of(self.generator)
        return [torch.randn(size, generator=draw).to(device).requires_grad_() for size in sizes]

    def draw(self, step: int) -> Tensor:
        """Unit noise for w at ``step``; a function of seed and step alone, so that a search can go on."""
        mixed = (self.settings.seed * 0x9E3779B97F4A7C15 + step + 1) % 2**64
        return torch.randn(self.w.shape, generator=seeded(mixed))

    def step(self) -> bool:
        """One step of the search."""
        t = self.done / self.steps
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate(t, self.settings.learning_rate)
        jitter = self.spread * self.settings.jitter * max(0.0, 1 - t / JITTER_END) ** 2
        w = self.w + self.draw(self.done).to(self.w) * jitter
        pixels = self._render(w.expand(1, self.generator.config.num_ws, -1), self.maps)
        features = self.measure.features(shrunk(pixels, self.settings.squash))
        loss = distance(features, self.wanted).sum()
        if self.maps:
            loss = loss + noise_correlation(self.maps) * self.settings.noise_weight
        self.note([loss])
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self.optimizer.step()
        normalize_(self.maps)
        self.picture = pixels.detach()
        return True

    def _render(self, ws: Tensor, maps: list[Tensor]) -> Tensor:
        synthesis = self.generator.synthesis
        source = (lambda layer, own: maps[layer]) if maps else noise_source("const")
        return synthesis.render(Context(synthesis.styles(ws), source, force_fp32=True))

    def ws(self) -> Tensor:
        """The latent found so far: ws [1, num_ws, w_dim]."""
        return self.w.detach().expand(1, self.generator.config.num_ws, -1).clone()

    @torch.no_grad()
    def result(self) -> Tensor:
        """Pixels of that latent, drawn with the generator's own noise."""
        return self._render(self.ws(), [])

    def variables(self) -> dict[str, Tensor]:
        """See ``Optimisation``."""
        return {"w": self.w, **{f"noise.{i}": noise for i, noise in enumerate(self.maps)}}


@torch.no_grad()
def w_statistics(generator: Generator, samples: int) -> tuple[Tensor, float]:
    """Mean of w [w_dim] over ``samples`` people, and the root of their mean squared distance from it."""
    z = np.random.RandomState(STATISTICS_SEED).randn(samples, generator.config.z_dim)
    w = generator.mapping(torch.from_numpy(z).to(device_of(generator), torch.float32))[:, 0]
    average = w.mean(dim=0)
    return average, math.sqrt((w - average).double().square().sum().item() / samples)


def learning_rate(t: float, highest: float) -> float:
    """The rate at ``t`` of the search, 0 to 1: straight up at first, down along a cosine at last."""
    down = 0.5 - 0.5 * math.cos(min(1.0, (1 - t) / RAMP_DOWN) * math.pi)
    return highest * down * min(1.0, t / RAMP_UP)


def shrunk(pixels: Tensor, squash: bool) -> Tensor:
    """Pictures higher than 256 at 256, by averaging; ``squash`` makes them square."""
    height, width = pixels.shape[2:]
    if height <= LARGEST:
        return pixels
    size = (LARGEST, LARGEST if squash else max(round(width * LARGEST / height), 1))
    return F.interpolate(pixels, size, mode="area")


def noise_correlation(maps: list[Tensor]) -> Tensor:
    """How unlike noise the maps [H, W] are: squared correlation with themselves shifted by one pixel, at
    every halving down to 8 pixels (appendix D, equation 4).
    """
    total = maps[0].new_zeros(())
    for noise in maps:
        level = noise[None, None]
        while True:
            for axis in (3, 2):
                total = total + (level * torch.roll(level, 1, dims=axis)).mean().square()
            if level.shape[2] <= 8:
                break
            level = F.avg_pool2d(level, 2)
    return total


@torch.no_grad()
def normalize_(maps: list[Tensor]) -> None:
    """Bring every map to mean 0 and mean square 1."""
    for noise in maps:
        noise.sub_(noise.mean())
        noise.mul_(noise.square().mean().rsqrt())
