"""The released folder: which files it has, what each is for, and how their names meet other code's."""

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..common.errors import FiguraWeightsError
from ..common.weights import StateDict, load_state_dict
from .pose_guider import STRUCTURES

DC_FILE = "decoupled_attn.pth"  # a safetensors file in spite of its name
WEIGHTS = (
    "diffusion_pytorch_model.safetensors",
    "diffusion_pytorch_model.fp16.safetensors",
    "diffusion_pytorch_model.bin",
    "model.safetensors",
    "model.fp16.safetensors",
    "pytorch_model.bin",
)
PURPOSE = {
    "unet": "the denoising UNet",
    "reference_unet": "reads the reference parts",
    "vae": "pictures to latents and back",
    "text_encoder": "reads the prompt and the part labels",
    "tokenizer": "cuts the prompt into tokens",
    "image_encoder": "one CLIP token per reference",
    "pose_guider": "reads the pose picture",
    DC_FILE: "cross-attention over the CLIP tokens",
}
OPTIONAL = {"tokenizer", "pose_guider", DC_FILE}
"""Without these the system still works: a stock tokenizer, no pose, no CLIP tokens."""
BETA_START, BETA_END = 0.00085, 0.012
"""Betas run linearly between these (not as in Stable Diffusion, where their square roots do)."""


@dataclass(frozen=True)
class UNetWeights:
    """One UNet under diffusers names, with its configuration."""

    state: StateDict
    config: dict[str, Any]


@dataclass(frozen=True)
class Decoupled:
    """Projections of the CLIP tokens, per transformer block: to_k_dc and to_v_dc, each [width, D]."""

    weights: dict[str, tuple[Tensor, Tensor]] = field(default_factory=dict)

    def project(self, tokens: Tensor) -> dict[str, tuple[Tensor, Tensor]]:
        """Tokens [1, T, D] -> keys and values [1, T, width] of every block."""
        return {block: (tokens @ k.to(tokens).T, tokens @ v.to(tokens).T)
                for block, (k, v) in self.weights.items()}  # fmt: skip


def check_folder(folder: Path, wanted: Iterable[str] = PURPOSE) -> Path:
    """Return ``folder`` if it holds every wanted file, else raise, naming each missing one and its use."""
    folder = Path(folder)
    if not folder.is_dir():
        raise FiguraWeightsError(folder.name, "no such folder", "the released Parts2Whole folder")
    missing = [name for name in wanted if name not in OPTIONAL and find_weights(folder, name) is None]
    if missing:
        lines = "; ".join(f"{name} ({PURPOSE[name]})" for name in missing)
        raise FiguraWeightsError(
            folder.name, f"a folder without: {lines}", "the whole released folder",
            "Download the missing folders beside the others.",
        )  # fmt: skip
    return folder


def find_weights(folder: Path, name: str) -> Path | None:
    """Path of a component's weight file, or None. ``name`` is a key of PURPOSE."""
    if name == DC_FILE:
        found = [folder / DC_FILE, folder / "decoupled_attn.safetensors"]
    else:
        found = [folder / name / file for file in WEIGHTS]
    return next((path for path in found if path.is_file()), None)


def read_component(folder: Path, name: str) -> StateDict:
    """Read the weights of one component; what it is for is named if they are missing."""
    path = find_weights(folder, name)
    if path is None:
        raise FiguraWeightsError(f"{folder.name}/{name}", "no weights", f"a weight file: {PURPOSE[name]}")
    return load_state_dict(path)


