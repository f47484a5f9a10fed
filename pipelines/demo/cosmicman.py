"""CosmicMan in the demo: tiny random UNets and bases in the released layouts, and pictures from them."""

import json
import time
from pathlib import Path

import torch

from ..common import ldm, ldm_text, ldm_vae
from ..common.progress import Progress
from ..common.weights import StateDict, save_state_dict
from . import DemoResult

SDXL_BASE, SD_BASE = "sd_xl_base_1.0.safetensors", "v1-5-pruned.safetensors"
CONTROLNET, LORA = "OpenPoseXL2.safetensors", "film_grain_xl.safetensors"
PROMPT = (
    "a full-body shot, a young asian woman, fit, a white wall, long black hair, red cotton shirt, blue jeans"
)
DENSE_PROMPT = (
    "a full-body shot, a woman, a beige wall, long black hair, red sweater, blue pants, white shoes"
)
MANNEQUINS = Path(__file__).parent / "models" / "base" / "mannequins-sd15"  # UNet and base in one folder
WIDTHS = (64, 128, 128)
COMMON = {"block_out_channels": list(WIDTHS), "layers_per_block": 1, "sample_size": 16, "in_channels": 4}
SDXL_UNET = COMMON | {
    "_class_name": "UNet2DConditionModel",
    "down_block_types": ["DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"],
    "up_block_types": ["CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"],
    "transformer_layers_per_block": [1, 1, 2],
    "attention_head_dim": [1, 2, 2],
    "cross_attention_dim": 128,
    "use_linear_projection": True,
    "addition_embed_type": "text_time",
    "addition_time_embed_dim": 256,
    "projection_class_embeddings_input_dim": 64 + 6 * 256,
}
SD_UNET = COMMON | {
    "_class_name": "UNet2DConditionModel",
    "down_block_types": ["CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"],
    "up_block_types": ["UpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D"],
    "attention_head_dim": 8,
    "cross_attention_dim": 64,
}


