"""CosmicMan's files as ComfyUI's own MODEL, CLIP and VAE, and the passes through ComfyUI's own samplers."""

import inspect
from dataclasses import dataclass
from pathlib import Path

import comfy.sample
import comfy.samplers
import comfy.utils
import latent_preview
import torch
from comfy import supported_models
from comfy.k_diffusion.sampling import BrownianTreeNoiseSampler
from torch import Tensor

from ...pipelines.common import base_parts
from ...pipelines.common.errors import FiguraInputError, FiguraWeightsError
from ...pipelines.common.least_size import check_least
from ...pipelines.common.seeds import check_seed, generator
from ...pipelines.cosmicman import checkpoint, recipe
from .. import host, native

UNETS = "diffusion_models"
DEMO = "base/*-sd15"  # a whole model: the UNet and its base in one folder
VARIANTS = {"auto": "auto", "SDXL": "sdxl", "SD": "sd"}
FAMILIES = {"sdxl": supported_models.SDXL, "sd": supported_models.SD15}
NO_UNET = "no file: put CosmicMan-SDXL/ (config.json and .safetensors) into models/diffusion_models"
NO_BASE = "no file: put sd_xl_base_1.0.safetensors into models/checkpoints"
STEM = "diffusion_pytorch_model"


def sampler_names() -> tuple[list[str], list[str]]:
    """Names of ComfyUI's samplers and schedulers, those that other packs added among them."""
    return comfy.samplers.KSampler.SAMPLERS, comfy.samplers.KSampler.SCHEDULERS


def unet_names() -> list[str]:
    """Folders as the hub has them (one name each), then single files, of models/diffusion_models."""
    names = host.list_models(UNETS, demo=DEMO)
    folders = sorted({_folder(name) for name in names if _folder(name)})
    return folders + [name for name in names if not _folder(name)] or [NO_UNET]


def _folder(name: str) -> str:
    """``CosmicMan-SDXL`` for ``CosmicMan-SDXL/diffusion_pytorch_model.safetensors``; else empty."""
    parent, _, file = name.replace("\\", "/").rpartition("/")
    return parent if file.startswith(STEM) else ""


def unet_path(name: str) -> Path:
    """The folder or file behind a name of ``unet_names``."""
    if name == NO_UNET:
        raise FiguraInputError(
            "unet", "nothing in models/diffusion_models", "CosmicMan's UNet", NO_UNET[9:] + "."
        )
    for file in host.list_models(UNETS, demo=DEMO):
        if _folder(file) == name.replace("\\", "/"):
            return host.model_path(UNETS, file, demo=DEMO).parent
    return host.model_path(UNETS, name, demo=DEMO)


def base_names() -> list[str]:
    """Checkpoints, or a line that says which file goes where."""
    return host.list_bases(DEMO) or [NO_BASE]


def base_path(name: str) -> Path:
    """The file behind a name of ``base_names``."""
    if name == NO_BASE:
        raise FiguraInputError(
            "base", "nothing in models/checkpoints", "the base that CosmicMan was made from",
            f"Put {checkpoint.BASES['sdxl']} there; for CosmicMan-SD {checkpoint.BASES['sd']}.",
        )  # fmt: skip
    return host.base_path(name, DEMO)


def token(resolve, name: str) -> str:
    """A cache token for ``fingerprint_inputs``: changes when the file, or a file of the folder, changes."""
    try:
        path = resolve(name)
        files = sorted(path.glob("*")) if path.is_dir() else [path]
        return " ".join(f"{file.stat().st_size}:{file.stat().st_mtime_ns}" for file in files)
    except (FiguraInputError, OSError):
        return name


def choice(what: str, name: str, choices: dict):
    """A combo's value; old ComfyUI lets any word through."""
    if name not in choices:
        raise FiguraInputError(what, repr(name), f"one of {', '.join(choices)}")
    return choices[name]


def load_unet(name: str, variant: str, dtype: str):
    """Open a UNet as MODEL; returns it with its variant (``sdxl`` or ``sd``)."""
    wanted, weight_type = choice("variant", variant, VARIANTS), native.weight_dtype(dtype)
    opened = checkpoint.open_unet(unet_path(name), wanted)
    sizes = native.unet_config_from_diffusers(opened.config)
    model = native.load_unet(opened.state, sizes, FAMILIES[opened.variant], dtype=weight_type, what=name)
    return model, opened.variant


