"""Parts2Whole on ComfyUI: the released folder as MODEL, CLIP, VAE, CLIP_VISION; references as patches."""

import json
import logging
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import comfy.clip_vision
import comfy.utils
import torch
from comfy import model_sampling, supported_models
from comfy.ldm.modules.attention import optimized_attention
from comfy.model_patcher import ModelPatcher
from comfy.patcher_extension import CallbacksMP, WrappersMP
from torch import Tensor

from ...pipelines.common.errors import FiguraInputError, FiguraWeightsError
from ...pipelines.common.least_size import check_least
from ...pipelines.common.progress import Progress, silent
from ...pipelines.parts2whole import checkpoint
from ...pipelines.parts2whole.densepose import prepare_pose
from ...pipelines.parts2whole.generate import SCHEDULER, ignore_mask, load_guider
from ...pipelines.parts2whole.parts import Part, check_parts, check_size, prepare
from ...pipelines.parts2whole.reference import Bank, PartFeatures, make_bank
from .. import host, native
from .patches import Applied, CrossAttention, Pose, Run, SelfAttention, Strengths, Text, module_name

log = logging.getLogger(__name__)
KEY = "figura_parts2whole"
BETAS = {"linear": "sqrt_linear", "scaled_linear": "linear"}
"""diffusers' names of noise schedules, and ComfyUI's for the same ones: its "linear" is another's."""
VISION = {
    "num_channels": 3, "hidden_act": "quick_gelu", "layer_norm_eps": 1e-5, "projection_dim": 768,
    "model_type": "clip_vision_model",
}  # fmt: skip
"""What an image encoder's config.json may leave out."""


@dataclass(frozen=True)
class Bundle:
    """What Parts2Whole has beside an ordinary SD1.5: travels on FIGURA_PARTS2WHOLE."""

    name: str
    reference: ModelPatcher
    guider: ModelPatcher | None
    structure: str
    decoupled: checkpoint.Decoupled | None


def load(path: Path, dtype: torch.dtype | None = None):
    """Read the released folder -> (MODEL, CLIP, VAE, CLIP_VISION, Bundle)."""
    checkpoint.check_folder(path)
    weights, decoupled = checkpoint.load_unet(path)
    model = _unet(weights, dtype, f"{path.name}/unet")
    model.add_object_patch("model_sampling", _sampling(model, path))
    reference = _unet(checkpoint.load_reference_unet(path), dtype, f"{path.name}/reference_unet")
    guider = load_guider(path)
    bundle = Bundle(
        path.name, reference, None if guider is None else host.as_patcher(guider),
        "densepose" if guider is None else guider.structure, decoupled,
    )  # fmt: skip
    text = checkpoint.read_component(path, "text_encoder")
    config = checkpoint.read_json(path / "text_encoder" / "config.json")
    clip = native.load_clip({"clip_l": text}, supported_models.SD15, configs={"clip_l": config})
    vae = native.load_vae(checkpoint.read_component(path, "vae"), what=f"{path.name}/vae")
    return model, clip, vae, _clip_vision(path), bundle


def _unet(weights: checkpoint.UNetWeights, dtype: torch.dtype | None, what: str) -> ModelPatcher:
    config = native.unet_config_from_diffusers(weights.config)
    return native.load_unet(weights.state, config, supported_models.SD15, dtype=dtype, what=what)


def _sampling(model: ModelPatcher, path: Path):
    """The noise schedule of scheduler_config.json: betas run linearly, which no stock node sets."""

    class ModelSampling(model_sampling.ModelSamplingDiscrete, model_sampling.EPS):
        pass

    file = path / "scheduler" / "scheduler_config.json"
    config = checkpoint.read_json(file) if file.is_file() else SCHEDULER
    schedule = config.get("beta_schedule", "linear")
    if schedule not in BETAS or config.get("prediction_type", "epsilon") != "epsilon":
        came = f"beta_schedule '{schedule}', prediction_type '{config.get('prediction_type')}'"
        raise FiguraWeightsError(f"{path.name}/{file.name}", came, f"one of {list(BETAS)}, epsilon")
    sampling = ModelSampling(model.model.model_config)
    sampling._register_schedule(
        beta_schedule=BETAS[schedule],
        timesteps=config.get("num_train_timesteps", 1000),
        linear_start=config.get("beta_start", checkpoint.BETA_START),
        linear_end=config.get("beta_end", checkpoint.BETA_END),
    )
    return sampling


