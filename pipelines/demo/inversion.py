"""Tiny random weights for inversion, in the layouts users have: torchvision's AlexNet, LPIPS's weights for
it, and an e4e encoder for the tiny v2 network.
"""

from pathlib import Path

import torch
from torch import Tensor

from ..common.files import atomic_path
from ..common.perceptual_file import ALEX
from ..stylegan_human.configs import tiny
from ..stylegan_human.inversion.encoder import Encoder, EncoderConfig

WIDTH = 8  # channels of every layer of the tiny AlexNet
KERNELS = {0: 11, 3: 5}


def write_models(models_dir: Path) -> None:
    """Write ``perceptual/*`` and ``stylegan_encoders/*`` under ``models_dir``."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        _write(models_dir / "perceptual" / "alexnet-owt-7be5be79.pth", _alexnet())
        lpips = {f"lin{i}.model.1.weight": torch.rand(1, WIDTH, 1, 1) for i in range(len(ALEX.stages))}
        _write(models_dir / "perceptual" / "alex.pth", lpips)
        _write(models_dir / "stylegan_encoders" / "e4e_w+.pt", _encoder())


def _alexnet() -> dict[str, Tensor]:
    state, width = {}, 3
    for (number,) in ALEX.stages:
        kernel = KERNELS.get(number, 3)
        weight = torch.randn(WIDTH, width, kernel, kernel) / (kernel * width**0.5)
        state |= {f"features.{number}.weight": weight, f"features.{number}.bias": torch.zeros(WIDTH)}
        width = WIDTH
    return state | {"classifier.6.weight": torch.zeros(4, 4), "classifier.6.bias": torch.zeros(4)}


def _encoder() -> dict:
    config = tiny(2)
    sizes = EncoderConfig(
        rows=config.num_ws, w_dim=config.w_dim, widths=(8, 8, 8, 8, config.w_dim), squeezed=4
    )
    state = {f"encoder.{name}": value for name, value in Encoder(sizes).state_dict().items()}
    options = {"encoder_type": "Encoder4Editing", "start_from_latent_avg": True, "stylegan_size": 64}
    average = torch.zeros(config.num_ws, config.w_dim)
    return {"state_dict": state | {"decoder.input.input": torch.zeros(1, 4, 4, 4)}, "latent_avg": average,
            "opts": options}  # fmt: skip


def _write(path: Path, content: dict) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_path(path) as temporary:
        torch.save(content, temporary)
