"""Parts2Whole in the demo: a tiny folder in the released layout, and one person composed from drawn parts."""

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ..common.files import atomic_path
from ..common.images import to_image, write_png
from ..common.progress import Progress, silent
from ..common.weights import save_state_dict
from ..parts2whole import generate as system
from ..parts2whole.parts import Part, make_part
from ..parts2whole.pose_guider import PoseGuider
from . import DemoResult
from .segformer import write_segformer

FOLDER = "Parts2Whole"
SEGFORMER = "segformer_b2_clothes"
LORA = "add_detail.safetensors"
TOKENS, WIDTH = 49408, 32
SIZE = 128, 192
UNET = {
    "sample_size": 16, "in_channels": 4, "out_channels": 4, "layers_per_block": 2, "attention_head_dim": 8,
    "block_out_channels": [32, 32, 32, 64], "cross_attention_dim": WIDTH, "norm_num_groups": 32,
    "down_block_types": ["CrossAttnDownBlock2D"] * 3 + ["DownBlock2D"],
    "up_block_types": ["UpBlock2D"] + ["CrossAttnUpBlock2D"] * 3,
}  # fmt: skip
VAE = {
    "block_out_channels": [32, 32, 32, 32], "layers_per_block": 1, "latent_channels": 4,
    "down_block_types": ["DownEncoderBlock2D"] * 4, "up_block_types": ["UpDecoderBlock2D"] * 4,
    "scaling_factor": 0.18215, "sample_size": 128, "norm_num_groups": 32,
}  # fmt: skip
TEXT = {
    "hidden_size": WIDTH, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4,
    "vocab_size": TOKENS, "max_position_embeddings": 77, "projection_dim": WIDTH, "hidden_act": "quick_gelu",
    "bos_token_id": TOKENS - 2, "eos_token_id": TOKENS - 1, "model_type": "clip_text_model",
}  # fmt: skip
VISION = {
    "hidden_size": WIDTH, "intermediate_size": 64, "num_hidden_layers": 3, "num_attention_heads": 4,
    "image_size": 56, "patch_size": 14, "projection_dim": WIDTH, "hidden_act": "quick_gelu",
    "num_channels": 3, "layer_norm_eps": 1e-5, "model_type": "clip_vision_model",
}  # fmt: skip
POSE = {
    "conditioning_channels": 3,
    "conditioning_embedding_channels": 32,
    "block_out_channels": [8, 12, 16, 24],
}


def write_models(models_dir: Path) -> None:
    """Write ``parts2whole/Parts2Whole`` as released, a LoRA and a SegFormer, all tiny."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        unet = write_folder(models_dir / "parts2whole" / FOLDER)
        write_lora(models_dir / "loras" / LORA, unet)
        write_segformer(models_dir / "segformer" / SEGFORMER)


def write_folder(folder: Path) -> dict[str, torch.Tensor]:
    """Write the files of the released folder; return the UNet's weights."""
    from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
    from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPVisionConfig, CLIPVisionModelWithProjection

    unet = UNet2DConditionModel(**UNET).state_dict()
    reference = {name: tensor for name, tensor in unet.items() if not _in_tail(name)}
    name = "diffusion_pytorch_model.safetensors"
    _write(folder / "unet", name, unet, UNET)
    _write(folder / "reference_unet", name, reference, UNET)
    _write(folder / "vae", name, AutoencoderKL(**VAE).state_dict(), VAE)
    _write(folder / "pose_guider", name, PoseGuider(3, 32, POSE["block_out_channels"]).state_dict(), POSE)
    text = CLIPTextModel(CLIPTextConfig.from_dict(TEXT)).state_dict()
    text = {name if name.startswith("text_model.") else f"text_model.{name}": x for name, x in text.items()}
    _write(folder / "text_encoder", "model.safetensors", text, TEXT)
    vision = CLIPVisionModelWithProjection(CLIPVisionConfig.from_dict(VISION)).state_dict()
    _write(folder / "image_encoder", "model.safetensors", vision, VISION)
    with atomic_path(folder / "decoupled_attn.pth") as path:
        save_state_dict(path, {key: x.half() for key, x in _decoupled(unet).items()})
    _write_json(folder / "scheduler" / "scheduler_config.json", system.SCHEDULER)
    _write_json(folder / "model_index.json", {"_class_name": "Refs2ImagePipeline"})
    _write_tokenizer(folder / "tokenizer")
    return unet


def _in_tail(name: str) -> bool:
    """Whether the released reference UNet lacks this tensor: everything after the last block's norm1."""
    last = "up_blocks.3.attentions.2."
    kept = (f"{last}norm.", f"{last}proj_in.", f"{last}transformer_blocks.0.norm1.")
    return name.startswith(("conv_norm_out.", "conv_out.")) or (
        name.startswith(last) and not name.startswith(kept)
    )


def _decoupled(unet: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    found = {}
    for name, tensor in unet.items():
        for which in ("to_k", "to_v"):
            if name.endswith(f"attn2.{which}.weight"):
                key = name.replace(f"attn2.{which}", f"attn2.processor.{which}_dc")
                found[key] = torch.randn_like(tensor) * 0.2
    return found


def _write(folder: Path, name: str, state: dict[str, torch.Tensor], config: dict[str, Any]) -> None:
    """Write one component in half precision with its configuration."""
    save_state_dict(
        folder / name, {key: x.half() if x.is_floating_point() else x for key, x in state.items()}
    )
    _write_json(folder / "config.json", config)


def _write_json(path: Path, content: dict[str, Any]) -> None:
    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps(content, indent=1), encoding="utf-8")


