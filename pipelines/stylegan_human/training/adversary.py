"""Generator against discriminator: the gradients of one phase on one round of samples.

The phases and what each evaluates follow StyleGAN2-ada (Karras et al. 2020) and StyleGAN3 (2021). Nothing
here steps an optimiser; ``task.py`` does.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ..networks.generator import Generator
from ..networks.synthesis import Context
from .augmentation.blur import blur
from .draws import Draws
from .losses import PathLengthPenalty, path_lengths, r1_penalty, wants_fake, wants_real
from .phases import Phase

Backward = Callable[[Tensor], None]
Reports = dict[str, Tensor]
Augment = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class LossSettings:
    """Weights of the terms, and the ways in which the two published code bases differ."""

    r1_gamma: float = 10.0
    pl_weight: float = 2.0
    pl_decay: float = 0.01
    pl_batch_shrink: int = 2
    style_mixing_prob: float = 0.9
    blur_init_sigma: float = 0.0
    blur_fade_kimg: float = 0.0
    third: bool = False
    """StyleGAN3's habits: w_avg moves only with the discriminator's fake pictures, and parameters that R1
    does not reach keep no gradient instead of a zero one (Adam then leaves them alone)."""


class TrainedGenerator(nn.Module):
    """z -> (pixels, ws) in one call, so that distributed wrappers see a single forward."""

    def __init__(self, generator: Generator) -> None:
        super().__init__()
        self.generator = generator

    def forward(
        self, z: Tensor, c: Tensor | None, draws: Draws, update_w_avg: bool, update_magnitudes: bool
    ) -> tuple[Tensor, Tensor]:
        """[N, z_dim] (and labels [N, c_dim]) -> pixels [N, 3, H, W], ws [N, rows, w_dim]."""
        mapping, synthesis = self.generator.mapping, self.generator.synthesis
        ws = mapping(z, c, update_emas=update_w_avg)
        mixing = draws.mixing(len(z), mapping.z_dim, mapping.num_ws)
        if mixing is not None:
            cutoff, other = mixing
            ws = torch.cat([ws[:, :cutoff], mapping(other, c)[:, cutoff:]], dim=1)
        noise = draws.layer_noise(len(z))
        context = Context(synthesis.styles(ws), noise, update_emas=update_magnitudes)
        return synthesis.render(context), ws


class Adversary:
    """Runs phases. ``augment`` stands between pictures and discriminator, which gets them channels last with
    ``nhwc``; ``path`` keeps its running mean.
    """

    def __init__(
        self, generator: nn.Module, discriminator: nn.Module, settings: LossSettings,
        augment: Augment | None = None, nhwc: bool = False,
    ) -> None:  # fmt: skip
        self.generator, self.discriminator = generator, discriminator
        self.settings, self.augment, self.nhwc = settings, augment, nhwc
        self.path = PathLengthPenalty(settings.pl_decay)
        self.sigma = 0.0

    def run(
        self, phase: Phase, real: Tensor, real_c: Tensor | None, z: Tensor, z_c: Tensor | None, draws: Draws,
        backward: Backward,
    ) -> Reports:  # fmt: skip
        """Add the gradients of ``phase`` on one round. Returns the per-sample values of its terms.

        real: pixels [N, 3, H, W] in [-1, 1]; z: [N, z_dim]; real_c and z_c: labels or None. ``backward``
        takes each scalar loss. Only the phase's network may require gradients.
        """
        reports: Reports = {}
        if phase.network == "G":
            if phase.main:
                reports |= self._generator_main(phase, z, z_c, draws, backward)
            if phase.regulariser and self.settings.pl_weight:
                reports |= self._path_length(phase, z, z_c, draws, backward)
            return reports
        if phase.main:
            reports |= self._fakes(phase, z, z_c, draws, backward)
        if phase.main or self.settings.r1_gamma:
            reports |= self._reals(phase, real, real_c, backward)
        return reports

    def _generate(
        self, z: Tensor, c: Tensor | None, draws: Draws, for_discriminator: bool
    ) -> tuple[Tensor, Tensor]:
        third = self.settings.third
        update = for_discriminator or not third
        return self.generator(z, c, draws, update, third and for_discriminator)

    def _judge(self, pixels: Tensor, c: Tensor | None) -> Tensor:
        pixels = blur(pixels, self.sigma)
        pixels = pixels if self.augment is None else self.augment(pixels)
        if self.nhwc:
            pixels = pixels.contiguous(memory_format=torch.channels_last)
        return self.discriminator(pixels, c)

    def _generator_main(
        self, phase: Phase, z: Tensor, c: Tensor | None, draws: Draws, backward: Backward
    ) -> Reports:
        pixels, _ = self._generate(z, c, draws, for_discriminator=False)
        logits = self._judge(pixels, c)
        loss = wants_real(logits)
        backward(loss.mean() * phase.interval)
        return {"scores/fake": logits.detach(), "G/loss": loss.detach()}

    def _path_length(
        self, phase: Phase, z: Tensor, c: Tensor | None, draws: Draws, backward: Backward
    ) -> Reports:
        count = max(len(z) // self.settings.pl_batch_shrink, 1)
        pixels, ws = self._generate(z[:count], None if c is None else c[:count], draws, False)
        penalty = self.path(path_lengths(pixels, ws, draws.path_noise(*pixels.shape)))
        loss = penalty * self.settings.pl_weight
        # The zero term gives torgb's biases a gradient, which Adam then counts as a step.
        anchor = 0 if self.settings.third else pixels[:, 0, 0, 0] * 0
        backward((anchor + loss).mean() * phase.interval)
        return {"pl_penalty": penalty.detach(), "G/reg": loss.detach()}

    def _fakes(self, phase: Phase, z: Tensor, c: Tensor | None, draws: Draws, backward: Backward) -> Reports:
        with torch.no_grad():
            pixels, _ = self._generate(z, c, draws, for_discriminator=True)
        logits = self._judge(pixels, c)
        loss = wants_fake(logits)
        backward(loss.mean() * phase.interval)
        return {"scores/fake": logits.detach(), "D/loss_fake": loss.detach()}

    def _reals(self, phase: Phase, real: Tensor, c: Tensor | None, backward: Backward) -> Reports:
        settings, penalise = self.settings, phase.regulariser and self.settings.r1_gamma > 0
        pixels = real.detach().requires_grad_(penalise)
        logits = self._judge(pixels, c)
        reports, terms = {"scores/real": logits.detach()}, []
        if phase.main:
            terms.append(wants_real(logits))
            reports["D/loss_real"] = terms[0].detach()
        elif not settings.third:
            terms.append(logits * 0)  # a zero gradient for what R1 does not reach
        if penalise:
            penalty = r1_penalty(logits, pixels)
            terms.append(penalty * (settings.r1_gamma / 2))
            reports |= {"r1_penalty": penalty.detach(), "D/reg": terms[-1].detach()}
        backward(sum(term.mean() for term in terms) * phase.interval)  # type: ignore[arg-type]
        return reports