def read_json(path: Path, purpose: str = "sizes") -> dict[str, Any]:
    """Read a configuration file."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except OSError:
        raise FiguraWeightsError(
            f"{path.parent.name}/{path.name}", "no such file", f"a JSON file ({purpose})"
        ) from None
    except ValueError as error:
        raise FiguraWeightsError(path.name, f"text that is not JSON ({error})", "a JSON file") from None
    if not isinstance(found, dict):
        raise FiguraWeightsError(path.name, f"JSON of type {type(found).__name__}", "a JSON object")
    return found


def load_unet(folder: Path) -> tuple[UNetWeights, Decoupled | None]:
    """Read ``unet/``, without ``_dc`` tensors found inside; those of ``decoupled_attn.pth`` go first."""
    state, inside = take_decoupled(read_component(folder, "unet"))
    dc = find_weights(folder, DC_FILE)
    if dc is not None:
        rest, inside = take_decoupled(load_state_dict(dc))
        if rest:
            raise FiguraWeightsError(
                DC_FILE, f"other tensors: {sorted(rest)[:3]}", "to_k_dc and to_v_dc only"
            )
    config = read_json(folder / "unet" / "config.json", "the UNet's sizes")
    blocks = transformer_blocks(state)
    if not blocks:
        raise FiguraWeightsError("unet", f"tensors {sorted(state)[:3]}", "SD1.5's UNet under diffusers names")
    if inside and set(inside.weights) != set(blocks):
        came = f"weights for {len(inside.weights)} attention layers"
        raise FiguraWeightsError(DC_FILE, came, f"the {len(blocks)} layers of unet/")
    return UNetWeights(state, config), inside


def take_decoupled(state: StateDict) -> tuple[StateDict, Decoupled | None]:
    """Split off ``<block>.attn2.processor.to_k_dc.weight`` and ``to_v_dc``; the rest is a plain UNet."""
    rest = {name: tensor for name, tensor in state.items() if "_dc." not in name}
    mark = ".transformer_blocks.0.attn2.processor.to_k_dc.weight"
    blocks = [name.removesuffix(mark) for name in state if name.endswith(mark)]
    weights = {
        block: (state[block + mark].float(), state[block + mark.replace("to_k_dc", "to_v_dc")].float())
        for block in blocks
        if block + mark.replace("to_k_dc", "to_v_dc") in state
    }
    if 2 * len(weights) != len(state) - len(rest):
        raise FiguraWeightsError(
            "decoupled attention", f"{len(state) - len(rest)} tensors for {len(weights)} layers",
            "one to_k_dc and one to_v_dc per layer",
        )  # fmt: skip
    return rest, Decoupled(weights) if weights else None


def load_reference_unet(folder: Path) -> UNetWeights:
    """Read ``reference_unet/``; the tail it was released without becomes zeros, as nothing reads it."""
    config = read_json(folder / "reference_unet" / "config.json", "the reference UNet's sizes")
    state = read_component(folder, "reference_unet")
    return UNetWeights(fill_tail(state, config.get("out_channels", 4)), config)


def fill_tail(state: StateDict, out_channels: int) -> StateDict:
    """Add the 24 tensors after the last block's ``norm1``, shaped by their siblings, as zeros."""
    blocks = transformer_blocks(state)
    if not blocks:
        raise FiguraWeightsError("reference_unet", "no transformer blocks", "the released reference UNet")
    last, sibling = blocks[-1], blocks[-2]
    filled = dict(state)
    for name, tensor in state.items():
        if name.startswith(f"{sibling}."):
            filled.setdefault(last + name.removeprefix(sibling), torch.zeros_like(tensor))
    width = state["conv_in.weight"].shape[0]
    first = state["conv_in.bias"]
    filled.setdefault("conv_norm_out.weight", first.new_zeros(width))
    filled.setdefault("conv_norm_out.bias", first.new_zeros(width))
    filled.setdefault("conv_out.weight", first.new_zeros(out_channels, width, 3, 3))
    filled.setdefault("conv_out.bias", first.new_zeros(out_channels))
    return filled


def transformer_blocks(names: Iterable[str]) -> list[str]:
    """Names ``down_blocks.i.attentions.j`` ... in the order in which the UNet runs them."""
    order = {"down_blocks": 0, "mid_block": 1, "up_blocks": 2}
    found = {name.split(".transformer_blocks.")[0] for name in names if ".transformer_blocks." in name}
    return sorted(found, key=lambda name: (order[name.split(".")[0]], name))


def comfyui_block(block: str, layers: int = 2) -> tuple[str, int]:
    """``down_blocks.1.attentions.0`` -> ("input", 4): where ComfyUI's UNet has that transformer block."""
    place, *numbers = block.split(".")
    if place == "mid_block":
        return "middle", 0
    level, index = int(numbers[0]), int(numbers[2])
    if place == "down_blocks":
        return "input", (layers + 1) * level + index + 1
    return "output", (layers + 1) * level + index


def pose_structure(folder: Path) -> str:
    """What the pose guider was trained on: ``structure`` in its config.json, DensePose if it does not say."""
    structure = read_json(folder / "pose_guider" / "config.json", "the guider's sizes").get(
        "structure", "densepose"
    )
    if structure not in STRUCTURES:
        raise FiguraWeightsError(
            "pose_guider/config.json", f"structure '{structure}'", " or ".join(STRUCTURES)
        )
    return structure
