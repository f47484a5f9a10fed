"""Clothes as strips over the body."""

import numpy as np

from . import body, classes
from .looks import Garment, Look
from .palette import CLOTHES, MATERIALS, SKIN, Color, shade
from .shapes import Shape, blob, cut, limb, ribbon
from .skeleton import Skeleton

HEM = {"cropped": "waist", "normal": "hip", "long": "seat"}
SKIRT_END = {"short": 0.30, "knee-length": 0.55, "long": 0.84}
"""Where a skirt ends between hip (0), knee (0.5) and ankle (1)."""
FIT = {"slim": 0.004, "straight": 0.009, "wide": 0.014}


def tinted(color: Color, look: Look, slot: int) -> Color:
    """The shade of a named colour this person wears: slots are skin, hair, top, bottom, shoes, coat."""
    factor = 1 + look.tints[slot]
    return tuple(min(255.0, c * factor) for c in color)  # type: ignore[return-value]


def skin_color(look: Look) -> Color:
    """Skin in this person's shade."""
    return tinted(SKIN[look.skin], look, 0)


def patterned(shape: Shape, garment: Garment, scale: float = 1.0) -> list[Shape]:
    """The shape and the stripes, dots or checks on it."""
    if garment.pattern == "solid" or not garment.second:
        return [shape]
    color = CLOTHES[garment.second]
    if garment.pattern == "dotted":
        return [shape, *_dots(shape, color, scale)]
    step = (0.135 if garment.pattern == "striped" else 0.20) / scale
    thick = step * (0.46 if garment.pattern == "striped" else 0.22)
    tones = garment.pattern == "striped"
    starts = np.arange(0.12, 0.94, step)
    ends = shape.evenly(np.minimum(0.98, starts + thick))
    bands = [
        Shape(*cut(shape, start, end), color, None, tones=tones, outline=False)
        for start, end in zip(shape.evenly(starts), ends, strict=True)
    ]
    return [shape, *bands] + (_checks(shape, color, scale) if garment.pattern == "plaid" else [])


def _dots(shape: Shape, color: Color, scale: float) -> list[Shape]:
    rows = max(2, round(6 * scale))
    size = 0.0085 if scale >= 1 else 0.0065
    even, odd = ((-0.33, 0.33), (-0.66, 0.0, 0.66)) if scale >= 1 else ((-0.5,), (0.5,))
    places = shape.evenly((np.arange(rows) + 0.8) / (rows + 0.9))
    return [
        Shape(*blob(shape.at(places[row], across), size, size), color, None, tones=False, outline=False)
        for row in range(rows)
        for across in (odd if row % 2 else even)
    ]


def _checks(shape: Shape, color: Color, scale: float) -> list[Shape]:
    left, right = cut(shape, 0.05, 0.95)
    middle, half = (left + right) / 2, (right - left) / 2
    lines = (-0.55, 0.0, 0.55) if scale >= 1 else (0.0,)
    return [
        Shape(middle + half * (a - 0.06), middle + half * (a + 0.06), color, None, tones=False, outline=False)
        for a in lines
    ]  # fmt: skip


def front(s: Skeleton, t: float, azimuth: float, wide: float, deep: float) -> tuple[np.ndarray, float]:
    """A point [2] on the trunk's surface at ``t`` along the spine, and its depth z (positive: visible)."""
    center = s["neck"] + (s["pelvis"] - s["neck"]) * t
    a = np.radians(azimuth)
    offset = s.torso[:, 0] * wide * np.sin(a) + s.torso[:, 2] * deep * np.cos(a)
    return (center + offset)[:2], float(offset[2])


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
    shapes = bare + shoe(s, side, look)
    if bottom is None or bottom.kind == "skirt":
        return shapes
    ease, color = FIT[bottom.shape], tinted(CLOTHES[bottom.color], look, 3)
    if trousers:
        flare = {"slim": -0.002, "straight": 0.004, "wide": 0.014}[bottom.shape]
        cloth = f"{side} trousers"
        boots = look.shoes.kind == "boots" and bottom.shape != "wide"
        calf = Shape(*body.shin(s, side, ease, 0, 0.66 if boots else 0.97, 0.0 if boots else flare), color, classes.PANTS, low, group=cloth)
        knee = Shape(*body.thigh(s, side, ease * 0.7), color, classes.PANTS, high, group=cloth, open_start=True)
        return [*shapes, calf, knee, *(shoe(s, side, look) if boots else [])]
    loose = 0.010 if bottom.shape != "slim" else 0.003
    shapes.append(Shape(*body.thigh(s, side, ease * 0.7 + 0.004, 0.66, loose), color, classes.PANTS, high, open_start=True))
    return shapes


