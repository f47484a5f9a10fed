"""Which device to work on."""

import torch

from ..common.errors import FiguraInputError


def find_device(name: str) -> torch.device:
    """``auto`` takes CUDA, else Apple's, else the CPU; anything else must be a device that is there."""
    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        return torch.empty(0, device=name).device
    except (RuntimeError, AssertionError) as error:
        raise FiguraInputError(
            "device", f"'{name}'", "auto, cpu, cuda, cuda:1 or mps, as there is"
        ) from error
