"""Clothes as strips over the body: legs and shoes, skirts, tops and dresses, sleeves, necklines."""

import numpy as np

from . import body, classes
from .fabric import front, patterned, skin_color, tinted
from .looks import Garment, Look
from .palette import CLOTHES, Color, shade
from .shapes import Shape, blob, cut, limb, ribbon
from .skeleton import Skeleton

HEM = {"cropped": "waist", "normal": "hip", "long": "seat"}
SKIRT_END = {"short": 0.30, "knee-length": 0.55, "long": 0.84}
"""Where a skirt ends between hip (0), knee (0.5) and ankle (1)."""
FIT = {"slim": 0.004, "straight": 0.009, "wide": 0.014}


def leg(s: Skeleton, side: str, look: Look) -> list[Shape]:
    """One leg: skin, shoe, and the trouser leg over them."""
    label = classes.LEFT_LEG if side == "l" else classes.RIGHT_LEG
    skin = skin_color(look)
    bottom = look.bottom
    trousers = bottom is not None and bottom.kind == "pants"
    low, high = f"{side}_shin", f"{side}_thigh"
    bare = [Shape(*body.shin(s, side), skin, label, low, group=low)]
    if not trousers:
        bare.append(Shape(*body.thigh(s, side), skin, label, high, group=low, open_start=True))
    if look.socks is not None:
        sock = body.shin(s, side, 0.004, 0.58, 1.0)
        bare.append(Shape(*sock, CLOTHES[look.socks.color], label, low))
    shapes = bare + shoe(s, side, look)
    if bottom is None or bottom.kind == "skirt":
        return shapes
    ease, color = FIT[bottom.shape], tinted(CLOTHES[bottom.color], look, 3)
    if trousers:
        flare = {"slim": -0.002, "straight": 0.004, "wide": 0.014}[bottom.shape]
        cloth = f"{side} trousers"
        boots = look.shoes.kind == "boots" and bottom.shape != "wide"
        calf = Shape(
            *body.shin(s, side, ease, 0, 0.66 if boots else 0.97, 0.0 if boots else flare),
            color,
            classes.PANTS,
            low,
            group=cloth,
        )
        knee = Shape(
            *body.thigh(s, side, ease * 0.7), color, classes.PANTS, high, group=cloth, open_start=True
        )
        return [*shapes, calf, knee, *(shoe(s, side, look) if boots else [])]
    loose = 0.010 if bottom.shape != "slim" else 0.003
    shapes.append(
        Shape(
            *body.thigh(s, side, ease * 0.7 + 0.004, 0.66, loose), color, classes.PANTS, high, open_start=True
        )
    )
    return shapes


def shoe(s: Skeleton, side: str, look: Look) -> list[Shape]:
    """A shoe with its sole; boots reach up the shin, sneakers have a white sole."""
    label = classes.LEFT_SHOE if side == "l" else classes.RIGHT_SHOE
    color, part = tinted(CLOTHES[look.shoes.color], look, 4), f"{side}_foot"
    heel, toe = s[f"{side}_heel"][:2], s[f"{side}_toe"][:2]
    wide = s.build.feet
    drop = np.array((0.0, 0.0085 * wide))
    white = look.shoes.kind == "sneakers" and look.shoes.color != "white"
    sole = (244.0, 244.0, 242.0) if white else shade(color, 0.50)
    shapes = [Shape(*limb(heel + drop, toe + drop, 0.0170 * wide, 0.0165 * wide), sole, label, part)]
    if look.shoes.kind == "boots":
        calf = s[f"{side}_knee"] * 0.48 + s[f"{side}_ankle"] * 0.52
        shaft = limb(s[f"{side}_ankle"], calf, 0.024 * (0.5 + 0.5 * wide), 0.034, blunt=True)
        shapes.append(Shape(*shaft, color, label, part, group=part))
    else:
        ankle = s[f"{side}_ankle"]
        middle = (heel + toe) / 2
        shapes.append(
            Shape(
                *limb(
                    ankle * 0.6 + s[f"{side}_toe"] * 0.4 * 0.5 + s[f"{side}_heel"] * 0.2,
                    middle,
                    0.0165 * wide,
                    0.0175 * wide,
                ),
                color,
                label,
                part,
                group=part,
            )
        )
    shapes.append(Shape(*body.shoe(s, side), color, label, part, group=part))
    return shapes


def hips(s: Skeleton, look: Look) -> list[Shape]:
    """The seat of trousers or shorts, or a skirt."""
    if look.dress is not None or look.bottom is None:
        return []
    color = tinted(CLOTHES[look.bottom.color], look, 3)
    if look.bottom.kind == "skirt":
        rows = skirt(s, look.bottom, 0.80)
        return _pleats(patterned(Shape(*rows, color, classes.SKIRT, "hips"), look.bottom), look.bottom)
    rows = body.trunk(s, "waist", "crotch", 0.004 + FIT[look.bottom.shape] * 0.4)
    seat = Shape(*rows, color, classes.PANTS, "hips", outline=False)
    seat.left, seat.right = cut(seat, 0.30, 1.0)
    return [seat]