def write_models(models_dir: Path) -> None:
    """Write CosmicMan-SDXL and -SD as the hub has them, and their bases as full checkpoints: tiny and random.

    Also the LoRA and the ControlNet that the shipped workflows name.
    """
    for name, config, seed in (("CosmicMan-SDXL", SDXL_UNET, 1), ("CosmicMan-SD", SD_UNET, 2)):
        folder = models_dir / "diffusion_models" / name
        save_state_dict(folder / "diffusion_pytorch_model.safetensors", _unet(config, seed))
        (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n")
    small = _text(seed=3)
    base = models_dir / "checkpoints"
    sd = _prefixed(ldm.unet_to_ldm(_unet(SD_UNET, 4), _sizes(SD_UNET)), ldm.UNET_PREFIX) | _vae(5)
    save_state_dict(base / SD_BASE, sd | _prefixed(small, "cond_stage_model.transformer."))
    sdxl = _prefixed(ldm.unet_to_ldm(_unet(SDXL_UNET, 6), _sizes(SDXL_UNET)), ldm.UNET_PREFIX) | _vae(7)
    sdxl |= _prefixed(small, "conditioner.embedders.0.transformer.")
    openclip = ldm_text.openclip_from_transformers(_text(seed=8, projection=True))
    save_state_dict(base / SDXL_BASE, sdxl | _prefixed(openclip, "conditioner.embedders.1.model."))
    save_state_dict(models_dir / "loras" / LORA, _lora())
    save_state_dict(models_dir / "controlnet" / CONTROLNET, _controlnet())


def _sizes(config: dict) -> ldm.UNetConfig:
    return ldm.unet_config_from_diffusers(config)


def _prefixed(state: StateDict, prefix: str) -> StateDict:
    return {prefix + name: tensor for name, tensor in state.items()}


def _half(state: StateDict) -> StateDict:
    return {name: tensor.half() for name, tensor in state.items()}


def _unet(config: dict, seed: int) -> StateDict:
    from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel

    torch.manual_seed(seed)
    return _half(UNet2DConditionModel.from_config(config).state_dict())  # type: ignore[union-attr]


def _vae(seed: int) -> StateDict:
    """A VAE that enlarges 8 times, as Stable Diffusion's, with 32 channels; its last layer in contrast."""
    from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL

    torch.manual_seed(seed)
    vae = AutoencoderKL.from_config({
        "down_block_types": ["DownEncoderBlock2D"] * 4, "up_block_types": ["UpDecoderBlock2D"] * 4,
        "block_out_channels": [32] * 4, "layers_per_block": 1, "latent_channels": 4,
    })  # fmt: skip
    state: StateDict = dict(vae.state_dict())  # type: ignore[union-attr]
    state["decoder.conv_out.weight"] = state["decoder.conv_out.weight"] * 1.5
    return _prefixed(ldm_vae.vae_to_ldm(_half(state)), ldm_vae.VAE_PREFIX)


def _text(seed: int, projection: bool = False) -> StateDict:
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

    torch.manual_seed(seed)
    config = CLIPTextConfig(
        vocab_size=ldm_text.VOCABULARY, hidden_size=64, intermediate_size=128, num_hidden_layers=3,
        num_attention_heads=1, hidden_act="gelu" if projection else "quick_gelu", projection_dim=64,
        bos_token_id=49406, eos_token_id=49407,
    )  # fmt: skip
    model = (CLIPTextModelWithProjection if projection else CLIPTextModel)(config)
    return _half(ldm_text.text_names(model.state_dict()))


def _lora() -> StateDict:
    """A LoRA of rank 4 for the tiny SDXL, under the names that trainers write."""
    rng = torch.Generator().manual_seed(9)
    block = "lora_unet_input_blocks_3_1_transformer_blocks_0_attn1"
    state: StateDict = {}
    for layer in ("to_q", "to_v"):
        state[f"{block}_{layer}.lora_up.weight"] = torch.randn(128, 4, generator=rng).half()
        state[f"{block}_{layer}.lora_down.weight"] = torch.randn(4, 128, generator=rng).half()
        state[f"{block}_{layer}.alpha"] = torch.tensor(4.0)
    return state


def _controlnet() -> StateDict:
    """A ControlNet for the tiny SDXL under LDM names, its zero convolutions not zero, so that it is seen."""
    from diffusers.models.controlnets.controlnet import ControlNetModel

    torch.manual_seed(10)
    known = ("down_block_types", "block_out_channels", "layers_per_block", "transformer_layers_per_block",
             "attention_head_dim", "cross_attention_dim", "use_linear_projection", "addition_embed_type",
             "addition_time_embed_dim", "projection_class_embeddings_input_dim")  # fmt: skip
    net = ControlNetModel(**{key: SDXL_UNET[key] for key in known})
    state = {}
    for name, tensor in net.state_dict().items():
        if name.startswith(("controlnet_down_blocks", "controlnet_mid_block")):
            tensor = torch.randn(tensor.shape) * 0.05
        state[_controlnet_name(name)] = tensor
    return _half(ldm.unet_to_ldm(state, _sizes(SDXL_UNET)))


def _controlnet_name(name: str) -> str:
    """diffusers' names of what a ControlNet has beside a UNet's encoder -> LDM's."""
    if name.startswith("controlnet_down_blocks."):
        _, number, kind = name.split(".")
        return f"zero_convs.{number}.0.{kind}"
    if name.startswith("controlnet_cond_embedding."):
        place, kind = name.removeprefix("controlnet_cond_embedding.").rsplit(".", 1)
        number = {"conv_in": 0, "conv_out": 7}.get(place)
        number = 1 + int(place.split(".")[1]) if number is None else number
        return f"input_hint_block.{2 * number}.{kind}"
    return name.replace("controlnet_mid_block.", "middle_block_out.0.")


def run(models_dir: Path, out: Path, progress: Progress) -> list[DemoResult]:
    """Draw four pictures through the command line's own code: the trained mannequins as SD, then random
    networks as SD, SDXL, and SDXL with a second pass."""
    from ..cosmicman import generate
    from ..cosmicman.configs import GenerateConfig

    unets, bases = models_dir / "diffusion_models", models_dir / "checkpoints"
    sdxl = {
        "variant": "sdxl",
        "unet_path": str(unets / "CosmicMan-SDXL"),
        "base_path": str(bases / SDXL_BASE),
    }
    sd = {"variant": "sd", "unet_path": str(unets / "CosmicMan-SD"), "base_path": str(bases / SD_BASE)}
    second = {"use_refiner": True, "refiner_path": "base"}
    trained = sd | {"unet_path": str(MANNEQUINS), "base_path": str(MANNEQUINS), "prompts": [DENSE_PROMPT],
                    "steps": 20, "H": 128, "W": 64, "scale": 3.0, "sampler": "dpm"}  # fmt: skip
    runs = {f"CosmicMan-SD demo/{MANNEQUINS.name}": trained, "CosmicMan-SD": sd, "CosmicMan-SDXL": sdxl,
            "CosmicMan-SDXL, two passes": sdxl | second}  # fmt: skip
    usual = {"prompts": [PROMPT], "steps": 12, "H": 256, "W": 192, "sampler": "euler"}
    results = []
    for name, settings in runs.items():
        start = time.perf_counter()
        folder = out / name.lower().replace(", ", "-").replace(" ", "-").replace("/", "-")
        config = GenerateConfig(outdir=folder, **(usual | settings))
        (picture,) = generate.run(config, progress)
        results.append(DemoResult(name, time.perf_counter() - start, picture))
    return results
