"""Parts, a pose and a sentence to pictures, without ComfyUI (paper sections 3.2 to 3.4)."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..common.errors import FiguraInputError
from ..common.least_size import check_least, levels_of
from ..common.progress import Progress, silent
from ..common.seeds import batch_seeds, noise
from .checkpoint import (
    Decoupled,
    check_folder,
    load_reference_unet,
    load_unet,
    pose_structure,
    read_component,
    read_json,
)
from .densepose import prepare_pose, to_iuv
from .encoders import (
    ImageEncoder,
    TextEncoder,
    Vae,
    load_image_encoder,
    load_text_encoder,
    load_vae,
    new,
    place,
)
from .parts import Part, check_parts, check_size, prepare
from .pose_guider import PoseGuider, load_pose_guider
from .reference import Bank, PartFeatures, make_bank
from .unet import Condition, UNet, build_unet, conditioned, read_part

SCHEDULER = {
    "num_train_timesteps": 1000, "beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "linear",
    "steps_offset": 1, "clip_sample": False, "set_alpha_to_one": False, "prediction_type": "epsilon",
    "timestep_spacing": "leading",
}  # fmt: skip


@dataclass
class Model:
    """Everything in the released folder, on one device."""

    unet: UNet
    decoupled: Decoupled | None
    reference_unet: UNet
    guider: PoseGuider | None
    vae: Vae
    text: TextEncoder
    image: ImageEncoder
    scheduler: dict[str, Any]
    device: torch.device
    dtype: torch.dtype


@dataclass(frozen=True)
class Settings:
    """How a person is drawn from its bank."""

    steps: int = 50
    guidance: float = 3.5
    reference_strength: float = 1.0
    image_strength: float = 1.0
    pose_strength: float = 1.0


def load(folder: Path, device: str | torch.device = "cpu", dtype: torch.dtype = torch.float32) -> Model:
    """Read the released folder. Sizes come from its files, so that networks of any size load.

    Raises: FiguraWeightsError listing missing files and what each is for.
    """
    device = torch.device(device)
    check_folder(folder)
    weights, dc = load_unet(folder)
    config = folder / "scheduler" / "scheduler_config.json"
    return Model(
        place(build_unet(weights), device, dtype),
        dc,
        place(build_unet(load_reference_unet(folder), "reference_unet"), "cpu", dtype),
        load_guider(folder, device, dtype),
        load_vae(folder, device, dtype),
        load_text_encoder(folder, device, dtype),
        load_image_encoder(folder, device, dtype),
        read_json(config) if config.is_file() else SCHEDULER,
        device,
        dtype,
    )


def load_guider(
    folder: Path, device: torch.device | str = "cpu", dtype: torch.dtype = torch.float32
) -> PoseGuider | None:
    """Read ``pose_guider/``, or None where the folder has none."""
    if not (folder / "pose_guider").is_dir():
        return None
    return place(
        load_pose_guider(read_component(folder, "pose_guider"), pose_structure(folder)), device, dtype
    )


def check_fits(model: Model, width: int, height: int) -> None:
    """Refuse a size that is none, or too small for these networks. Raises: FiguraInputError."""
    check_size(width, height)
    unets = [levels_of(unet, 8) for unet in (model.unet, model.reference_unet)]
    check_least(width, height, [*unets, levels_of(model.vae.model)])


@torch.inference_mode()
def encode_parts(
    model: Model,
    parts: Sequence[Part],
    width: int,
    height: int,
    compatible: bool = False,
    progress: Progress = silent,
) -> Bank:
    """Read one to six parts into a bank for pictures of ``width`` x ``height``.

    Args:
        compatible: do as the published script: every part under the first part's label, masks ignored (alpha
            still counts), features rounded to float16.
    """
    check_fits(model, width, height)
    parts = check_parts(parts)
    if compatible:
        parts = [ignore_mask(part) for part in parts]
    features, embeds = [], []
    labels = model.text([parts[0].label if compatible else part.label for part in parts])
    model.reference_unet.to(model.device)
    try:
        for i, part in enumerate(parts):
            ready = prepare(part, width, height)
            latents = model.vae.encode(ready.pixels)
            seen = PartFeatures(part.label, part.weight, ready.mask)
            features.append(
                read_part(
                    model.reference_unet,
                    seen,
                    latents,
                    labels[i : i + 1],
                    torch.float16 if compatible else None,
                )
            )
            embeds.append(model.image(ready.original))
            progress(i + 1, len(parts))
    finally:
        model.reference_unet.to("cpu")
    return make_bank(features, embeds, labels[:1], (width, height), compatible)


def ignore_mask(part: Part) -> Part:
    """The part as the published example reads it: its mask never arrives, a picture's alpha does."""
    alpha = part.image[..., 3] if part.image.shape[-1] == 4 else None
    return Part(part.image, part.label, alpha, part.weight, part.fit)


