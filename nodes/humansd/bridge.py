"""HumanSD on ComfyUI: its model class, checkpoints as MODEL, CLIP and VAE, skeletons on CONDITIONING.

Nothing is registered in ComfyUI's tables: only our loader builds this class. The stock loader takes a HumanSD
file for an inpainting model, which then fails at sampling.
"""

import logging

import comfy.sample
import comfy.samplers
import comfy.utils
import latent_preview
import node_helpers
import torch
from comfy import model_base, model_management, supported_models
from comfy.k_diffusion.sampling import sample_euler
from torch import Tensor

from ...pipelines.common import seeds
from ...pipelines.common.errors import FiguraInputError
from ...pipelines.humansd import conditioning, ddim
from ...pipelines.humansd.canvas import on_canvas
from ...pipelines.humansd.checkpoint import Checkpoint
from ...pipelines.humansd.conditioning import Segment, SkeletonLatents
from ...pipelines.humansd.defaults import LATENT_CHANNELS
from .. import native

log = logging.getLogger(__name__)
SKELETON = "concat_latent_image"  # ComfyUI's own name, so that InstructPixToPixConditioning works as well


class HumanSDModel(model_base.BaseModel):
    """SD2.1's BaseModel whose four extra input channels take the skeleton's latent."""

    def concat_cond(self, **conds):
        """Return the skeleton's latent at the noise's size. Without one this is an error, never a guess."""
        if conds.get("noise_concat") is not None:
            return None  # given ready-made by another node; BaseModel takes it from there
        noise, latents = conds["noise"], conds.get(SKELETON)
        if latents is None:
            raise FiguraInputError(
                "conditioning", "a positive or negative without a skeleton",
                "both from HumanSD Apply Skeleton",
                "Put HumanSD Apply Skeleton between prompts and sampler, and connect both its outputs.",
            )  # fmt: skip
        latents = self.process_latent_in(latents)
        if latents.shape[2:] != noise.shape[2:]:
            log.warning("skeleton latent %s resized to %s", list(latents.shape[2:]), list(noise.shape[2:]))
            latents = comfy.utils.common_upscale(
                latents, noise.shape[3], noise.shape[2], "bilinear", "disabled"
            )
        return conditioning.repeat_rows(latents, noise.shape[0]).to(conds["device"])


class HumanSD(supported_models.SD20):
    """SD2.1's settings for a UNet of 8 input channels that is no inpainting model and predicts noise."""

    def inpaint_model(self):
        """No mask channels."""
        return False

    def model_type(self, state_dict, prefix=""):
        """Noise prediction."""
        return model_base.ModelType.EPS


def load(checkpoint: Checkpoint, dtype: torch.dtype | None = None):
    """Build (MODEL, CLIP, VAE) from a checkpoint's parts; each is checked before it is built."""
    vae = native.load_vae(checkpoint.vae, what=f"{checkpoint.name}, VAE")
    encoders = {"clip_h": checkpoint.text}
    clip = native.load_clip(encoders, supported_models.SD20, what=f"{checkpoint.name}, text encoder")
    return load_model(checkpoint, dtype), clip, vae


def load_model(checkpoint: Checkpoint, dtype: torch.dtype | None = None):
    """Build the MODEL alone."""
    return native.load_unet(
        checkpoint.unet, checkpoint.unet_config, HumanSD, base_model=HumanSDModel, dtype=dtype,
        what=f"{checkpoint.name}, UNet",
    )  # fmt: skip


def require_model(model) -> None:
    """Raise FiguraInputError unless the MODEL came from our loader."""
    network = getattr(model, "model", None)
    if not isinstance(network, HumanSDModel):
        came = "nothing" if network is None else f"a {type(network.model_config).__name__} model"
        raise FiguraInputError("model", came, "a HumanSD model", "Connect HumanSD Loader.")