def _clip_vision(path: Path) -> comfy.clip_vision.ClipVisionModel:
    """ComfyUI's image encoder of the size in image_encoder/config.json; its constructor reads a file."""
    config = VISION | checkpoint.read_json(path / "image_encoder" / "config.json")
    state = checkpoint.read_component(path, "image_encoder")
    with tempfile.TemporaryDirectory() as scratch:
        file = Path(scratch) / "config.json"
        file.write_text(json.dumps(config), encoding="utf-8")
        vision = comfy.clip_vision.ClipVisionModel(str(file))
    missing, unexpected = vision.load_sd(
        {key: x for key, x in state.items() if not key.endswith("position_ids")}
    )
    if missing or unexpected:
        came = f"{len(missing)} missing and {len(unexpected)} unknown tensors: {(missing + unexpected)[:5]}"
        raise FiguraWeightsError(f"{path.name}/image_encoder", came, "what its config.json says")
    return vision


def encode(
    bundle: Bundle,
    clip,
    vae,
    clip_vision,
    parts: Sequence[Part],
    width: int,
    height: int,
    compatible: bool = False,
    progress: Progress = silent,
) -> tuple[Bank, Tensor]:
    """Read the parts into a bank; also return the pictures as read, [n, H, W, 3], dark where masked out."""
    check_size(width, height)
    check_least(width, height, native.unet_levels(bundle.reference))
    parts = [ignore_mask(part) if compatible else part for part in check_parts(parts)]
    ready = [prepare(part, width, height) for part in parts]
    labels = [encode_text(clip, parts[0].label if compatible else part.label) for part in parts]
    embeds = [clip_vision.encode_image(part.original)["image_embeds"] for part in ready]
    latents = [vae.encode((part.pixels.movedim(1, -1) + 1) / 2) for part in ready]
    host.on_device(bundle.reference)
    features = []
    for i, part in enumerate(ready):
        seen = PartFeatures(part.label, part.weight, part.mask)
        read_part(bundle.reference, seen, latents[i], labels[i], torch.float16 if compatible else None)
        features.append(seen)
        progress(i + 1, len(ready), part.pixels[0])
    shown = torch.cat([((part.pixels + 1) / 2 * (0.25 + 0.75 * part.mask)).movedim(1, -1) for part in ready])
    return make_bank(features, embeds, labels[0], (width, height), compatible), host.result(shown)


def encode_text(clip, text: str) -> Tensor:
    """The text encoder's hidden states of a text, [1, 77, D]."""
    return clip.encode_from_tokens(clip.tokenize(text))


def read_part(
    reference: ModelPatcher,
    part: PartFeatures,
    latents: Tensor,
    label: Tensor,
    store: torch.dtype | None = None,
) -> None:
    """Run the reference UNet once on unscaled VAE latents [1, 4, h, w], at timestep 0; record features.

    The network is called directly: ``apply_model`` would scale its input by a noise level.
    """
    model, device = reference.model, reference.load_device
    dtype = model.manual_cast_dtype or model.get_dtype()
    names = _names(model.diffusion_model)

    def record(n, context, value, options):
        part.record(names[options["block"]], n, store)
        return n, context, value

    latents = model.process_latent_in(latents).to(device, dtype)
    model.diffusion_model(
        latents, timesteps=torch.zeros(1, device=device), context=label.to(device, dtype),
        transformer_options={"patches": {"attn1_patch": [record]}},
    )  # fmt: skip


def _names(network) -> dict[tuple[str, int], str]:
    """ComfyUI's place of each transformer block -> diffusers' name."""
    blocks = [f"{way}_blocks.{i}.attentions.{j}" for way, count in (("down", 2), ("up", 3))
              for i in range(len(network.channel_mult)) for j in range(count)]  # fmt: skip
    return {checkpoint.comfyui_block(name): name for name in [*blocks, "mid_block.attentions.0"]}


def read_pose(bundle: Bundle, image: Tensor, size: tuple[int, int]) -> Tensor:
    """Pose pictures [B, H, W, 3], already checked, -> guider features on the CPU."""
    if bundle.guider is None:
        raise FiguraInputError(
            "pose", "a pose picture", f"no pose: the folder {bundle.name} has no pose_guider",
            "Download pose_guider beside the other folders, or unplug the pose.",
        )  # fmt: skip
    guider = host.on_device(bundle.guider)
    return guider(prepare_pose(image, *size).to(bundle.guider.load_device)).cpu()


def apply(
    model: ModelPatcher,
    bundle: Bundle,
    bank: Bank,
    strengths: Strengths,
    pose: Tensor | None = None,
    decoupled: bool = True,
) -> ModelPatcher:
    """Return a clone of MODEL that the references act on. References applied earlier are replaced.

    Args:
        pose: features from ``read_pose``.
        decoupled: CLIP tokens through their own cross-attention; else they join the text.
    """
    own = decoupled and bundle.decoupled is not None
    keys = bundle.decoupled.project(bank.padded_tokens()) if own and bundle.decoupled else None
    applied = Applied(bank, strengths, keys, pose, _plain_attention)
    clone = model.clone()
    _check_blocks(clone, applied)
    _remove_ours(clone)
    for place in applied.blocks:
        _replace(clone, "attn1", place, SelfAttention(applied))
        if own:
            _replace(clone, "attn2", place, CrossAttention(applied))
    if bank.compatible or not own:
        clone.set_model_attn2_patch(Text(applied))
    clone.set_model_input_block_patch(Pose(applied))
    inner, sampling = clone.model, clone.get_model_object("model_sampling")
    applied.outside = Run(network=lambda: inner.diffusion_model, percent_to_sigma=sampling.percent_to_sigma)
    clone.add_wrapper_with_key(WrappersMP.OUTER_SAMPLE, KEY, _running(applied))
    clone.add_callback_with_key(CallbacksMP.ON_APPLY_HOOKS, KEY, applied.forget)
    return clone


