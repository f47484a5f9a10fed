"""Text encoder weights: CLIP as transformers names it <-> CLIP and OpenCLIP inside LDM single files.

Encoders are called as ComfyUI calls them: ``clip_l`` (SD1.5, SDXL), ``clip_h`` (SD2.1), ``clip_g`` (SDXL).
"""

from typing import Any

import torch
from torch import Tensor

from .errors import FiguraWeightsError
from .ldm import strip_prefix
from .weights import StateDict

HEAD_WIDTH = 64  # of every CLIP text encoder released: 768/12, 1024/16, 1280/20
VOCABULARY = 49408
TOKENS = "text_model.embeddings.token_embedding.weight"
ROWS = "text_model.embeddings.token_embedding.rows"  # our own: ids of the rows, in files that hold only some
_OPENCLIP = {
    "ln_1": "layer_norm1",
    "ln_2": "layer_norm2",
    "mlp.c_fc": "mlp.fc1",
    "mlp.c_proj": "mlp.fc2",
    "attn.out_proj": "self_attn.out_proj",
}
_OPENCLIP_TOP = {
    "positional_embedding": "text_model.embeddings.position_embedding.weight",
    "token_embedding.weight": "text_model.embeddings.token_embedding.weight",
    "ln_final.weight": "text_model.final_layer_norm.weight",
    "ln_final.bias": "text_model.final_layer_norm.bias",
}


def text_encoders(checkpoint: StateDict) -> dict[str, StateDict]:
    """Find the text encoders of an LDM single file: ``{"clip_l": state, ...}`` under transformers' names."""
    found: dict[str, StateDict] = {}
    for prefix in ("cond_stage_model.transformer.", "conditioner.embedders.0.transformer."):
        if part := strip_prefix(checkpoint, prefix):
            found["clip_l"] = text_names(part)
    if part := strip_prefix(checkpoint, "cond_stage_model.model."):
        found["clip_h"] = openclip_to_transformers(part)
    if part := strip_prefix(checkpoint, "conditioner.embedders.1.model."):
        found["clip_g"] = openclip_to_transformers(part)
    if part := strip_prefix(checkpoint, "conditioner.embedders.0.model."):
        refiner = "model.diffusion_model.label_emb.0.0.weight" in checkpoint
        found["clip_g" if refiner else "clip_h"] = openclip_to_transformers(part)
    return found


def text_names(state: StateDict) -> StateDict:
    """transformers' names in one spelling: with ``text_model.``, no buffers, the whole vocabulary."""
    named: StateDict = {}
    for name, tensor in state.items():
        if name.endswith(("position_ids", "logit_scale")) or name.startswith("vision_model."):
            continue
        plain = name.startswith(("embeddings.", "encoder.", "final_layer_norm."))
        named[f"text_model.{name}" if plain else name] = tensor
    return _whole_vocabulary(named)


def _whole_vocabulary(state: StateDict) -> StateDict:
    """Put the rows of a file that holds only some (compact_text.py) where they belong; others are zero."""
    if ROWS not in state:
        return state
    table, rows = state.get(TOKENS), state[ROWS]
    if table is None or table.ndim != 2 or rows.is_floating_point() or rows.shape != table.shape[:1]:
        raise FiguraWeightsError("text encoder", "token rows that fit no token embedding", "one id per row")
    if len(rows) and not 0 <= int(rows.min()) <= int(rows.max()) < VOCABULARY:
        raise FiguraWeightsError(
            "text encoder", f"token ids up to {int(rows.max())}", f"0 to {VOCABULARY - 1}"
        )
    whole = table.new_zeros(VOCABULARY, table.shape[1])
    whole[rows.long()] = table
    return {name: tensor for name, tensor in state.items() if name != ROWS} | {TOKENS: whole}


def openclip_to_transformers(state: StateDict) -> StateDict:
    """OpenCLIP text names (``transformer.resblocks``, one in_proj for q, k, v) -> transformers' names."""
    renamed: StateDict = {}
    for name, tensor in state.items():
        if name in _OPENCLIP_TOP:
            renamed[_OPENCLIP_TOP[name]] = tensor
        elif name == "token_embedding.rows":
            renamed[ROWS] = tensor
        elif name == "text_projection":
            renamed["text_projection.weight"] = tensor.T.contiguous()
        elif name == "text_projection.weight":
            renamed[name] = tensor
        elif name.startswith("transformer.resblocks."):
            _, _, layer, rest = name.split(".", 3)
            renamed |= _openclip_layer(f"text_model.encoder.layers.{layer}.", rest, tensor)
    return _whole_vocabulary(renamed)


def _openclip_layer(prefix: str, rest: str, tensor: Tensor) -> StateDict:
    if rest.startswith("attn.in_proj_"):
        kind = rest.removeprefix("attn.in_proj_")
        parts = zip("qkv", tensor.chunk(3), strict=True)
        return {f"{prefix}self_attn.{letter}_proj.{kind}": part.contiguous() for letter, part in parts}
    module, _, kind = rest.rpartition(".")
    return {f"{prefix}{_OPENCLIP[module]}.{kind}": tensor} if module in _OPENCLIP else {}