def encode_skeleton(vae, skeleton: Tensor, strength: float, parts: list[Segment]) -> SkeletonLatents:
    """Encode skeleton pictures with ComfyUI's VAE."""
    if vae is None:
        raise FiguraInputError("vae", "nothing", "the VAE output of HumanSD Loader")
    always = all(part.active for part in parts)
    return conditioning.encode_skeleton(vae.encode, skeleton, strength, always)


def with_skeleton(conds, latents: SkeletonLatents, parts: list[Segment]):
    """Set the skeleton on every entry of a CONDITIONING, split where it counts only for a while."""
    if not conds:
        raise FiguraInputError("conditioning", "an empty list", "the output of CLIP Text Encode")
    entries = []
    for entry in conds:
        start, end = entry[1].get("start_percent", 0.0), entry[1].get("end_percent", 1.0)
        for part in parts:
            shared = conditioning.overlap(part, start, end)
            if shared:
                entries += _entry(entry, shared, latents.pose if shared.active else latents.empty)
    return entries


def _entry(entry, part: Segment, latents: Tensor | None):
    values = {SKELETON: latents}
    if (part.start, part.end) != (0.0, 1.0):
        values |= {"start_percent": part.start, "end_percent": part.end}
    return node_helpers.conditioning_set_values([entry], values)


def empty_latent(latents: SkeletonLatents, pictures: int) -> dict:
    """An empty LATENT of the skeletons' size, ``pictures`` for each of them."""
    if pictures < 1:
        raise FiguraInputError("batch_size", str(pictures), "1 or more")
    count, _, height, width = latents.pose.shape
    shape = (count * pictures, LATENT_CHANNELS, height, width)
    return {"samples": torch.zeros(shape, device=model_management.intermediate_device())}


def encode_prompt(clip, text: str):
    """CONDITIONING of one prompt, as CLIP Text Encode makes it."""
    if clip is None:
        raise FiguraInputError("clip", "nothing", "the CLIP output of HumanSD Loader")
    return clip.encode_from_tokens_scheduled(clip.tokenize(text))


def encode_start(vae, image: Tensor, latents: SkeletonLatents) -> Tensor:
    """Encode the initial picture at the skeletons' size, in the network's scale."""
    height, width = (8 * side for side in latents.pose.shape[2:])
    start = vae.encode(on_canvas(image, "image", (height, width)))
    return HumanSD.latent_format().process_in(start)


def sample(model, positive, negative, shape, seed: int, cfg: float, plan: ddim.Plan, start=None):
    """Paint a LATENT of ``shape`` (pictures, 4, h, w), picture i from the noise of ``seed + i``."""
    require_model(model)
    if not 1 <= cfg <= 100:
        raise FiguraInputError("cfg", f"{cfg:g}", "1 to 100")
    noise = seeds.noise(shape[1:], seeds.batch_seeds(seed, shape[0]))
    return {"samples": sample_latents(model, positive, negative, noise, cfg, plan, start)}


def sample_latents(model, positive, negative, noise: Tensor, cfg: float, plan: ddim.Plan, start=None):
    """Run the released DDIM through ComfyUI's sampling, with its previews and interrupt.

    ``start``: latents of an initial picture in the network's scale [1 or B, 4, h, w], or None.
    Returns latents as LATENT holds them.
    """
    latents = ddim.to_euler(ddim.starting(plan, noise, start), plan)

    def euler(network, x, sigmas, **options):
        return sample_euler(network, latents.to(x), sigmas, **options)

    samples = comfy.sample.sample_custom(
        model, noise, cfg, comfy.samplers.KSAMPLER(euler), ddim.sigmas(plan), positive, negative,
        torch.zeros_like(noise), callback=latent_preview.prepare_callback(model, len(plan.timesteps)),
        disable_pbar=not comfy.utils.PROGRESS_BAR_ENABLED,
    )  # fmt: skip
    return ddim.from_euler(samples, plan)
