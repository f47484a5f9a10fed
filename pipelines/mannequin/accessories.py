"""What is worn over clothes: coats, belts, scarves, ties, bags."""

import numpy as np

from . import body, classes
from .fabric import front, patterned, tinted
from .looks import Garment, Look
from .palette import CLOTHES, MATERIALS, Color, shade
from .shapes import Shape, blob, limb, ribbon
from .skeleton import Skeleton
from .wardrobe import leg_edges, skirt


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
    trunk = Shape(
        *body.trunk(s, "collar", "seat", 0.013, 0.006), color, classes.UPPER, "trunk", outline=not lower
    )
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
        np.array(
            [front(s, t, azimuth * k, b.chest * 0.98, 0.062)[0] for t, k in zip(levels, narrow, strict=True)]
        )
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
    label = {"pants": classes.PANTS, "shorts": classes.PANTS, "skirt": classes.SKIRT}.get(
        garment.kind, classes.DRESS
    )
    top_point, _ = front(s, 0.96, 0, s.build.pelvis, 0.062)
    left, right = leg_edges(s, 0.54, 0.0)
    middle = (left + right) / 2
    half = np.array((0.030, 0.0)) * max(0.3, float(s.torso[2, 2]))
    rows = ribbon(
        np.array((top_point - half, middle - half * 1.9)), np.array((top_point + half, middle + half * 1.9))
    )
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
        shapes.append(
            Shape(
                *blob(buckle, 0.011, 0.009), (232, 196, 104), classes.BELT, "belt", tones=False, outline=False
            )
        )
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


def shows_tie(s: Skeleton) -> bool:
    """Whether the chest is turned to us far enough for a tie to be drawn."""
    return bool(s.torso[2, 2] >= 0.25)


def tie(s: Skeleton, look: Look) -> list[Shape]:
    """A tie on a shirt."""
    if look.tie is None or not shows_tie(s):
        return []
    color = CLOTHES[look.tie.color]
    points = [front(s, t, 0, s.build.chest, 0.056)[0] for t in (0.09, 0.14, 0.60, 0.72)]
    widths = np.array(((0.010, 0.0), (0.007, 0.0), (0.0155, 0.0), (0.001, 0.0)))
    return [
        Shape(*ribbon(np.array(points) - widths, np.array(points) + widths), color, classes.UPPER, "trunk")
    ]


def bag(s: Skeleton, look: Look) -> tuple[list[Shape], list[Shape]]:
    """What hangs behind the arms (strap, shoulder bag) and what hangs from the hand (handbag)."""
    if look.bag is None:
        return [], []
    color = MATERIALS[look.bag.material]
    if look.bag.kind == "handbag":
        grip = s["l_hand"][:2]
        down = np.array((0.0, 0.055))
        rows = limb(
            grip + down + np.array((-0.034, 0)), grip + down + np.array((0.034, 0)), 0.032, 0.032, -0.02
        )
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
