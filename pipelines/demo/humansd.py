"""HumanSD in the demo: a tiny random checkpoint in the released layout, people painted along ready poses."""

import time
from pathlib import Path
from typing import Any

import torch

from ..common import ldm, ldm_text, ldm_vae
from ..common.files import atomic_path
from ..common.progress import Progress
from ..common.weights import StateDict, save_state_dict
from ..humansd.configs import GenerateConfig, SampleConfig
from ..humansd.ddim import alphas_cumprod
from . import DemoResult

CHECKPOINT, PLAIN = "humansd-v1.ckpt", "v2-1_512-ema-pruned.safetensors"
LORA = "watercolor_sd21.safetensors"
PROMPT = "three people dancing in the rain, watercolor"
POSES = ("dancing", "three_people")
TEXT_WIDTH = 64
WIDTHS = (64, 128)
VAE_WIDTH = 32


def write_models(models_dir: Path) -> None:
    """Write ``checkpoints/humansd-v1.ckpt`` as released (by Lightning), plain SD2.1, a LoRA: tiny, random."""
    base = models_dir / "checkpoints"
    base.mkdir(parents=True, exist_ok=True)
    with torch.random.fork_rng():
        save_lightning(base / CHECKPOINT, checkpoint_state(8, seed=1) | strays())
        if not (base / PLAIN).exists():
            save_state_dict(base / PLAIN, checkpoint_state(4, seed=2))
        save_state_dict(models_dir / "loras" / LORA, lora())


def save_lightning(path: Path, state: StateDict) -> None:
    """Write as the trainer of the released file did: a torch zip with the tensors under ``state_dict``."""
    content = {"epoch": 3, "global_step": 1000, "pytorch-lightning_version": "1.4.2", "state_dict": state}
    with atomic_path(path) as temporary:
        torch.save(content | {"callbacks": {}, "lr_schedulers": []}, temporary)


def checkpoint_state(channels: int, seed: int, text_width: int = TEXT_WIDTH) -> StateDict:
    """UNet, autoencoder and OpenCLIP text encoder under the released names, in fp16."""
    torch.manual_seed(seed)
    unet = unet_state(channels, text_width)
    text = ldm_text.openclip_from_transformers(text_state(text_width))
    parts = {ldm.UNET_PREFIX: unet, ldm_vae.VAE_PREFIX: vae_state(), "cond_stage_model.model.": text}
    return {prefix + name: tensor.half() for prefix, part in parts.items() for name, tensor in part.items()}


def unet_state(channels: int, text_width: int) -> StateDict:
    """A UNet of two levels with heads 64 wide, under LDM names."""
    from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel

    config = {
        "in_channels": channels, "out_channels": 4, "sample_size": 8, "block_out_channels": list(WIDTHS),
        "layers_per_block": 1, "down_block_types": ["CrossAttnDownBlock2D"] * 2,
        "up_block_types": ["CrossAttnUpBlock2D"] * 2, "attention_head_dim": [width // 64 for width in WIDTHS],
        "cross_attention_dim": text_width, "use_linear_projection": True,
    }  # fmt: skip
    unet = UNet2DConditionModel(**config)
    return ldm.unet_to_ldm(dict(unet.state_dict()), ldm.unet_config_from_diffusers(config))


def vae_state() -> StateDict:
    """An autoencoder that enlarges 8 times, under LDM names."""
    from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL

    vae: Any = AutoencoderKL.from_config({
        "down_block_types": ["DownEncoderBlock2D"] * 4, "up_block_types": ["UpDecoderBlock2D"] * 4,
        "block_out_channels": [VAE_WIDTH] * 4, "layers_per_block": 1, "latent_channels": 4,
    })  # fmt: skip
    return ldm_vae.vae_to_ldm(dict(vae.state_dict()))


def text_state(width: int) -> StateDict:
    """A CLIP text encoder of three layers under transformers' names."""
    from transformers import CLIPTextConfig, CLIPTextModel

    config = CLIPTextConfig(
        vocab_size=ldm_text.VOCABULARY, hidden_size=width, intermediate_size=2 * width, num_hidden_layers=3,
        num_attention_heads=max(1, width // 64), hidden_act="gelu", projection_dim=width,
        bos_token_id=49406, eos_token_id=49407,
    )  # fmt: skip
    return ldm_text.text_names(CLIPTextModel(config).state_dict()) | {
        "text_projection.weight": torch.eye(width)
    }


def strays() -> StateDict:
    """What else lies in such files: schedule buffers, an average's counters, the pose estimator."""
    alphas = torch.from_numpy(alphas_cumprod()).float()
    return {
        "alphas_cumprod": alphas,
        "betas": 1 - alphas / torch.cat([torch.ones(1), alphas[:-1]]),
        "model_ema.decay": torch.tensor(0.9999),
        "mmpose_model.backbone.conv1.weight": torch.zeros(8, 3, 3, 3),
        "mmpose_model.keypoint_head.final_layers.0.weight": torch.zeros(34, 8, 1, 1),
    }


def lora() -> StateDict:
    """A LoRA of rank 4 for the tiny UNet's first attention, under the names that trainers write."""
    rng = torch.Generator().manual_seed(9)
    block = "lora_unet_input_blocks_1_1_transformer_blocks_0_attn1"
    state: StateDict = {}
    for layer in ("to_q", "to_v", "to_out_0"):
        state[f"{block}_{layer}.lora_up.weight"] = torch.randn(WIDTHS[0], 4, generator=rng).half()
        state[f"{block}_{layer}.lora_down.weight"] = torch.randn(4, WIDTHS[0], generator=rng).half()
        state[f"{block}_{layer}.alpha"] = torch.tensor(4.0)
    return state


def run(models_dir: Path, out: Path, progress: Progress) -> list[DemoResult]:
    """Draw ready poses and paint people along them, through the command line's own code."""
    from ..humansd import generate

    results = []
    for name in POSES:
        start = time.perf_counter()
        config = GenerateConfig(
            prompt=PROMPT, humansd_checkpoint=models_dir / "checkpoints" / CHECKPOINT, ready_pose=name,
            save_path=out, image_H=256, image_W=256, sample=SampleConfig(ddim_steps=10), device="cpu",
        )  # fmt: skip
        (picture,) = generate.run(config, progress)
        seconds = time.perf_counter() - start
        results.append(DemoResult(f"HumanSD, skeleton '{name}'", 0.0, out / f"{name}_skeleton.png"))
        results.append(DemoResult(f"HumanSD, '{name}'", seconds, picture))
    return results
