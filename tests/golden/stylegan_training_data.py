"""The golden numbers of StyleGAN's training, read."""

import json
import os
from pathlib import Path

import torch
from safetensors.torch import load_file

DATA = Path(os.environ.get("FIGURA_GOLDEN") or Path(__file__).parent / "data") / "stylegan_human_training"


def fixture(name: str) -> tuple[dict, dict[str, torch.Tensor]]:
    """Settings and tensors of a fixture; some have settings alone."""
    path = DATA / f"{name}.safetensors"
    return json.loads((DATA / f"{name}.json").read_text()), load_file(path) if path.is_file() else {}


def part(tensors: dict, prefix: str) -> dict[str, torch.Tensor]:
    return {key[len(prefix) :]: value.clone() for key, value in tensors.items() if key.startswith(prefix)}