def openclip_from_transformers(state: StateDict) -> StateDict:
    """transformers' names -> OpenCLIP names, as SD2 and SDXL single files hold them."""
    back = {new: old for old, new in _OPENCLIP.items()}
    top = {new: old for old, new in _OPENCLIP_TOP.items()}
    renamed: StateDict = {}
    for name, tensor in text_names(state).items():
        if name in top:
            renamed[top[name]] = tensor
        elif name == "text_projection.weight":
            renamed["text_projection"] = tensor.T.contiguous()
        elif ".self_attn.q_proj." in name:
            kind = name.rsplit(".", 1)[1]
            layer = name.split(".")[3]
            parts = [state_of(state, name.replace("q_proj", f"{letter}_proj")) for letter in "qkv"]
            renamed[f"transformer.resblocks.{layer}.attn.in_proj_{kind}"] = torch.cat(parts)
        elif ".encoder.layers." in name and not any(f".{letter}_proj." in name for letter in "kv"):
            _, _, _, layer, rest = name.split(".", 4)
            module, _, kind = rest.rpartition(".")
            renamed[f"transformer.resblocks.{layer}.{back[module]}.{kind}"] = tensor
    return renamed


def state_of(state: StateDict, name: str) -> Tensor:
    """``state[name]``, with or without ``text_model.`` in the file."""
    return state[name] if name in state else state[name.removeprefix("text_model.")]


def text_config_from_shapes(state: StateDict, encoder: str) -> dict[str, Any]:
    """transformers' configuration of a text encoder, read from its shapes; heads are 64 wide as in all CLIPs.

    Raises FiguraWeightsError when the tensors are not those of a CLIP text encoder.
    """
    try:
        vocabulary, width = state["text_model.embeddings.token_embedding.weight"].shape
        inner = state["text_model.encoder.layers.0.mlp.fc1.weight"].shape[0]
        positions = state["text_model.embeddings.position_embedding.weight"].shape[0]
    except KeyError as error:
        raise FiguraWeightsError(
            encoder, f"no tensor {error}", "the text encoder of Stable Diffusion"
        ) from error
    layers = 1 + max(
        int(name.split(".")[3]) for name in state if name.startswith("text_model.encoder.layers.")
    )
    return {
        "vocab_size": vocabulary,
        "hidden_size": width,
        "intermediate_size": inner,
        "num_hidden_layers": layers,
        "num_attention_heads": max(1, width // HEAD_WIDTH),
        "max_position_embeddings": positions,
        "hidden_act": "quick_gelu" if encoder == "clip_l" else "gelu",
        "projection_dim": width,
        "bos_token_id": 49406,
        "eos_token_id": 49407,
        "pad_token_id": 49407 if encoder == "clip_l" else 0,
    }


def text_shapes(config: dict[str, Any]) -> dict[str, tuple[int, ...]]:
    """Every tensor of a CLIP text encoder with its shape, for a strict check before anything is built."""
    width, inner = config["hidden_size"], config["intermediate_size"]
    shapes: dict[str, tuple[int, ...]] = {
        "text_model.embeddings.token_embedding.weight": (config["vocab_size"], width),
        "text_model.embeddings.position_embedding.weight": (config["max_position_embeddings"], width),
        "text_model.final_layer_norm.weight": (width,),
        "text_model.final_layer_norm.bias": (width,),
    }
    for layer in range(config["num_hidden_layers"]):
        prefix = f"text_model.encoder.layers.{layer}."
        linears = {f"self_attn.{part}_proj": (width, width) for part in ("q", "k", "v", "out")}
        linears |= {"mlp.fc1": (inner, width), "mlp.fc2": (width, inner)}
        for module, shape in linears.items():
            shapes |= {f"{prefix}{module}.weight": shape, f"{prefix}{module}.bias": shape[:1]}
        for norm in ("layer_norm1", "layer_norm2"):
            shapes |= {f"{prefix}{norm}.{kind}": (width,) for kind in ("weight", "bias")}
    return shapes


def repeat_last_layer(state: StateDict) -> StateDict:
    """Add a copy of the last layer: diffusers' SD2 encoder lacks OpenCLIP's last, which nobody uses."""
    layers = 1 + max(int(name.split(".")[3]) for name in state if ".encoder.layers." in name)
    last, new = f".layers.{layers - 1}.", f".layers.{layers}."
    return state | {name.replace(last, new): tensor for name, tensor in state.items() if last in name}


def drop_last_layer(state: StateDict) -> StateDict:
    """Remove the last layer: what is left yields OpenCLIP's penultimate states, as SD2 uses them."""
    layers = 1 + max(int(name.split(".")[3]) for name in state if ".encoder.layers." in name)
    return {name: tensor for name, tensor in state.items() if f".layers.{layers - 1}." not in name}
