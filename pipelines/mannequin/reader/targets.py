"""What the reader learns from a picture: part map, joints, kinds, attributes. No torch here."""

from dataclasses import dataclass
from math import radians, sin

import numpy as np

from ..classes import CLOTHES_CLASSES, KEYPOINTS
from ..looks import Look
from ..palette import CLOTHES, HAIR, SKIN, Color
from ..scene import Picture

PARTS = CLOTHES_CLASSES
POINTS = KEYPOINTS
SWAPPED_POINTS = tuple(
    KEYPOINTS.index(name.replace("left", "?").replace("right", "left").replace("?", "right"))
    for name in KEYPOINTS
)
"""Where each joint of a mirrored picture is found."""
SWAPPED_PARTS = tuple(
    CLOTHES_CLASSES.index(name.replace("left", "?").replace("right", "left").replace("?", "right"))
    for name in CLOTHES_CLASSES
)
REGIONS: dict[str, tuple[str, ...]] = {
    "hair": ("hair",),
    "top": ("upper-clothes", "dress", "scarf"),
    "bottom": ("skirt", "pants", "belt"),
    "shoes": ("left shoe", "right shoe"),
    "skin": ("face", "left leg", "right leg", "left arm", "right arm"),
    "wall": ("background",),
}
"""The merged parts: classes by region."""
KINDS: dict[str, tuple[str, ...]] = {
    "person": ("woman", "man"),
    "hair": ("short", "long"),
    "top": ("t-shirt", "sweater", "tank top", "shirt"),
    "bottom": ("pants", "shorts", "skirt"),
    "shoes": ("shoes", "boots"),
}
IGNORED = -100
"""Where a picture has no answer (no hair, a dress instead of a top): cross_entropy's own mark."""
COLORED = ("hair", "top", "bottom", "shoes", "skin", "wall")
ATTRIBUTES = (
    *(f"{slot} {channel}" for slot in COLORED for channel in ("red", "green", "blue")),
    *("sleeve", "leg cover", "hair length", "skirt", "dress", "coat", "hat", "bag", "boots", "girth", "yaw"),
    *(f"{name} {axis}" for name in KEYPOINTS for axis in "xy"),
)


@dataclass(frozen=True)
class Target:
    """The truth of one figure's picture."""

    parts: np.ndarray
    """uint8 [H, W], classes 0..17."""
    points: np.ndarray
    """float32 [17, 3]: x, y in pixels, flag (2 seen, 1 hidden, 0 outside)."""
    kinds: np.ndarray
    """int64 [len(KINDS)], an index each, or IGNORED."""
    attributes: np.ndarray
    """float32 [len(ATTRIBUTES)]."""
    colors: dict[str, str]
    """Name of the colour by region, where there is one."""


def target_of(picture: Picture) -> Target:
    """Read the truth off a picture of one person."""
    person = picture.people[0]
    look, height = person.look, picture.parts.shape[0]
    points = person.keypoints[:, :2] / height
    values = [*_colors(look, picture.backdrop.color), *_shapes(look, person.pose.yaw), *points.ravel()]
    return Target(
        picture.parts,
        person.keypoints,
        np.array([_kind(look, name) for name in KINDS], np.int64),
        np.array(values, np.float32),
        color_names(look, picture.backdrop.words),
    )


def color_names(look: Look, wall: str) -> dict[str, str]:
    """The named colours of a look, by region; what is covered by a coat or not there is left out."""
    names = {"shoes": look.shoes.color}
    if look.hair is not None and look.hat is None and look.wrap is None:
        names["hair"] = look.hair.color
    top = look.top or look.dress
    if top is not None and look.coat is None and top.pattern == "solid":
        names["top"] = top.color
    if look.bottom is not None and (look.coat is None or look.coat.length != "long"):
        names["bottom"] = look.bottom.color
    if wall.startswith("a ") and wall.endswith(" wall"):
        names["wall"] = wall[2:-5]
    return names


def _kind(look: Look, name: str) -> int:
    top = look.top.kind if look.top is not None and look.coat is None else ""
    words = {
        "person": "woman" if look.gender == "female" else "man",
        "hair": {"above ears": "short", "above chest": "long"}.get(look.hair.length if look.hair else "", ""),
        "top": top,
        "bottom": look.bottom.kind if look.bottom is not None else "",
        "shoes": "boots" if look.shoes.kind == "boots" else "shoes",
    }
    return KINDS[name].index(words[name]) if words[name] in KINDS[name] else IGNORED


def _colors(look: Look, wall: Color) -> list[float]:
    top = look.coat or look.top or look.dress
    bottom = look.bottom or look.dress
    skin = SKIN[look.skin]
    colors = [
        HAIR[look.hair.color] if look.hair is not None else skin,
        CLOTHES[top.color] if top is not None else skin,
        CLOTHES[bottom.color] if bottom is not None else skin,
        CLOTHES[look.shoes.color],
        skin,
        wall if any(wall) else (200.0, 200.0, 200.0),
    ]
    return [channel / 255 for color in colors for channel in color]


def _shapes(look: Look, yaw: float) -> list[float]:
    top, bottom = look.top or look.dress, look.bottom or look.dress
    sleeve = {"sleeveless": 0.0, "short sleeve": 0.4, "long sleeve": 1.0}[top.sleeve] if top else 0.0
    cover = {"short": 0.3, "knee-length": 0.55, "long": 1.0}[bottom.length] if bottom else 0.0
    lengths = {"above ears": 0.3, "above shoulders": 0.6, "above chest": 1.0}
    return [
        1.0 if look.coat else sleeve,
        cover,
        lengths[look.hair.length] if look.hair else 0.0,
        float(look.bottom is not None and look.bottom.kind == "skirt"),
        float(look.dress is not None),
        float(look.coat is not None),
        float(look.hat is not None),
        float(look.bag is not None),
        float(look.shoes.kind == "boots"),
        {"slim": 0.9, "fit": 1.0, "plump": 1.22}[look.body],
        sin(radians(yaw)),
    ]
