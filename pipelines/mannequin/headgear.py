"""What is worn on the head: hats, caps, beanies; headbands and headscarves."""

from math import atan2, degrees, pi

import numpy as np

from . import classes
from .fabric import patterned
from .heads import Head
from .looks import Look
from .palette import CLOTHES, MATERIALS, shade
from .shapes import SAMPLES, Shape, blob, limb


def wrap(head: Head, look: Look) -> list[Shape]:
    """A headband round the brow, or a headscarf over the crown with its knot at the nape."""
    if look.wrap is None:
        return []
    color = CLOTHES[look.wrap.color]
    puff = 1.20 if look.hair is not None and look.hair.style == "curly" else 1.12
    if look.wrap.kind == "headband":
        facing = degrees(atan2(head.frame[2, 0], head.frame[2, 2]))  # the azimuth that looks our way
        around = facing + np.linspace(-92, 92, SAMPLES)
        upper, lower = (head.project(head.sphere(around, np.full(SAMPLES, e)), puff) for e in (44.0, 27.0))
        return [Shape(upper, lower, color, classes.HAT, "hat")]
    brow = head.center + head.frame[:2, 2] * np.array((0.0, 0.25 * head.ry)) - np.array((0.0, 0.36 * head.ry))
    top = head.center - np.array((head.turn * 0.06 * head.rx, 1.16 * head.ry))
    cloth = Shape(*_dome(brow, top, head.rx * puff, head.rx * 0.86), color, classes.HAT, "hat")
    knot, z = head.spot(180, 10, 1.10)
    tails = [
        Shape(*limb(knot, knot + np.array((x, 0.8)) * head.ry, 0.10 * head.rx, 0.20 * head.rx),
              shade(color, 0.86), classes.HAT, "hat")
        for x in (-0.25, 0.25)
    ]  # fmt: skip
    return [*patterned(cloth, look.wrap, 0.6), *(tails if z > -0.35 else [])]


def hat(head: Head, look: Look) -> list[Shape]:
    """A brimmed hat, a cap with its peak forward, or a beanie."""
    if look.hat is None:
        return []
    color = MATERIALS[look.hat.material]
    rx, ry, c = head.rx, head.ry, head.center
    turn = np.array((-head.turn * 0.10 * rx, 0.0))
    brow = c + np.array((0.0, -0.50 * ry)) + head.frame[:2, 2] * np.array((0.0, 0.25 * ry))
    top = c + np.array((0.0, -1.20 * ry)) + turn
    crown = Shape(
        *_dome(brow, top, rx * 1.13, rx * (0.80 if look.hat.kind == "hat" else 0.72)),
        color,
        classes.HAT,
        "hat",
    )
    if look.hat.kind == "beanie":
        fold = Shape(*_bar(brow, rx * 1.17, ry * 0.15), shade(color, 0.84), classes.HAT, "hat")
        pompom = Shape(
            *blob(top - np.array((0, 0.10 * ry)), rx * 0.24, rx * 0.22),
            shade(color, 1.25),
            classes.HAT,
            "hat",
        )
        return [pompom, crown, fold]
    if look.hat.kind == "cap":
        reach, _ = head.spot(0, 16, 1.62)
        start, _ = head.spot(0, 26, 0.86)
        if head.facing < -0.4:
            return [crown]
        peak = limb(start, reach, rx * (0.72 - 0.35 * abs(head.turn)), rx * (0.50 - 0.32 * abs(head.turn)))
        return [crown, Shape(*peak, shade(color, 0.80), classes.HAT, "hat")]
    brim = Shape(*blob(brow + np.array((0.0, 0.02 * ry)), rx * 1.75, ry * 0.22), color, classes.HAT, "hat")
    band = Shape(
        *_bar(brow + np.array((0, -0.13 * ry)), rx * 1.10, ry * 0.09),
        shade(color, 0.55),
        classes.HAT,
        "hat",
        outline=False,
    )
    return [brim, crown, band] if head.facing > -0.3 else [crown, band, brim]


def _dome(base: np.ndarray, top: np.ndarray, wide: float, narrow: float) -> tuple[np.ndarray, np.ndarray]:
    t = np.linspace(0, pi / 2, SAMPLES)
    center = top + (base - top) * (1 - np.cos(t))[:, None]
    half = np.stack([np.sin(t) ** 0.6 * (narrow + (wide - narrow) * (1 - np.cos(t))), np.zeros(SAMPLES)], 1)
    return center - half, center + half


def _bar(center: np.ndarray, half: float, height: float) -> tuple[np.ndarray, np.ndarray]:
    return limb(
        center - np.array((half - height, 0)), center + np.array((half - height, 0)), height, height, -0.05
    )