def _plain_attention(q, k, v, options):
    return optimized_attention(
        q, k, v, options["n_heads"], attn_precision=options.get("attn_precision"), transformer_options=options
    )


def _check_blocks(model: ModelPatcher, applied: Applied) -> None:
    """Refuse a MODEL whose blocks are not those of the reference UNet."""
    network = model.model.diffusion_model
    names = dict(network.named_modules())
    for place, block in applied.blocks.items():
        attn1 = names.get(module_name(place))
        width = applied.bank.parts[0].kept[block].shape[2]
        if attn1 is None or attn1.to_k.weight.shape[1] != width:
            came = (
                type(model.model).__name__
                if attn1 is None
                else f"width {attn1.to_k.weight.shape[1]} at {block}"
            )
            raise FiguraInputError(
                "model", f"a network of another shape ({came})", f"SD1.5 like the references (width {width})",
                "Connect the model of Parts2Whole Loader.",
            )  # fmt: skip


def _replace(model: ModelPatcher, name: str, place: tuple, patch) -> None:
    """Put a patch over whatever holds a block's attention; the core looks for the longer key first."""
    there = model.model_options["transformer_options"].get("patches_replace", {}).get(name, {})
    index = 0 if (*place, 0) in there else None
    patch.earlier = there.get((*place, 0)) or there.get(place)
    model.set_model_patch_replace(patch, name, *place, index)


def _remove_ours(model: ModelPatcher) -> None:
    """Take an earlier Apply off a clone, so that the later one takes its place."""
    options = model.model_options["transformer_options"]
    patches = {name: [patch for patch in those if not hasattr(patch, "applied")]
               for name, those in options.get("patches", {}).items()}  # fmt: skip
    replaced = {}
    for name, those in options.get("patches_replace", {}).items():
        kept = {key: patch.earlier if hasattr(patch, "applied") else patch for key, patch in those.items()}
        replaced[name] = {key: patch for key, patch in kept.items() if patch is not None}
    options = {**options, "patches": patches, "patches_replace": replaced}
    model.model_options = {**model.model_options, "transformer_options": options}
    model.remove_wrappers_with_key(WrappersMP.OUTER_SAMPLE, KEY)
    model.remove_callbacks_with_key(CallbacksMP.ON_APPLY_HOOKS, KEY)


def _running(applied: Applied):
    """An OUTER_SAMPLE wrapper: prepares one sampling run, and drops everything of it at the end."""

    def wrapper(executor, noise, *args, **kwargs):
        guider, before = executor.class_obj, applied.run
        applied.check_size(noise)
        _warn_of_clashes(guider, applied)
        patcher = guider.model_patcher
        applied.run = Run(
            {entry["uuid"] for entry in guider.conds.get("positive") or [] if "uuid" in entry},
            network=lambda: patcher.get_model_object("diffusion_model"),
            percent_to_sigma=patcher.get_model_object("model_sampling").percent_to_sigma,
        )
        try:
            return executor(noise, *args, **kwargs)
        finally:
            applied.run = before

    return wrapper


def _warn_of_clashes(guider, applied: Applied) -> None:
    """Tell which nodes placed after Apply took a block's self-attention for themselves."""
    there = guider.model_options["transformer_options"].get("patches_replace", {}).get("attn1", {})
    holders = {place: there.get((*place, 0)) or there.get(place) for place in applied.blocks}
    lost = [place for place, holder in holders.items() if getattr(holder, "applied", None) is not applied]
    if lost:
        names = ", ".join(f"{place[0]} {place[1]}" for place in lost)
        log.warning(
            "Parts2Whole: a node after Apply replaced the self-attention of block %s; the references do not"
            " act there. Put Parts2Whole Apply after that node.", names,
        )  # fmt: skip
    if any("perturbed" in getattr(f, "__qualname__", "").lower() or "_pag" in getattr(f, "__module__", "")
           for f in guider.model_options.get("sampler_post_cfg_function", [])):  # fmt: skip
        log.warning(
            "Parts2Whole: perturbed-attention guidance compares with a pass whose middle block sees no"
            " references: expect them to act more strongly"
        )