def shoe(s: Skeleton, side: str, look: Look) -> list[Shape]:
    """A shoe with its sole; boots reach up the shin, sneakers have a white sole."""
    label = classes.LEFT_SHOE if side == "l" else classes.RIGHT_SHOE
    color, part = tinted(CLOTHES[look.shoes.color], look, 4), f"{side}_foot"
    heel, toe = s[f"{side}_heel"][:2], s[f"{side}_toe"][:2]
    drop = np.array((0.0, 0.0085))
    white = look.shoes.kind == "sneakers" and look.shoes.color != "white"
    sole = (244.0, 244.0, 242.0) if white else shade(color, 0.50)
    shapes = [Shape(*limb(heel + drop, toe + drop, 0.0170, 0.0165), sole, label, part)]
    if look.shoes.kind == "boots":
        shaft = limb(s[f"{side}_ankle"], s[f"{side}_knee"] * 0.48 + s[f"{side}_ankle"] * 0.52, 0.024, 0.034, blunt=True)
        shapes.append(Shape(*shaft, color, label, part, group=part))
    else:
        ankle = s[f"{side}_ankle"]
        middle = (heel + toe) / 2
        shapes.append(Shape(*limb(ankle * 0.6 + s[f"{side}_toe"] * 0.4 * 0.5 + s[f"{side}_heel"] * 0.2, middle, 0.0165, 0.0175), color, label, part, group=part))
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
        edge = _leg_edges(s, t, flare * t / end + 0.006)
        rows[0].append(edge[0])
        rows[1].append(edge[1])
    left, right = np.array(rows[0]), np.array(rows[1])
    seat = levels["seat"]
    left[2:, 0] = np.minimum(left[2:, 0], seat[0][0] * 0.4 + left[2:, 0] * 0.6)
    right[2:, 0] = np.maximum(right[2:, 0], seat[1][0] * 0.4 + right[2:, 0] * 0.6)
    return body.round_hem(*ribbon(left, right), 0.014)


def _leg_edges(s: Skeleton, t: float, ease: float) -> tuple[np.ndarray, np.ndarray]:
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
        strips.append(Shape(*limb(shoulder + np.array((0, 0.004)), chest, 0.0105, 0.0135), color, label, "trunk"))
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
    across = np.array((0.034 * (0.4 + 0.6 * facing), 0.0))
    if garment.collar == "v neck":
        rows = ribbon(np.array((upper - across, tip)), np.array((upper + across, tip)))
    else:
        rows = blob((upper + tip) / 2, float(across[0]), float(np.hypot(*(tip - upper))) / 2 + 0.004)
    edge = Shape(*_grown(rows, 1.2), shade(color, 0.82), None, tones=False, outline=False)
    return [edge, Shape(*rows, skin, classes.FACE, "neck", outline=False, tones=False)], []


def _grown(rows: body.Rows, factor: float) -> body.Rows:
    center = (rows[0].mean(0) + rows[1].mean(0)) / 2
    return center + (rows[0] - center) * factor, center + (rows[1] - center) * factor


def _shirt_front(s: Skeleton, color: Color, upper: np.ndarray, facing: float, skin: Color) -> tuple[list[Shape], list[Shape]]:
    b = s.build
    tip, _ = front(s, 0.10, 0, b.chest, 0.046)
    spread = np.array((0.021 * facing, 0.0))
    throat = ribbon(np.array((upper - spread, tip)), np.array((upper + spread, tip)))
    under = [Shape(*throat, skin, classes.FACE, "neck", outline=False, tones=False)]
    over = []
    for side in (-1, 1):
        inner = np.array((upper + side * np.array((0.018, 0.0)), tip))
        outer = np.array((upper + side * np.array((0.030 + 0.004 * facing, 0.008)), tip + side * np.array((0.026 * facing, 0.004))))
        over.append(Shape(*ribbon(inner, outer), shade(color, 1.10), None, tones=False))
    path = np.array([front(s, t, 0, b.chest * (1 - 0.2 * t), 0.052)[0] for t in (0.14, 0.36, 0.58, 0.80)])
    line = ribbon(path - np.array((0.0022, 0)), path + np.array((0.0022, 0)))
    under.append(Shape(*line, shade(color, 0.84), None, tones=False, outline=False))
    under += [Shape(*blob(p, 0.0040, 0.0040), shade(color, 0.66), None, tones=False, outline=False) for p in path[1:]]
    return under, over