def skirt(s: Skeleton, garment: Garment, start: float) -> body.Rows:
    """A skirt from ``start`` along the spine to its hem, wide enough for both legs."""
    end = SKIRT_END[garment.length]
    flare = {"a-line": 0.022, "pleated": 0.028, "pencil": 0.002}.get(garment.shape, 0.015) * (0.6 + end)
    levels = body.trunk_levels(s, 0.005)
    waist = body.section(s, start, s.build.waist * 1.02 + 0.006, 0.055)
    rows = ([waist[0], levels["hip"][0]], [waist[1], levels["hip"][1]])
    for t in (end * 0.4, end * 0.75, end):
        edge = leg_edges(s, t, flare * t / end + 0.006)
        rows[0].append(edge[0])
        rows[1].append(edge[1])
    left, right = np.array(rows[0]), np.array(rows[1])
    seat = levels["seat"]
    left[2:, 0] = np.minimum(left[2:, 0], seat[0][0] * 0.4 + left[2:, 0] * 0.6)
    right[2:, 0] = np.maximum(right[2:, 0], seat[1][0] * 0.4 + right[2:, 0] * 0.6)
    return body.round_hem(*ribbon(left, right), 0.014)


def leg_edges(s: Skeleton, t: float, ease: float) -> tuple[np.ndarray, np.ndarray]:
    """Outermost points of both legs at ``t`` (0 hip, 0.5 knee, 1 ankle)."""
    points = []
    for side in "lr":
        hip, knee, ankle = s[f"{side}_hip"], s[f"{side}_knee"], s[f"{side}_ankle"]
        points.append((hip + (knee - hip) * t * 2 if t < 0.5 else knee + (ankle - knee) * (t * 2 - 1))[:2])
    points.sort(key=lambda p: p[0])
    radius = (0.050 - 0.022 * t) * s.build.girth + ease
    return points[0] - np.array((radius, 0)), points[1] + np.array((radius, 0))


def _pleats(shapes: list[Shape], garment: Garment) -> list[Shape]:
    if garment.shape != "pleated":
        return shapes
    base = shapes[0]
    left, right = cut(base, 0.28, 0.86)
    middle, half, dark = (left + right) / 2, (right - left) / 2, shade(base.color, 0.82)
    fan = np.linspace(0.4, 1, len(middle))[:, None] * 0.045
    folds = [
        Shape(middle + half * (a - fan), middle + half * (a + fan), dark, None, tones=False, outline=False)
        for a in (-0.7, -0.35, 0.0, 0.35, 0.7)
    ]
    return shapes + folds


def top(s: Skeleton, look: Look, garment: Garment, slot: int = 2) -> list[Shape]:
    """The trunk part of a top or dress with its neckline; sleeves come with the arms."""
    color = tinted(CLOTHES[garment.color], look, slot)
    dress = garment.kind == "dress"
    label = classes.DRESS if dress else classes.UPPER
    last = "hip" if dress else HEM[garment.length]
    ease = 0.010 if garment.kind == "sweater" else 0.005
    first = "bib" if garment.sleeve == "sleeveless" else "collar"
    shapes: list[Shape] = []
    if dress:
        shapes += patterned(Shape(*skirt(s, garment, 0.60), color, label, "hips"), garment, 1.0)
    rows = body.trunk(s, first, last, ease, 0.0 if dress else 0.010)
    shapes += patterned(Shape(*rows, color, label, "trunk", outline=not dress), garment)
    if garment.sleeve == "sleeveless":
        shapes = _straps(s, color, label) + shapes
    if garment.kind == "sweater":
        shapes.append(Shape(*cut(shapes[0], 0.88, 1.0), shade(color, 0.86), label, "trunk", outline=False))
    return shapes


def _straps(s: Skeleton, color: Color, label: int) -> list[Shape]:
    levels = body.trunk_levels(s)
    strips = []
    for index in (0, 1):
        shoulder = levels["trapezius"][index] * 0.72 + levels["collar"][index] * 0.28
        chest = levels["bib"][index] * 0.86 + levels["bib"][1 - index] * 0.14 + np.array((0, 0.012))
        strips.append(
            Shape(*limb(shoulder + np.array((0, 0.004)), chest, 0.0105, 0.0135), color, label, "trunk")
        )
    return strips


