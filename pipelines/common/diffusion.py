"""Noise schedules, and the plain sampling loop of the command line (ComfyUI brings its own).

Schedules are those of diffusers, by the names that users of the released scripts know.
"""

import inspect
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from .errors import FiguraInputError
from .progress import Progress, silent
from .seeds import generator
from .text import PromptEmbeds

SAMPLERS = {
    "ddim": "DDIMScheduler",
    "pndm": "PNDMScheduler",
    "lms": "LMSDiscreteScheduler",
    "euler": "EulerDiscreteScheduler",
    "euler_a": "EulerAncestralDiscreteScheduler",
    "dpm": "DPMSolverMultistepScheduler",
}
STABLE_DIFFUSION: dict[
    str, Any
] = {  # the schedule that SD1.5, SD2 and SDXL share; bases may say more in theirs
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "num_train_timesteps": 1000,
    "steps_offset": 1,
    "clip_sample": False,
    "set_alpha_to_one": False,
    "skip_prk_steps": True,
    "prediction_type": "epsilon",
}
Predict = Callable[[Tensor, Tensor], Tensor]


def make_scheduler(sampler: str, config: dict[str, Any] | None = None) -> Any:
    """A diffusers scheduler by its short name, with a base's configuration (Stable Diffusion's if None)."""
    import diffusers

    if sampler not in SAMPLERS:
        raise FiguraInputError("sampler", repr(sampler), f"one of {', '.join(SAMPLERS)}")
    plain = {k: v for k, v in (config or STABLE_DIFFUSION).items() if not k.startswith("_")}
    return getattr(diffusers, SAMPLERS[sampler]).from_config(plain)


def guided(
    unet: nn.Module, positive: PromptEmbeds, negative: PromptEmbeds, scale: float, **added: Any
) -> Predict:
    """Classifier-free guidance as one doubled batch: ``negative + scale * (positive - negative)``.

    Args:
        unet: a diffusers UNet. positive, negative: rows [B] each, or one row for all.
        scale: 1 runs the positive half alone.
        added: ``time_ids`` [1, 6] for SDXL, with ``negative_time_ids`` where they differ (the refiner).
    """
    halves = [positive] if scale == 1 else [negative, positive]
    ids = [added.get("time_ids")] if scale == 1 else [_negative_ids(added), added.get("time_ids")]

    def predict(latents: Tensor, timestep: Tensor) -> Tensor:
        count = latents.shape[0]
        context = torch.cat([_rows(half.embeds, count) for half in halves])
        conditions = {}
        if positive.pooled is not None and ids[0] is not None:
            conditions["text_embeds"] = torch.cat([_rows(half.pooled, count) for half in halves])  # type: ignore
            conditions["time_ids"] = torch.cat([_rows(row, count) for row in ids])  # type: ignore
        out = unet(
            torch.cat([latents] * len(halves)), timestep, context, added_cond_kwargs=conditions or None
        ).sample
        if scale == 1:
            return out
        without, with_prompt = out.chunk(2)
        return without + scale * (with_prompt - without)

    return predict


def _negative_ids(added: dict[str, Any]) -> Tensor | None:
    other = added.get("negative_time_ids")
    return added.get("time_ids") if other is None else other


def _rows(tensor: Tensor, count: int) -> Tensor:
    return tensor.expand(count, *tensor.shape[1:]) if tensor.shape[0] == 1 else tensor


@torch.no_grad()
def sample(
    predict: Predict,
    scheduler: Any,
    shape: Sequence[int],
    seeds: Sequence[int],
    steps: int,
    *,
    start: Tensor | None = None,
    strength: float = 1.0,
    device: torch.device | str = "cpu",
    dtype: torch.dtype = torch.float32,
    progress: Progress = silent,
) -> Tensor:
    """Denoise from noise, or from ``start`` with the last ``strength`` share of the steps.

    Args:
        predict: (latents as the network wants them, timestep) -> prediction after guidance.
        shape: of one sample, [C, h, w]. seeds: one per sample; image i does not depend on the others.
        steps: of the whole schedule; ``int(steps * strength)`` are run.
        start: latents [B, C, h, w] to refine, in the network's scale.
        progress: called after each step with a rough preview; may raise to stop.

    Returns: latents [B, C, h, w] in ``dtype`` on ``device``.
    """
    if steps < 1:
        raise FiguraInputError("steps", str(steps), "1 or more")
    scheduler.set_timesteps(steps, device=device)
    generators = [generator(seed) for seed in seeds]
    fresh = torch.stack([torch.randn(tuple(shape), generator=rng) for rng in generators]).to(device)
    timesteps = scheduler.timesteps
    if start is None:
        latents = fresh * scheduler.init_noise_sigma
    else:
        run = min(int(round(steps * strength, 6)), steps)
        if run < 1:
            return start
        timesteps = timesteps[(len(timesteps) // steps) * (steps - run) :]
        if hasattr(scheduler, "set_begin_index"):
            scheduler.set_begin_index(len(scheduler.timesteps) - len(timesteps))
        latents = scheduler.add_noise(start.to(device).float(), fresh, timesteps[:1].repeat(len(seeds)))
    extra = _step_arguments(scheduler, generators)
    for i, timestep in enumerate(timesteps):
        scaled = scheduler.scale_model_input(latents, timestep).to(dtype)
        prediction = predict(scaled, timestep).float()
        latents = scheduler.step(prediction, timestep, latents, **extra).prev_sample
        progress(i + 1, len(timesteps), preview(latents))
    return latents.to(dtype)


def _step_arguments(scheduler: Any, generators: list[torch.Generator]) -> dict[str, Any]:
    """Samplers that add noise at each step draw it from the samples' own generators."""
    known = inspect.signature(scheduler.step).parameters
    return {"generator": generators} if "generator" in known else {}


def preview(latents: Tensor) -> Tensor:
    """A rough picture [3, h, w] in [-1, 1] of the first sample: its first three latent channels."""
    return (latents[0, :3].detach().float() / 2).clamp(-1, 1).cpu()


@torch.no_grad()
def decode(vae: nn.Module, latents: Tensor) -> Tensor:
    """Latents [B, C, h, w] in the network's scale -> pixels [B, 3, H, W] in [-1, 1], one sample at a time."""
    config: Any = vae.config
    weights = next(vae.parameters())
    scaled = latents.to(weights.device, weights.dtype) / config.scaling_factor
    pixels = torch.cat([vae.decode(one[None]).sample for one in scaled])  # type: ignore[operator]
    return pixels.float().clamp(-1, 1).cpu()
