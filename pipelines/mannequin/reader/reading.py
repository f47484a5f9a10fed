"""Opens the trained networks and reads pictures with them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from ...common.errors import FiguraInputError
from ...common.weights import check_keys, load_state_dict, save_state_dict
from ..classes import PALETTE
from .colors import SUREST, name_color, region_color
from .networks import HEIGHT, WIDTH, AttributeNet, BodyNet, joint_points
from .targets import KINDS, PARTS, REGIONS

SHIPPED = Path(__file__).parents[2] / "demo" / "models" / "mannequin" / "reader.safetensors"
CHUNK = 64
# Bones of COCO-17, for drawing.
BONES = (
    (5, 7),
    (7, 9),
    (6, 8),
    (8, 10),
    (5, 6),
    (11, 12),
    (5, 11),
    (6, 12),
    (11, 13),
    (13, 15),
    (12, 14),
    (14, 16),
)


@dataclass(frozen=True)
class Reading:
    """What was read from one picture of one figure."""

    colors: dict[str, str]
    """Named colour by region (hair, top, bottom, shoes, skin, wall); a region that is not seen is left
    out."""
    kinds: dict[str, str]
    """person, hair (length), top, bottom, shoes: the words of the short caption."""
    keypoints: np.ndarray
    """COCO-17 [17, 3] float32: x, y in pixels of the picture, certainty 0..1."""
    parts: np.ndarray
    """Classes uint8 [128, 64] (classes.CLOTHES_CLASSES)."""

    @property
    def caption(self) -> str:
        """The short caption that this reading amounts to."""
        kinds, colors = self.kinds, self.colors
        worn = [f"{colors.get(slot, 'unseen')} {kinds[slot]}" for slot in ("top", "bottom", "shoes")]
        hair = f"{kinds['hair']} {colors.get('hair', 'unseen')} hair"
        words = ", ".join([f"a {kinds['person']} with {hair}", *worn])
        return f"{words}, in front of a {colors.get('wall', 'unseen')} wall"


class Reader:
    """Reads batches of pictures. On the CPU unless moved."""

    def __init__(self, body: BodyNet, attributes: AttributeNet) -> None:
        self.body, self.attributes = body.eval(), attributes.eval()

    def to(self, device: torch.device | str) -> Reader:
        """Move both networks."""
        self.body.to(device)
        self.attributes.to(device)
        return self

    @property
    def device(self) -> torch.device:
        """Where the networks are."""
        return next(self.body.parameters()).device

    @torch.no_grad()
    def read(self, pixels: Tensor) -> list[Reading]:
        """Read pictures [B, 3, H, W] in [-1, 1] of one full-length figure, twice as high as wide."""
        prepared = canonical(pixels)
        scale = pixels.shape[2] / HEIGHT
        return [reading for chunk in prepared.split(CHUNK) for reading in self._read(chunk, scale)]

    def _read(self, pixels: Tensor, scale: float) -> list[Reading]:
        parts, points, kinds = self.body(pixels.to(self.device))
        parts = F.interpolate(parts.float(), (HEIGHT, WIDTH), mode="bilinear", align_corners=False)
        chances = parts.softmax(1).cpu().numpy()
        joints = joint_points(points.float()).cpu()
        joints[..., :2] = (joints[..., :2] + 0.5) * scale - 0.5
        images = ((pixels.movedim(1, 3) + 1) * 127.5).cpu().numpy()
        words = {name: found.argmax(1).tolist() for name, found in kinds.items()}
        return [
            Reading(
                read_colors(images[i], chances[i]),
                {name: KINDS[name][chosen[i]] for name, chosen in words.items()},
                joints[i].numpy(),
                chances[i].argmax(0).astype(np.uint8),
            )
            for i in range(len(images))
        ]

    @torch.no_grad()
    def features(self, pixels: Tensor) -> Tensor:
        """Hidden units [B, 64] float32 of the attribute network, for Fréchet distances."""
        chunks = canonical(pixels).split(CHUNK)
        return torch.cat([self.attributes.features(chunk.to(self.device)).float() for chunk in chunks])

    @torch.no_grad()
    def attributes_of(self, pixels: Tensor) -> Tensor:
        """Attributes [B, A] in their own units (targets.ATTRIBUTES)."""
        net = self.attributes
        chunks = [net(chunk.to(self.device)) for chunk in canonical(pixels).split(CHUNK)]
        return torch.cat(chunks).float() * net.deviation + net.mean


def is_upright(height: int, width: int) -> bool:
    """Whether a picture has the shape that the reader is made for: twice as high as wide, within 5 %."""
    return min(height, width) >= 8 and 1.9 <= height / width <= 2.1


def canonical(pixels: Tensor) -> Tensor:
    """Check pictures and bring them to [B, 3, 128, 64] float32: averaged when larger, bilinear when smaller.

    Raises:
        FiguraInputError: another form, values that are not finite or far outside [-1, 1], another shape.
    """
    wanted = "float [B, 3, H, W] in [-1, 1], twice as high as wide"
    if not isinstance(pixels, Tensor) or pixels.ndim != 4 or pixels.shape[1] != 3 or not len(pixels):
        shape = list(pixels.shape) if isinstance(pixels, Tensor) else type(pixels).__name__
        raise FiguraInputError("pictures", str(shape), wanted)
    height, width = pixels.shape[2:]
    if not is_upright(height, width):
        raise FiguraInputError(
            "pictures", f"{height} x {width} pixels (height x width)",
            "twice as high as wide, 16 x 8 or more",
            "The reader is made for one full-length figure; crop the picture to it.",
        )  # fmt: skip
    pixels = pixels.float()
    if not bool(torch.isfinite(pixels).all()) or float(pixels.abs().max()) > 1.5:
        raise FiguraInputError("pictures", "values that are not finite or beyond -1..1", wanted)
    if (height, width) == (HEIGHT, WIDTH):
        return pixels.clamp(-1, 1)
    antialias = height > HEIGHT
    resized = F.interpolate(
        pixels, (HEIGHT, WIDTH), mode="bilinear", align_corners=False, antialias=antialias
    )
    return resized.clamp(-1, 1)


def read_colors(image: np.ndarray, chances: np.ndarray) -> dict[str, str]:
    """Named colour of each region of an image [H, W, 3] in 0..255, from class probabilities [18, H, W]."""
    colors = {}
    for region, names in REGIONS.items():
        certainty = chances[[PARTS.index(name) for name in names]].sum(0)
        color = region_color(image, certainty, SUREST.get(region, 0.5))
        if color is not None:
            colors[region] = name_color(region, color)
    return colors


def draw_reading(pixels: Tensor, readings: list[Reading]) -> Tensor:
    """Pictures [B, 3, H, 3 W] in [0, 1]: as they came, the parts read, the joints read."""
    import cv2

    palette = np.array(PALETTE, np.uint8).reshape(-1, 3)
    shown = []
    for image, reading in zip(
        ((canonical(pixels) + 1) * 127.5).byte().movedim(1, 3).cpu().numpy(), readings, strict=True
    ):
        bones = (image * 0.35).astype(np.uint8)
        points = ((reading.keypoints[:, :2] + 0.5) * HEIGHT / pixels.shape[2] - 0.5).round().astype(int)
        for start, end in BONES:
            cv2.line(bones, points[start].tolist(), points[end].tolist(), (255, 220, 80), 1, cv2.LINE_AA)
        shown.append(np.concatenate([image, palette[reading.parts], bones], 1))
    return torch.from_numpy(np.stack(shown)).permute(0, 3, 1, 2).float() / 255


def save_reader(reader: Reader, path: Path) -> None:
    """Write both networks in float16 as one .safetensors file."""
    state = {}
    for prefix, net in (("body", reader.body), ("attributes", reader.attributes)):
        state |= {f"{prefix}.{name}": value.half() for name, value in net.state_dict().items()}
    save_state_dict(path, state, {"format": "figura mannequin reader 1"})


def load_reader(path: str | Path = SHIPPED) -> Reader:
    """Open a reader's file; without a path the one that the pack ships."""
    state = {name: value.float() for name, value in load_state_dict(path).items()}
    body, attributes = BodyNet(), AttributeNet()
    for prefix, net in (("body.", body), ("attributes.", attributes)):
        part = {name[len(prefix) :]: value for name, value in state.items() if name.startswith(prefix)}
        check_keys(net, part, Path(path).name)
        net.load_state_dict(part)
    return Reader(body, attributes)
