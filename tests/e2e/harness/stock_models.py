"""Tiny files for ComfyUI's own loaders, under the names that the shipped workflows give them.

ComfyUI recognises a model by its shapes: 320 channels and a context of 768 make an SD1.5, however few its
blocks. So the U-Net here has one level (16 M parameters), the VAE is a TAESD (2 M), and only the text
encoder, whose size is fixed, is full (124 M, 247 MB in fp16). All weights are random from a fixed seed.
"""

import json
import math
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor

CONTEXT, CHANNELS = 768, 320
UNET = {
    "image_size": 32, "in_channels": 4, "out_channels": 4, "model_channels": CHANNELS, "num_res_blocks": [1],
    "channel_mult": [1], "transformer_depth": [1], "transformer_depth_middle": -1, "num_heads": 8,
    "context_dim": CONTEXT, "use_spatial_transformer": True, "legacy": False,
}  # fmt: skip
UNET_ONLY = {"transformer_depth_output": [1, 1]}


def write(models: Path, shipped: list[dict]) -> None:
    """Write every file that a stock loader of ``shipped`` names and no system's demo wrote."""
    for class_type, key, folder, make in LOADERS:
        for name in sorted(_names(shipped, class_type, key)):
            path = models / folder / name
            if not path.exists():
                path.parent.mkdir(parents=True, exist_ok=True)
                make(path)


def _names(shipped: list[dict], class_type: str, key: str) -> set[str]:
    nodes = [node for graph in shipped for node in graph.values() if node["class_type"] == class_type]
    return {node["inputs"][key].replace("\\", "/") for node in nodes}


def checkpoint(path: Path) -> None:
    """An SD1.5 checkpoint with U-Net, text encoder and VAE. Other kinds are for the demos to write."""
    if "xl" in path.name.lower():
        raise ValueError(
            f"{path.name}: the text encoders of an SDXL checkpoint cannot be small for stock nodes"
        )
    from comfy.ldm.modules.diffusionmodules.openaimodel import UNetModel

    with torch.device("meta"):
        unet = UNetModel(**UNET, **UNET_ONLY)
    tensors = _filled(unet.state_dict(), "model.diffusion_model.", 1)
    tensors |= _filled(_text_encoder(), "cond_stage_model.transformer.", 2)
    tensors |= {f"first_stage_model.{name}": value for name, value in _taesd().items()}
    save_file(tensors, path)


def vae(path: Path) -> None:
    """A TAESD, which the stock VAE loader takes as a VAE."""
    save_file(_taesd(), path)


def controlnet(path: Path) -> None:
    """A ControlNet for ``checkpoint``; a T2I-Adapter where the name says so."""
    if "t2i" in path.name.lower():
        return _save(_t2i_adapter(), path)
    from comfy.cldm.cldm import ControlNet

    with torch.device("meta"):
        net = ControlNet(**UNET, hint_channels=3)
    _save(_filled(net.state_dict(), "", 3), path)


def lora(path: Path) -> None:
    """A LoRA of rank 4 for the attention of ``checkpoint``."""
    block = "diffusion_model.input_blocks.1.1.transformer_blocks.0"
    shapes = {}
    for layer in ("attn1.to_q", "attn1.to_v"):
        shapes[f"{block}.{layer}.lora_up.weight"] = torch.empty(CHANNELS, 4, device="meta")
        shapes[f"{block}.{layer}.lora_down.weight"] = torch.empty(4, CHANNELS, device="meta")
    save_file(_filled(shapes, "", 4), path)


def upscaler(path: Path) -> None:
    """A Real-ESRGAN x4 network of one block that copies pixels, so that what is in a picture stays there."""
    grow, feat = 32, 8  # ESRGAN grows by 32 always
    shapes = {"conv_first": (feat, 3), "conv_body": (feat, feat), "conv_last": (3, feat)}
    shapes |= {name: (feat, feat) for name in ("conv_up1", "conv_up2", "conv_hr")}
    for rdb in (1, 2, 3):
        for i in range(1, 6):
            shapes[f"body.0.rdb{rdb}.conv{i}"] = (feat if i == 5 else grow, feat + (i - 1) * grow)
    tensors = {}
    for name, (out, into) in shapes.items():
        tensors[f"{name}.weight"] = torch.zeros(out, into, 3, 3)
        tensors[f"{name}.bias"] = torch.zeros(out)
        if not name.startswith(("body", "conv_body")):
            for colour in range(3):
                tensors[f"{name}.weight"][colour, colour, 1, 1] = 1.0
    _save(tensors, path)


LOADERS = [
    ("CheckpointLoaderSimple", "ckpt_name", "checkpoints", checkpoint),
    ("VAELoader", "vae_name", "vae", vae),
    ("ControlNetLoader", "control_net_name", "controlnet", controlnet),
    ("LoraLoader", "lora_name", "loras", lora),
    ("LoraLoaderModelOnly", "lora_name", "loras", lora),
    ("UpscaleModelLoader", "model_name", "upscale_models", upscaler),
]


def _text_encoder() -> dict[str, Tensor]:
    import comfy.sd1_clip
    from comfy.clip_model import CLIPTextModel

    config = json.loads(Path(comfy.sd1_clip.__file__).with_name("sd1_clip_config.json").read_text())
    with torch.device("meta"):
        model = CLIPTextModel(config, torch.float32, "meta", torch.nn)
    return {name: value for name, value in model.state_dict().items() if "text_projection" not in name}


def _taesd() -> dict[str, Tensor]:
    from comfy.taesd.taesd import TAESD

    with torch.device("meta"):
        shapes = TAESD().state_dict()
    scalars = {"vae_scale": torch.tensor(1.0), "vae_shift": torch.tensor(0.0)}
    return _filled({k: v for k, v in shapes.items() if k not in scalars}, "", 6) | scalars


def _t2i_adapter() -> dict[str, Tensor]:
    from comfy.t2i_adapter.adapter import Adapter

    widths = [CHANNELS, CHANNELS * 2, CHANNELS * 4, CHANNELS * 4]
    with torch.device("meta"):
        net = Adapter(cin=192, channels=widths, nums_rb=2, ksize=1, sk=True, use_conv=False)
    return _filled(net.state_dict(), "", 7)


def _filled(shapes: dict[str, Tensor], prefix: str, seed: int, dtype=torch.float16) -> dict[str, Tensor]:
    """Random weights that keep activations in range: std 1/sqrt(fan-in), norms 1, biases 0."""
    generator = torch.Generator().manual_seed(seed)
    tensors = {}
    for name, like in shapes.items():
        if like.ndim > 1:
            std = 1 / math.sqrt(like[0].numel())
            value = torch.randn(like.shape, generator=generator) * std
        else:
            value = torch.ones(like.shape) if name.endswith("weight") else torch.zeros(like.shape)
        tensors[prefix + name] = value.to(dtype)
    return tensors


def _save(tensors: dict[str, Tensor], path: Path) -> None:
    """Write in the format that the suffix promises: stock loaders go by it."""
    save_file(tensors, path) if path.suffix == ".safetensors" else torch.save(tensors, path)