def coat(s: Skeleton, look: Look) -> list[Shape]:
    """An open jacket or coat over the top."""
    if look.coat is None:
        return []
    color = tinted(CLOTHES[look.coat.color], look, 5)
    if look.coat.length == "long":
        tail = Garment("coat", look.coat.color, length="knee-length", shape="a-line")
        lower = [Shape(*skirt(s, tail, 0.62), color, classes.UPPER, "hips")]
    else:
        lower = []
    trunk = Shape(*body.trunk(s, "collar", "seat", 0.013, 0.006), color, classes.UPPER, "trunk", outline=not lower)
    shapes = [*lower, trunk]
    if s.torso[2, 2] < 0.25:
        return shapes
    under = look.top or look.dress
    assert under is not None
    inner, label = tinted(CLOTHES[under.color], look, 2), classes.UPPER if look.top else classes.DRESS
    shapes.append(_opening(s, 0.02, 1.0 if lower else 1.08, 27, inner, label))
    if lower:
        shapes += _coat_gap(s, look)
    for side in (-1, 1):
        rows = _front_band(s, side * 24, side * 40, (0.0, 0.14, 0.34, 0.5))
        shapes.append(Shape(*rows, shade(color, 0.84), None, tones=False))
    return shapes


def _front_band(s: Skeleton, inner: float, outer: float, levels: tuple[float, ...]) -> body.Rows:
    b = s.build
    narrow = np.linspace(0.62, 1.0, len(levels))
    rows = [
        np.array([front(s, t, azimuth * k, b.chest * 0.98, 0.062)[0] for t, k in zip(levels, narrow, strict=True)])
        for azimuth in (inner, outer)
    ]
    return ribbon(*rows) if rows[0][:, 0].mean() < rows[1][:, 0].mean() else ribbon(rows[1], rows[0])


def _opening(s: Skeleton, start: float, end: float, angle: float, color: Color, label: int) -> Shape:
    levels = tuple(np.linspace(start, end, 6))
    return Shape(*_front_band(s, -angle, angle, levels), color, label, "trunk")


def _coat_gap(s: Skeleton, look: Look) -> list[Shape]:
    """Below the waist an open coat shows what is worn under it."""
    garment = look.bottom or look.dress
    assert garment is not None
    label = {"pants": classes.PANTS, "shorts": classes.PANTS, "skirt": classes.SKIRT}.get(garment.kind, classes.DRESS)
    top_point, _ = front(s, 0.96, 0, s.build.pelvis, 0.062)
    left, right = _leg_edges(s, 0.54, 0.0)
    middle = (left + right) / 2
    half = np.array((0.030, 0.0)) * max(0.3, float(s.torso[2, 2]))
    rows = ribbon(np.array((top_point - half, middle - half * 1.9)), np.array((top_point + half, middle + half * 1.9)))
    color = tinted(CLOTHES[garment.color], look, 3 if look.bottom else 2)
    if garment.kind == "pants" or garment.length == "long":
        return [Shape(*rows, color, label, "hips")]
    return []


def belt(s: Skeleton, look: Look) -> list[Shape]:
    """A leather belt at the waist of trousers, skirt or dress."""
    if look.belt is None or look.coat is not None:
        return []
    t = 0.66 if look.dress is not None else 0.90
    wide = s.build.waist if look.dress is not None else s.build.pelvis * 0.97
    rows = [body.section(s, t + d, wide + 0.009, 0.062) for d in (-0.035, 0.035)]
    band = ribbon(np.array([r[0] for r in rows]), np.array([r[1] for r in rows]))
    shapes = [Shape(*band, MATERIALS["leather"], classes.BELT, "belt")]
    buckle, z = front(s, t, 0, wide, 0.064)
    if z > 0.02:
        shapes.append(Shape(*blob(buckle, 0.011, 0.009), (232, 196, 104), classes.BELT, "belt", tones=False, outline=False))
    return shapes


