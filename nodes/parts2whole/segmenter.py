"""SegFormer clothes under ComfyUI's memory management."""

from pathlib import Path

import folder_paths
import torch
from torch import Tensor

from ...pipelines.common.errors import FiguraInputError
from ...pipelines.common.images import check_image
from ...pipelines.parts2whole import segment
from .. import host

host.register_folder("segformer")


def folders() -> dict[str, Path]:
    """Folders under models/segformer that hold a network, by name."""
    roots = [Path(root) for root in folder_paths.get_folder_paths("segformer")]
    return {path.parent.name: path.parent for root in roots for path in sorted(root.glob("*/config.json"))}


def part_masks(image: Tensor, name: str, dress_rule: bool, side: int) -> tuple[dict[str, Tensor], Tensor]:
    """IMAGE -> ({label: MASK}, IMAGE of the classes)."""
    image = check_image(image)
    known = folders()
    if name not in known:
        raise FiguraInputError(
            "model", f"'{name}'", "a folder in models/segformer with config.json and model.safetensors",
            "segformer_b2_clothes serves; put its folder there, then press R.",
        )  # fmt: skip
    if not 0 <= side <= 2048:
        raise FiguraInputError("resolution", str(side), "0 to 2048")
    # in a list, as ComfyUI writes ``device`` on what it manages: read-only on transformers' classes
    patcher = host.as_patcher(torch.nn.ModuleList([segment.load_segformer(known[name])]))
    model, progress = host.on_device(patcher)[0], host.NodeProgress(len(image))
    classes = []
    for i, picture in enumerate(image):
        classes.append(segment.segment(model, picture[None].to(patcher.load_device), side).cpu())
        progress(i + 1, len(image))
    joined = torch.cat(classes)
    masks = segment.part_masks(joined, dress_rule)
    return {label: host.result(mask) for label, mask in masks.items()}, host.result(
        segment.draw_classes(joined)
    )