def load_base(name: str, variant: str, with_model: bool, dtype: str):
    """Open a base checkpoint: (its own MODEL or None, CLIP, VAE). Refuses the base of the other variant."""
    path, weight_type = base_path(name), native.weight_dtype(dtype)
    found = base_parts.encoders_of(path)
    wanted = {"clip_l", "clip_g"} if variant == "sdxl" else {"clip_l"}
    if found and found != wanted:
        raise FiguraWeightsError(
            name, f"a checkpoint with the text encoders {', '.join(sorted(found))}",
            f"the base of this UNet: {checkpoint.BASES[variant]}", "Put it into models/checkpoints.",
        )  # fmt: skip
    parts = base_parts.open_parts(path, unet=with_model)
    family = FAMILIES[variant]
    model = None
    if with_model:
        sizes = parts.unet_config or native.unet_config_from_ldm(parts.unet, family)
        model = native.load_unet(parts.unet, sizes, family, dtype=weight_type, what=name)
    return model, native.load_clip(parts.encoders, family, what=name), native.load_vae(parts.vae, what=name)


@dataclass(frozen=True)
class Pass:
    """One run of a sampler: as KSampler's widgets, with ``denoise`` of the schedule."""

    model: object
    positive: list
    negative: list
    sampler: str
    scheduler: str
    steps: int
    cfg: float
    denoise: float = 1.0


def check_pass(run: Pass, latent: Tensor) -> None:
    """Refuse names that old ComfyUI lets through, and latents too small for a tiny model."""
    for what, name, known in (
        ("sampler_name", run.sampler, comfy.samplers.KSampler.SAMPLERS),
        ("scheduler", run.scheduler, comfy.samplers.KSampler.SCHEDULERS),
    ):
        if name not in known:
            raise FiguraInputError(what, repr(name), f"one of {', '.join(known)}")
    if run.steps < 1 or not 0 < run.denoise <= 1:
        raise FiguraInputError(
            "steps", f"{run.steps} at denoise {run.denoise}", "1 or more, above 0 and to 1"
        )
    height, width = (8 * side for side in latent.shape[2:])
    check_least(width, height, native.unet_levels(run.model))


def check_latent(latent: dict) -> Tensor:
    """The samples of a LATENT: at least one, finite."""
    samples = latent.get("samples")
    if not isinstance(samples, Tensor) or samples.ndim != 4 or 0 in samples.shape:
        came = list(samples.shape) if isinstance(samples, Tensor) else type(samples).__name__
        raise FiguraInputError(
            "latent_image", f"{came}", "latents [batch, 4, height/8, width/8], one or more"
        )
    if not torch.isfinite(samples).all():
        raise FiguraInputError("latent_image", "values that are NaN or infinite", "finite latents")
    return samples


def sample_seeds(latent: dict, seed: int, number: int = 0) -> list[int]:
    """Sample i of a batch draws from seed + i; after Latent From Batch, from its place in the old batch.

    The second pass (``number`` 1) draws from seeds of its own.
    """
    places = latent.get("batch_index") or range(latent["samples"].shape[0])
    first = check_seed(seed) + number * recipe.REFINE_SEED
    return [(first + place) % 2**64 for place in places]


def denoise(run: Pass, latent: dict, seeds: list[int]) -> dict:
    """Run one pass with ComfyUI's sampler and previews; noise of every sample comes from its own seed."""
    samples = comfy.sample.fix_empty_latent_channels(run.model, latent["samples"])
    streams = [generator(seed) for seed in seeds]

    def draw(*_) -> Tensor:
        return torch.stack([torch.randn(samples.shape[1:], generator=stream) for stream in streams])

    settings = comfy.samplers.KSampler(
        run.model, steps=run.steps, device=run.model.load_device, sampler=run.sampler,
        scheduler=run.scheduler, denoise=run.denoise, model_options=run.model.model_options,
    )  # fmt: skip
    noise = draw().to(samples.dtype)
    result = comfy.sample.sample_custom(
        run.model, noise, run.cfg, _sampler(run.sampler, noise, settings.sigmas, seeds, draw),
        settings.sigmas, run.positive, run.negative, samples, noise_mask=latent.get("noise_mask"),
        callback=latent_preview.prepare_callback(run.model, len(settings.sigmas) - 1),
        disable_pbar=not comfy.utils.PROGRESS_BAR_ENABLED, seed=seeds[0],
    )  # fmt: skip
    return {**latent, "samples": result}


def _sampler(name: str, noise: Tensor, sigmas: Tensor, seeds: list[int], draw):
    """ComfyUI's sampler; one that adds noise at its steps takes it from the samples' own generators."""
    sampler = comfy.samplers.sampler_object(name)
    if "noise_sampler" not in inspect.signature(sampler.sampler_function).parameters:
        return sampler
    if "sde" in name and name != "er_sde":
        low, high = sigmas[sigmas > 0].min(), sigmas.max()
        steps = BrownianTreeNoiseSampler(noise.float().to(sigmas.device), low, high, seed=seeds, cpu=True)
    else:

        def steps(*_):
            return draw().to(sigmas.device)

    sampler.extra_options = {**sampler.extra_options, "noise_sampler": steps}  # never in place: it is shared
    return sampler