def scarf(s: Skeleton, look: Look) -> list[Shape]:
    """A scarf round the neck with one hanging end."""
    if look.scarf is None:
        return []
    color = CLOTHES[look.scarf.color]
    base = s["neck"][:2] + s.torso[:2, 1] * 0.006
    wrap = limb(base - np.array((0.030, -0.002)), base + np.array((0.030, 0.002)), 0.024, 0.024, 0.06)
    shapes = [Shape(*wrap, color, classes.SCARF, "scarf")]
    start, z = front(s, 0.04, 16, 0.05, 0.05)
    end, _ = front(s, 0.46, 20, s.build.chest * 0.9, 0.062)
    if z < 0:
        return shapes
    tail = Shape(*limb(start, end, 0.018, 0.022), color, classes.SCARF, "scarf")
    return patterned(tail, look.scarf, 0.8) + shapes


def tie(s: Skeleton, look: Look) -> list[Shape]:
    """A tie on a shirt."""
    if look.tie is None or s.torso[2, 2] < 0.25:
        return []
    color = CLOTHES[look.tie.color]
    points = [front(s, t, 0, s.build.chest, 0.056)[0] for t in (0.09, 0.14, 0.60, 0.72)]
    widths = np.array(((0.010, 0.0), (0.007, 0.0), (0.0155, 0.0), (0.001, 0.0)))
    return [Shape(*ribbon(np.array(points) - widths, np.array(points) + widths), color, classes.UPPER, "trunk")]


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
        return patterned(Shape(*body.upper_arm(s, side, ease + 0.002, 0.56), color, label, f"{side}_upper", open_start=True), garment, 0.45)
    cloth = f"{side} sleeve"
    lower = Shape(*body.forearm(s, side, ease, 0.92), color, label, f"{side}_fore", group=cloth)
    upper = Shape(*body.upper_arm(s, side, ease), color, label, f"{side}_upper", group=cloth, open_start=True)
    shapes = [lower, upper]
    if garment.kind in ("sweater", "jacket"):
        shapes.append(Shape(*cut(lower, 0.82, 0.97), shade(color, 0.86), None, outline=False))
    if look.coat is None:
        shapes += patterned(lower, garment, 0.6)[1:] + patterned(upper, garment, 0.6)[1:]
    return shapes


def bag(s: Skeleton, look: Look) -> tuple[list[Shape], list[Shape]]:
    """What hangs behind the arms (strap, shoulder bag) and what hangs from the hand (handbag)."""
    if look.bag is None:
        return [], []
    color = MATERIALS[look.bag.material]
    if look.bag.kind == "handbag":
        grip = s["l_hand"][:2]
        down = np.array((0.0, 0.055))
        rows = limb(grip + down + np.array((-0.034, 0)), grip + down + np.array((0.034, 0)), 0.032, 0.032, -0.02)
        handle = limb(grip, grip + down * 0.7, 0.006, 0.022)
        return [], [
            Shape(*handle, shade(color, 0.8), classes.BAG, "bag"),
            Shape(*rows, color, classes.BAG, "bag"),
            Shape(*blob(grip + down * 0.95, 0.008, 0.006), (230, 200, 120), None, tones=False, outline=False),
        ]
    start, _ = front(s, 0.0, -62, s.build.shoulder * 0.75, 0.045)
    end, z = front(s, 0.92, 66, s.build.pelvis + 0.012, 0.070)
    strap = limb(start, end, 0.0065, 0.0065)
    pouch = limb(end + np.array((-0.012, 0.035)), end + np.array((0.024, 0.035)), 0.044, 0.044, -0.03)
    flap = limb(end + np.array((-0.012, 0.018)), end + np.array((0.024, 0.018)), 0.030, 0.030, -0.03)
    front_shapes = [Shape(*strap, shade(color, 0.78), classes.BAG, "bag")] if s.torso[2, 2] > 0 else []
    return front_shapes + [
        Shape(*pouch, color, classes.BAG, "bag"),
        Shape(*flap, shade(color, 0.86), classes.BAG, "bag"),
    ], []
