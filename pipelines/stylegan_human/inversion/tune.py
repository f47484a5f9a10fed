"""Pivotal tuning: move the generator's weights until it draws the picture at its latent (Roich et al. 2021,
section 3.2), for one picture or several at once.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from ...common.errors import FiguraInputError
from ...common.perceptual import Perceptual, distance
from ...common.seeds import numpy_seed
from ..latents.latents import check_ws, seeds_to_z
from ..networks.generator import Generator, device_of
from ..networks.noise import noise_source
from ..networks.synthesis import Context, Synthesis
from .copies import frozen, trainable
from .run import Optimisation
from .settings import LocalitySettings, TuneSettings

LOCALITY_PSI = 0.5  # people that locality looks at are drawn this close to the average


class Tuner(Optimisation):
    """The tuning of one generator to pictures at their latents.

    targets: pixels [N, 3, H, W] of the generator's size; ws [N, num_ws, w_dim]. One step is one update for
    every picture in turn. The threshold counts for a single picture only, as published.
    """

    columns = ("loss", "pixels", "perceptual")

    def __init__(
        self, generator: Generator, targets: Tensor, ws: Tensor, measure: Perceptual, settings: TuneSettings
    ) -> None:
        super().__init__(settings.check().steps)
        config, device = generator.config, device_of(generator)
        ws = check_ws(ws, config.num_ws, config.w_dim)
        if len(ws) != len(targets):
            raise FiguraInputError(
                "latent", f"{len(ws)} latents for {len(targets)} pictures", "one for each picture"
            )
        self.generator, self.measure, self.settings = trainable(generator), measure, settings
        self.pivots = [row.detach().clone().to(device) for row in ws.split(1)]
        self.targets = [row.detach().clone().to(device) for row in targets.split(1)]
        self.locality = None
        if settings.locality is not None:
            self.locality = Locality(generator, self.pivots, measure, settings.locality, settings.seed)
        with torch.no_grad():
            self.wanted = [measure.features(target) for target in self.targets]
        self.optimizer = torch.optim.Adam(self.variables().values(), lr=settings.learning_rate, fused=True)

    def step(self) -> bool:
        """One update for each picture; False, and no update, once a single picture is close enough."""
        for index in range(len(self.targets)):
            pixels = draw(self.generator.synthesis, self.pivots[index])
            mean_square = (pixels - self.targets[index]).square().mean()
            perceptual = distance(self.measure.features(pixels), self.wanted[index]).sum()
            loss = mean_square * self.settings.pixel_weight + perceptual * self.settings.perceptual_weight
            self.picture = pixels.detach()
            if self._close_enough(perceptual):
                self.note([loss, mean_square, perceptual])
                return False
            if self.locality is not None:
                loss = loss + self.locality.loss(self.generator.synthesis, self.done, index)
            self.note([loss, mean_square, perceptual])
            self.optimizer.zero_grad(set_to_none=True)
            loss.backward()
            self.optimizer.step()
        return True

    def _close_enough(self, perceptual: Tensor) -> bool:
        threshold = self.settings.threshold
        return threshold is not None and len(self.targets) == 1 and perceptual.item() <= threshold

    def result(self) -> Generator:
        """The tuned generator, its weights at rest."""
        return frozen(self.generator)

    def variables(self) -> dict[str, Tensor]:
        """See ``Optimisation``."""
        return dict(self.generator.synthesis.named_parameters())


def draw(synthesis: Synthesis, ws: Tensor, noise_mode: str = "const") -> Tensor:
    """Pixels in full precision."""
    return synthesis.render(Context(synthesis.styles(ws), noise_source(noise_mode), force_fp32=True))


class Locality:
    """People on the way from a pivot to others, drawn by the new generator as by the old (section 3.3).

    Each lies ``distance`` from the pivot towards another person, in the norm of all rows of w together.
    """

    def __init__(
        self,
        generator: Generator,
        pivots: Sequence[Tensor],
        measure: Perceptual,
        settings: LocalitySettings,
        seed: int,
    ) -> None:
        self.old, self.pivots, self.measure = frozen(generator), pivots, measure
        self.settings, self.seed = settings, seed

    def neighbours(self, step: int, index: int) -> Tensor:
        """ws [samples, num_ws, w_dim] around pivot ``index``; a function of seed, step and index."""
        first = (step * len(self.pivots) + index) * self.settings.samples
        seeds = [numpy_seed((self.seed + first + i) % 2**64) for i in range(self.settings.samples)]
        z = seeds_to_z(seeds, self.old.config.z_dim).to(self.pivots[index])
        with torch.no_grad():
            away = self.old.mapping(z, None, LOCALITY_PSI, self.old.config.num_ws) - self.pivots[index]
            return self.pivots[index] + away * (self.settings.distance / away.norm(dim=(1, 2), keepdim=True))

    def loss(self, synthesis: Synthesis, step: int, index: int) -> Tensor:
        """How much the new pictures of the neighbours differ from the old ones, averaged over them."""
        total = self.pivots[index].new_zeros(())
        for ws in self.neighbours(step, index).split(1):
            new = draw(synthesis, ws, "none")
            with torch.no_grad():
                old = draw(self.old.synthesis, ws, "none")
                wanted = self.measure.features(old)
            total = total + (new - old).square().mean() * self.settings.pixel_weight
            perceptual = distance(self.measure.features(new), wanted).sum()
            total = total + perceptual * self.settings.perceptual_weight
        return total / self.settings.samples
