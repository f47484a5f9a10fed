"""A tiny untrained base: UNet, text encoder, a trained VAE, in the layout of SD1.5 or of SD2.1."""

from pathlib import Path
from typing import Any

import torch
from torch import nn

from ..common import base_model, ldm_text, text
from ..common.base_parts import read_module
from ..common.compact_text import words_of
from ..common.dense_captions import all_texts, join
from ..common.people_dataset import open_records
from ..common.write_base import write_base
from .configs import NewConfig


def new_unet(config: NewConfig, generator_seed: int) -> Any:
    """A UNet with attention on every level: eight heads and convolutions around them (SD1.5), or heads 64
    wide and linears (SD2.1)."""
    from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel

    levels, sd2 = len(config.widths), config.family == "sd21"
    torch.manual_seed(generator_seed)
    return UNet2DConditionModel.from_config({
        "in_channels": 4, "out_channels": 4, "sample_size": 16, "block_out_channels": list(config.widths),
        "layers_per_block": config.layers, "down_block_types": ["CrossAttnDownBlock2D"] * levels,
        "up_block_types": ["CrossAttnUpBlock2D"] * levels, "cross_attention_dim": config.text_width,
        "attention_head_dim": [width // 64 for width in config.widths] if sd2 else 8,
        "use_linear_projection": sd2,
    })  # fmt: skip


def new_text_encoder(config: NewConfig, ids: list[int], generator_seed: int) -> nn.Module:
    """CLIP's text encoder, two layers; only ``ids`` have an embedding, other words are zeros."""
    from transformers import CLIPTextConfig, CLIPTextModel

    name, width = "clip_h" if config.family == "sd21" else "clip_l", config.text_width
    torch.manual_seed(generator_seed)
    encoder: Any = CLIPTextModel(CLIPTextConfig(
        vocab_size=ldm_text.VOCABULARY, hidden_size=width, intermediate_size=4 * width,
        num_hidden_layers=config.text_layers, num_attention_heads=max(1, width // 64),
        hidden_act="gelu" if name == "clip_h" else "quick_gelu", projection_dim=width,
        bos_token_id=text.BOS, eos_token_id=text.EOS, pad_token_id=text.PAD[name][1],
    ))  # fmt: skip
    table = encoder.get_input_embeddings().weight
    with torch.no_grad():
        kept = table[ids].clone()
        table.zero_()
        table[ids] = kept
    return encoder


def write_new(config: NewConfig) -> Path:
    """Write the folder; returns it."""
    config.check()
    name = "clip_h" if config.family == "sd21" else "clip_l"
    captions: list[str] = []
    for folder in config.data:
        records = open_records(folder)
        captions += [r.sentence for r in records]
        captions += [join(all_texts(r.shot, r.attributes)) for r in records]
    settings, state = read_module(config.vae)
    vae = base_model.build_vae(state, settings, config.vae.name)
    encoder = new_text_encoder(config, words_of(captions, name), config.seed + 1)
    write_base(config.out, new_unet(config, config.seed), {name: encoder}, vae)
    return config.out
