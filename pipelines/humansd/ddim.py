"""The DDIM of the released HumanSD (Song et al. 2021, eq. 12) on Stable Diffusion's linear schedule.

Noise levels in two spellings: ``alphas`` (cumulative, as LDM) and sigmas (sqrt((1 - a) / a), as ComfyUI).
The released scripts leave out the noisiest step; ``Plan`` holds both ways.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ..common.errors import FiguraInputError
from ..common.progress import Progress, silent
from ..common.seeds import batch_seeds, generator

TRAINING_STEPS = 1000
BETA_START, BETA_END = 0.00085, 0.0120
Predict = Callable[[Tensor, int], Tensor]  # noisy latents [B, 4, h, w], timestep -> predicted noise


def alphas_cumprod() -> np.ndarray:
    """Cumulative alphas [1000], float64: betas linear in their square roots."""
    betas = np.linspace(BETA_START**0.5, BETA_END**0.5, TRAINING_STEPS, dtype=np.float64) ** 2
    return np.cumprod(1.0 - betas)


@dataclass(frozen=True)
class Plan:
    """The steps to take, ascending in noise: row i goes from ``alphas[i]`` to ``alphas_prev[i]``.

    ``start`` is the noise level (cumulative alpha) at which an initial picture enters, None for pure noise.
    """

    timesteps: tuple[int, ...]
    alphas: tuple[float, ...]
    alphas_prev: tuple[float, ...]
    start: float | None = None


def full_plan(steps: int) -> Plan:
    """Every step: 1, 21, ... 981 for 50. A count that does not divide 1000 gives more: 31 for 30."""
    if not 1 <= steps <= TRAINING_STEPS:
        raise FiguraInputError("steps", str(steps), f"1 to {TRAINING_STEPS}")
    stride = TRAINING_STEPS // steps
    timesteps = [t + 1 for t in range(0, TRAINING_STEPS, stride) if t + 1 < TRAINING_STEPS]
    alphas = alphas_cumprod()
    levels = alphas[timesteps].tolist()
    return Plan(tuple(timesteps), tuple(levels), tuple([float(alphas[0]), *levels[:-1]]))


def plan(steps: int, strength: float = 1.0, legacy: bool = False) -> Plan:
    """The steps of one picture.

    strength 1 starts from pure noise: all steps, or with ``legacy`` all but the noisiest, as the released
    scripts do. Below 1 (both ways alike): the initial picture is noised to entry ``int(strength * steps)``
    and that many steps follow, so the first assumes one entry less noise than was put in; kept as released.
    """
    if not 0 < strength <= 1:
        raise FiguraInputError("strength", f"{strength:g}", "more than 0, at most 1")
    every = full_plan(steps)
    if strength == 1 and not legacy:
        return every
    count = min(int(strength * steps), steps - 1)
    if count < 1:
        raise FiguraInputError(
            "strength", f"{strength:g} of {steps} steps, which is none", "one step or more",
            "Raise the strength or the steps.",
        )  # fmt: skip
    start = every.alphas[count] if strength < 1 else None
    return Plan(every.timesteps[:count], every.alphas[:count], every.alphas_prev[:count], start)


def noised(latents: Tensor, noise: Tensor, alpha: float) -> Tensor:
    """Mix noise into latents at cumulative alpha ``alpha``."""
    return alpha**0.5 * latents + (1 - alpha) ** 0.5 * noise


def guided(positive: Tensor, negative: Tensor, scale: float) -> Tensor:
    """Classifier-free guidance (Ho & Salimans 2022)."""
    return negative + scale * (positive - negative)


def check_eta(eta: float) -> None:
    """Refuse a share of fresh noise that is none."""
    if not 0 <= eta <= 1:
        raise FiguraInputError("eta", f"{eta:g}", "0 to 1")


def denoise(
    predict: Predict,
    latents: Tensor,
    steps: Plan,
    *,
    eta: float = 0.0,
    seeds: Sequence[int] | None = None,
    progress: Progress = silent,
) -> Tensor:
    """Run the steps from the noisiest to the cleanest; latents and result [B, 4, h, w], scaled by 0.18215.

    The last step ends at the schedule's first alpha, not at 1: 3 % of the predicted noise stays, as released.
    ``seeds`` (one per sample) feed the noise that ``eta`` > 0 adds.
    """
    check_eta(eta)
    generators = [generator(seed) for seed in seeds or batch_seeds(0, len(latents))]
    total = len(steps.timesteps)
    rows = zip(steps.timesteps, steps.alphas, steps.alphas_prev, strict=True)
    for done, (timestep, alpha, alpha_prev) in enumerate(reversed(list(rows)), 1):
        eps = predict(latents, timestep)
        x0 = (latents - (1 - alpha) ** 0.5 * eps) / alpha**0.5
        sigma = eta * ((1 - alpha_prev) / (1 - alpha) * (1 - alpha / alpha_prev)) ** 0.5
        latents = alpha_prev**0.5 * x0 + (1 - alpha_prev - sigma**2) ** 0.5 * eps
        if sigma > 0:
            latents = latents + sigma * _noise_like(latents, generators)
        progress(done, total)
    return latents


def _noise_like(latents: Tensor, generators: Sequence[torch.Generator]) -> Tensor:
    rows = [torch.randn(latents.shape[1:], generator=source) for source in generators]
    return torch.stack(rows).to(latents)


def sigma_of(alpha: float) -> float:
    """Noise level as ComfyUI counts it, from a cumulative alpha."""
    return ((1 - alpha) / alpha) ** 0.5


def sigmas(steps: Plan) -> Tensor:
    """The plan as descending sigmas [steps + 1] for an Euler sampler, ending where the plan ends."""
    levels = [*reversed(steps.alphas), steps.alphas_prev[0]]
    return torch.tensor([sigma_of(alpha) for alpha in levels], dtype=torch.float32)


def starting(steps: Plan, noise: Tensor, latents: Tensor | None = None) -> Tensor:
    """What the first step begins with: unit noise, or an initial picture noised to the plan's start."""
    if steps.start is None:
        return noise
    if latents is None:
        raise FiguraInputError(
            "image", "nothing, with a strength below 1", "a picture to start from", "Set the strength to 1."
        )
    return noised(latents.to(noise), noise, steps.start)


def to_euler(latents: Tensor, steps: Plan) -> Tensor:
    """Latents of unit variance at the plan's first step -> as an Euler sampler over sigmas holds them."""
    return latents / steps.alphas[-1] ** 0.5


def from_euler(latents: Tensor, steps: Plan) -> Tensor:
    """An Euler sampler's result at the plan's last sigma -> latents of unit variance."""
    return latents * steps.alphas_prev[0] ** 0.5
