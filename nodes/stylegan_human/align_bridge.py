"""Alignment between ComfyUI's batches and the pipeline's single photos."""

import numpy as np
import torch
from torch import Tensor

from ...pipelines.common.errors import FiguraInputError
from ...pipelines.common.images import check_image
from ...pipelines.common.masks import check_mask
from ...pipelines.pose.openpose import from_frames
from ...pipelines.stylegan_human.alignment.align import AlignConfig, Alignment, align, check_config
from ...pipelines.stylegan_human.alignment.paste import PasteConfig, aligned_mask, paste_all
from .. import host


def rules(
    height: int, background: str, several: str, touching: str, joints: int, threshold: float
) -> AlignConfig:
    """The checked rules of the node's widgets."""
    return check_config(AlignConfig((height, height // 2), background, several, touching, joints, threshold))


def align_photos(
    image: Tensor, mask: Tensor, frames, config: AlignConfig, skip: bool
) -> tuple[Tensor, list[Alignment], Tensor, list[str]]:
    """IMAGE batch, alignments, MASK batch, and why photos were left out; with progress and interruption."""
    image, mask = check_image(image), check_mask(mask, "mask", len(image))
    poses = from_frames(frames, (image.shape[1], image.shape[2]))
    if len(poses) not in (1, len(image)):
        raise FiguraInputError("pose", f"{len(poses)} frames for {len(image)} photos", f"1 or {len(image)}")
    progress, done, skipped = host.NodeProgress(len(image)), [], []
    for i in range(len(image)):
        name = f"image {i + 1}" if len(image) > 1 else "image"
        try:
            pose = poses[i if len(poses) > 1 else 0]
            done.append(align(image[i : i + 1], mask[i : i + 1], pose, config, name))
        except FiguraInputError as error:
            if not skip:
                raise
            skipped.append(str(error))
        progress(i + 1, len(image))
    if not done:
        raise FiguraInputError("image", f"no photo that can be aligned ({skipped[0]})", "at least one")
    records = [record for _, record in done]
    masks = np.stack([aligned_mask(record, config.size) for record in records])
    images = torch.cat([picture for picture, _ in done])
    return host.result(images), records, host.result(torch.from_numpy(masks).clamp(0, 1)), skipped


def paste_back(
    photo: Tensor,
    edited: Tensor,
    alignment,
    outline: str,
    feather: float,
    mask: Tensor | None,
    tolerance: float,
) -> tuple[Tensor, Tensor, Tensor]:
    """IMAGE batch with the edited people in their photos, and the two MASK batches."""
    if not isinstance(alignment, list) or not all(isinstance(one, Alignment) for one in alignment):
        raise FiguraInputError("alignment", type(alignment).__name__, "the alignment of StyleGAN Align")
    results = paste_all(photo, edited, alignment, mask, PasteConfig(outline, feather, tolerance))
    parts = zip(*((result.image, result.mask, result.uncovered) for result in results), strict=True)
    images, masks, uncovered = (host.result(torch.cat(part)) for part in parts)
    return images, masks, uncovered