def read_pose(
    guider: PoseGuider | None, image: Tensor, size: tuple[int, int], convert: bool = False
) -> Tensor:
    """Check a pose picture [B, H, W, 3] and return guider features [B, C, height / 8, width / 8].

    Args:
        size: (width, height) of the output.
        convert: accept a coloured DensePose part map.
    """
    if guider is None:
        raise FiguraInputError("pose", "a pose picture, but the model folder has no pose_guider", "no pose")
    if guider.structure == "densepose":
        image = to_iuv(image, convert)
    parameter = next(guider.parameters())
    return guider(prepare_pose(image, *size).to(parameter.device, parameter.dtype))


@torch.inference_mode()
def generate(
    model: Model,
    bank: Bank,
    prompt: str,
    negative: str = "",
    pose: Tensor | None = None,
    seed: int = 42,
    count: int = 1,
    settings: Settings | None = None,
    progress: Progress = silent,
) -> Tensor:
    """Draw ``count`` pictures of the person, pixels [count, 3, H, W] in [-1, 1].

    Args:
        pose: guider features [1 or count, C, H/8, W/8] from ``read_pose``.
        seed: picture i uses seed + i, whatever the count.
    """
    settings = settings or Settings()
    scheduler = make_scheduler(model.scheduler)
    latents = (
        noise((4, bank.height // 8, bank.width // 8), batch_seeds(seed, count)) * scheduler.init_noise_sigma
    )
    step = denoiser(model, bank, prompt, negative, pose, count, settings)
    with step.condition:
        latents = sample(
            scheduler, latents.to(model.device), settings.steps, step.predict,
            lambda done, total, _: progress(done, total),
        )  # fmt: skip
    return model.vae.decode(latents)


@dataclass
class Denoiser:
    """A noise predictor and the context that it needs to be called in."""

    condition: Any
    predict: Callable[[Tensor, Tensor | int], Tensor]


def denoiser(
    model: Model, bank: Bank, prompt: str, negative: str, pose: Tensor | None, count: int, settings: Settings
) -> Denoiser:
    """Prepare guided noise prediction; without guidance (scale 1) the unconditional half is not computed."""
    guided = settings.guidance != 1
    texts = ([negative] if guided else []) + [prompt]
    embeds = model.text(texts)
    if bank.compatible:
        embeds[-1:] = bank.label_embeds.to(embeds)
    flags = (False, True) if guided else (True,)
    embeds, keys = _with_image_tokens(model, bank, embeds, flags)
    embeds = embeds.repeat_interleave(count, dim=0)
    feature = None if pose is None else pose * settings.pose_strength
    condition = Condition(
        bank, keys, feature, flags, settings.reference_strength, settings.image_strength
    )  # fmt: skip

    def predict(latents: Tensor, timestep: Tensor | int) -> Tensor:
        batch = torch.cat([latents] * len(flags)).to(model.dtype)
        eps = model.unet(batch, timestep, encoder_hidden_states=embeds, return_dict=False)[0].float()
        return guide(eps, settings.guidance) if guided else eps

    return Denoiser(conditioned(model.unet, condition), predict)


def _with_image_tokens(model: Model, bank: Bank, embeds: Tensor, flags: Sequence[bool]):
    """Keys and values of the CLIP tokens; without decoupled attention they are appended to the text."""
    if model.decoupled is not None:
        return embeds, model.decoupled.project(bank.padded_tokens())
    tokens = torch.cat([bank.image_tokens if flag else torch.zeros_like(bank.image_tokens) for flag in flags])
    return torch.cat([embeds, tokens.to(embeds)], dim=1), None


def guide(eps: Tensor, scale: float) -> Tensor:
    """Classifier-free guidance: [2B, ...] as unconditional then conditional rows -> [B, ...]."""
    unconditional, conditional = eps.chunk(2)
    return unconditional + scale * (conditional - unconditional)


def make_scheduler(config: dict[str, Any]) -> Any:
    """The DDIM scheduler of a scheduler_config.json."""
    from diffusers.schedulers.scheduling_ddim import DDIMScheduler

    return new(DDIMScheduler, config)


def sample(
    scheduler: Any,
    latents: Tensor,
    steps: int,
    predict: Callable[[Tensor, Tensor | int], Tensor],
    after_step: Callable[[int, int, Tensor], None],
) -> Tensor:
    """Denoise latents in ``steps`` DDIM steps without added noise (eta 0)."""
    scheduler.set_timesteps(steps)
    for i, timestep in enumerate(scheduler.timesteps):
        latents = scheduler.step(predict(latents, timestep), timestep, latents, eta=0.0, return_dict=False)[0]
        after_step(i + 1, steps, latents)
    return latents
