"""Pictures drawn from prompts, as files: numbered, named for their prompt, with their settings inside."""

import re
from pathlib import Path

import torch
from torch import Tensor

from .files import atomic_path


def file_name(index: int, prompt: str) -> str:
    """``0007_a-fit-woman….png``: number and 128 letters of the prompt, safe in any file system."""
    safe = re.sub(r'[\s/\\:*?"<>|\x00-\x1f]+', "-", prompt[:128]).strip("-. ")
    while len(safe.encode()) > 240:
        safe = safe[:-1]
    return f"{index:04d}_{safe}.png"


def write_picture(path: Path, image: Tensor, settings: str) -> None:
    """Write one picture [H, W, 3] in [0, 1]; ``settings`` stand in it as other programs write them."""
    from PIL import Image
    from PIL.PngImagePlugin import PngInfo

    info = PngInfo()
    info.add_itxt("parameters", settings)
    picture = Image.fromarray((image * 255).round().to(torch.uint8).numpy())
    with atomic_path(path) as temporary:
        picture.save(temporary, format="PNG", pnginfo=info)