def _write_tokenizer(folder: Path) -> None:
    """A tokenizer of single letters: CLIP's format and special tokens, no merges."""
    letters = [chr(i) for i in range(33, 127)]
    vocabulary = {letter: i for i, letter in enumerate(letters + [f"{letter}</w>" for letter in letters])}
    vocabulary |= {"<|startoftext|>": TOKENS - 2, "<|endoftext|>": TOKENS - 1}
    _write_json(folder / "vocab.json", vocabulary)
    with atomic_path(folder / "merges.txt") as temporary:
        temporary.write_text("#version: 0.2\n", encoding="utf-8")
    special = {"bos_token": "<|startoftext|>", "eos_token": "<|endoftext|>", "pad_token": "<|endoftext|>",
               "unk_token": "<|endoftext|>"}  # fmt: skip
    _write_json(folder / "special_tokens_map.json", special)
    _write_json(folder / "tokenizer_config.json", {**special, "model_max_length": 77, "do_lower_case": True})


def write_lora(path: Path, unet: dict[str, torch.Tensor]) -> None:
    """Write a LoRA of rank 2 on every to_k and to_v of the tiny UNet, under kohya's names."""
    state = {}
    for name, tensor in unet.items():
        if name.endswith(("to_k.weight", "to_v.weight")):
            key = "lora_unet_" + name.removesuffix(".weight").replace(".", "_")
            state[f"{key}.lora_up.weight"] = torch.randn(tensor.shape[0], 2) * 0.1
            state[f"{key}.lora_down.weight"] = torch.randn(2, tensor.shape[1]) * 0.1
    save_state_dict(path, {key: x.half() for key, x in state.items()})


def draw_parts() -> list[Part]:
    """Five flat drawings, each with the mask of what it shows."""
    drawings = {
        "face": ((232, 196, 170), (40, 30, 88, 94)),
        "hair or headwear": ((70, 44, 30), (30, 10, 98, 60)),
        "upper body clothes": ((40, 90, 160), (22, 40, 106, 150)),
        "lower body clothes": ((60, 60, 66), (34, 20, 94, 180)),
        "shoes": ((150, 30, 40), (30, 120, 98, 170)),
    }
    return [
        make_part(*_draw(label, *drawing), index=i + 1) for i, (label, drawing) in enumerate(drawings.items())
    ]


def _draw(label: str, colour: tuple, box: tuple) -> tuple:
    from PIL import Image, ImageDraw

    picture, mask = Image.new("RGB", SIZE, (236, 232, 226)), Image.new("L", SIZE, 0)
    ImageDraw.Draw(picture).ellipse(box, colour)
    ImageDraw.Draw(mask).ellipse(box, 255)
    return _tensor(picture), label, _tensor(mask)


def _tensor(picture) -> torch.Tensor:
    return torch.from_numpy(np.asarray(picture, dtype=np.float32).copy() / 255)[None]


def draw_pose() -> torch.Tensor:
    """A standing figure as a DensePose IUV picture [1, 192, 128, 3]: blue is the part."""
    width, height = SIZE
    boxes = {2: (46, 50, 82, 104), 23: (50, 16, 78, 48), 15: (30, 54, 44, 100), 16: (84, 54, 98, 100),
             7: (46, 106, 62, 140), 8: (66, 106, 82, 140),
             13: (46, 140, 62, 180), 14: (66, 140, 82, 180)}  # fmt: skip
    iuv = np.zeros((height, width, 3), dtype=np.float32)
    for part, (left, top, right, bottom) in boxes.items():
        v, u = np.mgrid[0 : bottom - top, 0 : right - left]
        iuv[top:bottom, left:right, 0] = np.rint(1 + v * 254 / (bottom - top))
        iuv[top:bottom, left:right, 1] = np.rint(1 + u * 254 / (right - left))
        iuv[top:bottom, left:right, 2] = part
    return torch.from_numpy(iuv / 255)[None]


def run(models_dir: Path, out: Path, progress: Progress = silent) -> list[DemoResult]:
    """Compose one person from the drawn parts: their board, the pose, and two pictures."""
    model = system.load(models_dir / "parts2whole" / FOLDER)
    parts, pose_image = draw_parts(), draw_pose()
    board = torch.cat([part.image[0] for part in parts] + [pose_image[0]], dim=1)
    write_png(out / "parts.png", board)
    results = [DemoResult("Parts2Whole: parts and pose", 0.0, out / "parts.png")]

    def compose(compatible: bool) -> torch.Tensor:
        bank = system.encode_parts(model, parts, *SIZE, compatible)
        pose = system.read_pose(model.guider, pose_image, SIZE)
        settings = system.Settings(steps=4)
        return system.generate(
            model, bank, "a person", pose=pose, seed=1, settings=settings, progress=progress
        )

    for name, compatible in (("one person", False), ("as published", True)):
        results.append(_timed(f"Parts2Whole: {name}", lambda c=compatible: compose(c), out / f"{name}.png"))
    return results


def _timed(name: str, work: Callable[[], torch.Tensor], path: Path) -> DemoResult:
    start = time.perf_counter()
    write_png(path, to_image(work())[0])
    return DemoResult(name, time.perf_counter() - start, path)
