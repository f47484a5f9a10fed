"""A tiny SegFormer for clothes that really finds the drawn figures of the demo and the tests.

Its layers are random; only the last one is fitted, by least squares on drawings whose classes are known.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ..common.files import atomic_path
from ..common.weights import save_state_dict
from ..parts2whole.segment import CLASSES

MEAN, STD = torch.tensor((0.485, 0.456, 0.406)), torch.tensor((0.229, 0.224, 0.225))
SKIN, JEANS = (222, 184, 150), (40, 50, 90)
SIZE = 341, 512  # what the part masks node brings a 2:3 picture to
FACE, TOP, ARMS, TROUSERS = 11, 4, 14, 6


def write_segformer(folder: Path) -> None:
    """Write config.json and model.safetensors of a network of 38,000 parameters."""
    from transformers import SegformerConfig, SegformerForSemanticSegmentation

    config = SegformerConfig(
        hidden_sizes=[8, 8, 16, 16], depths=[1, 1, 1, 1], num_attention_heads=[1, 1, 2, 2],
        decoder_hidden_size=64, id2label=dict(enumerate(CLASSES)),
    )  # fmt: skip
    model = SegformerForSemanticSegmentation(config).eval()
    _fit(model)
    save_state_dict(folder / "model.safetensors", model.state_dict())
    with atomic_path(folder / "config.json") as temporary:
        temporary.write_text(json.dumps(config.to_dict(), indent=1), encoding="utf-8")


@torch.no_grad()
def _fit(model: Any) -> None:
    """Solve the classifier [18, 64] by ridge regression from the features to the drawn classes."""
    seen: list[Tensor] = []
    classifier = model.decode_head.classifier
    hook = classifier.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    targets = []
    for seed in range(6):
        picture, classes = draw_figure(6 * seed + 1, *SIZE)
        model(((picture - MEAN) / STD).movedim(-1, 0)[None])
        small = F.interpolate(classes[None, None].float(), seen[-1].shape[-2:])
        targets.append(F.one_hot(small.flatten().long(), len(CLASSES)).float())
    hook.remove()
    features = torch.cat([x[0].flatten(1).T for x in seen])
    features = torch.cat([features, torch.ones(len(features), 1)], dim=1)
    target = torch.cat(targets)
    rare = (1 / target.sum(dim=0).clamp(min=1))[target.argmax(dim=1), None]  # every class counts alike
    gram = features.T @ (rare * features) + 1e-6 * torch.eye(features.shape[1])
    solved = torch.linalg.solve(gram, features.T @ (rare * target))
    classifier.weight.copy_(solved[:-1].T[..., None, None])
    classifier.bias.copy_(solved[-1])


def draw_figure(seed: int, width: int, height: int) -> tuple[Tensor, Tensor]:
    """A person of head, trunk and limbs on black: picture [H, W, 3] in [0, 1] and classes [H, W]."""
    from PIL import Image, ImageDraw

    picture, classes = Image.new("RGB", (width, height)), Image.new("L", (width, height))
    cloth = tuple((seed * step) % 200 + 40 for step in (71, 37, 53))
    x, y = width / 2, height / 8
    for page, (skin, jeans, top, face) in (
        (picture, (SKIN, JEANS, cloth, SKIN)),
        (classes, (ARMS, TROUSERS, TOP, FACE)),
    ):
        pen = ImageDraw.Draw(page)
        for side in (-1, 1):
            pen.line([(x, 2.2 * y), (x + side * 0.45 * x, 4 * y)], fill=skin, width=width // 14)
            pen.line([(x, 4.2 * y), (x + side * 0.3 * x, 7.6 * y)], fill=jeans, width=width // 9)
        pen.rectangle((x - 0.3 * x, 1.8 * y, x + 0.3 * x, 4.4 * y), fill=top)
        pen.ellipse((x - 0.8 * y, 0.3 * y, x + 0.8 * y, 1.9 * y), fill=face)
    return torch.from_numpy(np.array(picture, dtype=np.float32) / 255), torch.from_numpy(np.array(classes))