def neckline(s: Skeleton, look: Look) -> tuple[list[Shape], list[Shape]]:
    """The cut at the neck: what lies under the neck (skin in a V or round) and over it (collars)."""
    garment = look.top or look.dress
    assert garment is not None
    facing = float(s.torso[2, 2])
    color = tinted(CLOTHES[garment.color], look, 2)
    label = classes.DRESS if garment.kind == "dress" else classes.UPPER
    if garment.collar == "turtleneck":
        base, tall = s["neck"] + s.torso[:, 1] * 0.012, s["neck"] - s.torso[:, 1] * 0.024
        return [], [Shape(*limb(base, tall, 0.034, 0.029), shade(color, 0.93), label, "trunk")]
    if facing < 0.1 or garment.sleeve == "sleeveless":
        return [], []
    chest, skin = s.build.chest, skin_color(look)
    upper, _ = front(s, -0.035, 0, chest, 0.030)
    if garment.collar == "lapel":
        return _shirt_front(s, color, upper, facing, skin)
    tip, _ = front(s, 0.17 if garment.collar == "v neck" else 0.085, 0, chest, 0.048)
    base = s["neck"][:2] + s.torso[:2, 1] * 0.004
    across = np.array((0.031 * (0.5 + 0.5 * facing), 0.0))
    if garment.collar == "v neck":
        rows = ribbon(np.array((base - across, tip)), np.array((base + across, tip)))
    else:
        drop = tip - base
        rows = blob(base + drop * 0.42, float(across[0]), float(np.hypot(*drop)) * 0.58)
    edge = Shape(*_grown(rows, 1.2), shade(color, 0.82), None, tones=False, outline=False)
    return [edge, Shape(*rows, skin, classes.FACE, "neck", outline=False, tones=False)], []


def _grown(rows: body.Rows, factor: float) -> body.Rows:
    center = (rows[0].mean(0) + rows[1].mean(0)) / 2
    return center + (rows[0] - center) * factor, center + (rows[1] - center) * factor


def _shirt_front(
    s: Skeleton, color: Color, upper: np.ndarray, facing: float, skin: Color
) -> tuple[list[Shape], list[Shape]]:
    b = s.build
    tip, _ = front(s, 0.10, 0, b.chest, 0.046)
    spread = np.array((0.021 * facing, 0.0))
    throat = ribbon(np.array((upper - spread, tip)), np.array((upper + spread, tip)))
    under = [Shape(*throat, skin, classes.FACE, "neck", outline=False, tones=False)]
    over = []
    for side in (-1, 1):
        inner = np.array((upper + side * np.array((0.018, 0.0)), tip))
        outer = np.array(
            (
                upper + side * np.array((0.030 + 0.004 * facing, 0.008)),
                tip + side * np.array((0.026 * facing, 0.004)),
            )
        )
        over.append(Shape(*ribbon(inner, outer), shade(color, 1.10), None, tones=False))
    path = np.array([front(s, t, 0, b.chest * (1 - 0.2 * t), 0.052)[0] for t in (0.14, 0.36, 0.58, 0.80)])
    line = ribbon(path - np.array((0.0022, 0)), path + np.array((0.0022, 0)))
    under.append(Shape(*line, shade(color, 0.84), None, tones=False, outline=False))
    under += [
        Shape(*blob(p, 0.0040, 0.0040), shade(color, 0.66), None, tones=False, outline=False)
        for p in path[1:]
    ]
    return under, over


def sleeve(s: Skeleton, side: str, look: Look) -> list[Shape]:
    """The sleeve of whatever is outermost."""
    garment = look.coat or look.top or look.dress
    assert garment is not None
    worn = "long sleeve" if look.coat is not None else garment.sleeve
    if worn == "sleeveless":
        return []
    color = tinted(CLOTHES[garment.color], look, 5 if look.coat is not None else 2)
    label = classes.DRESS if garment.kind == "dress" else classes.UPPER
    ease = {"sweater": 0.008, "jacket": 0.009, "coat": 0.010}.get(garment.kind, 0.0055)
    if worn == "short sleeve":
        return patterned(
            Shape(
                *body.upper_arm(s, side, ease + 0.002, 0.56), color, label, f"{side}_upper", open_start=True
            ),
            garment,
            0.45,
        )
    cloth = f"{side} sleeve"
    lower = Shape(*body.forearm(s, side, ease, 0.92), color, label, f"{side}_fore", group=cloth)
    upper = Shape(*body.upper_arm(s, side, ease), color, label, f"{side}_upper", group=cloth, open_start=True)
    shapes = [lower, upper]
    if garment.kind in ("sweater", "jacket"):
        shapes.append(Shape(*cut(lower, 0.82, 0.97), shade(color, 0.86), None, outline=False))
    if look.coat is None:
        shapes += (
            patterned(lower, garment, 0.6, 0.30, 0.94)[1:] + patterned(upper, garment, 0.6, 0.12, 0.74)[1:]
        )
    return shapes
