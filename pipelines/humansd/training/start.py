"""What training starts from: plain Stable Diffusion 2.1-base, widened, or a HumanSD to go on with."""

from pathlib import Path

import torch

from ...common import base_model, base_parts
from ...common.identify import identify
from .. import checkpoint, model, unet


def open_start(path: Path) -> model.HumanSD:
    """The networks in float32 on the CPU, without gradients.

    Raises:
        FiguraInputError, FiguraWeightsError: not there; neither SD2.1-base nor HumanSD.
    """
    found = base_model.find(path, "base", "figura humansd train starts from v2-1_512-ema-pruned.")
    parts = checkpoint.widened(found) if _is_plain(found) else checkpoint.read(found)
    return model.build(parts, "cpu", torch.float32)


def _is_plain(path: Path) -> bool:
    if path.is_dir():
        return base_parts.read_config(path / "unet" / "config.json").get("in_channels") != unet.CHANNELS
    return identify(path).kind == "sd21.checkpoint"
