"""Heads: everything is placed on an ellipsoid by (azimuth, elevation), so that a turned head turns its
face."""

from math import cos, hypot, pi, radians, sin

import numpy as np

from . import classes
from .looks import Look
from .palette import HAIR, SKIN, Color, mix, shade
from .shapes import SAMPLES, Shape, blob, limb, smooth
from .skeleton import Skeleton

_TURN = np.linspace(0, pi, SAMPLES)
_SIN, _COS = np.sin(_TURN), np.cos(_TURN)
_RIM = np.stack([np.stack([side * _SIN, -_COS], 1) for side in (-1, 1)])
_DOWN = np.linspace(0, 1, SAMPLES)
_FACE_WIDTH = np.sin(pi * (0.20 + 0.55 * _DOWN)) ** 0.7
_PARTING = 12 * np.exp(-((_DOWN / 0.10) ** 2))
_JAW = 26 * np.clip((_DOWN - 0.55) / 0.45, 0, 1)


class Head:
    """One head in place: maps face coordinates to points of the picture plane (statures)."""

    def __init__(self, s: Skeleton) -> None:
        self.center = s["skull"][:2]
        self.frame = s.head
        self.rx, self.ry, self.rz = s.build.head
        self.facing = float(s.head[2, 2])
        self._rows = s.head.tolist()
        self.turn = float(s.head[0, 2])
        self._width = self.rx + (self.rz - self.rx) * abs(self.turn) ** 2 * 0.8
        """Screen x of the direction the face looks in, -1..1."""

    def sphere(self, azimuth: np.ndarray, elevation: np.ndarray) -> np.ndarray:
        """Directions [n, 3] in view space; azimuth 0 = nose, + = the person's left; elevation + = up
        (degrees)."""
        a, e = np.radians(azimuth), np.radians(elevation)
        local = np.stack([np.sin(a) * np.cos(e), -np.sin(e), np.cos(a) * np.cos(e)], -1)
        return local @ self.frame.T

    def project(self, directions: np.ndarray, radius: float = 1.0) -> np.ndarray:
        """Points [n, 2] of the picture plane; what lies behind is pushed to the outline."""
        xy, z = directions[..., :2].copy(), directions[..., 2]
        norm = np.maximum(1e-6, np.hypot(xy[..., 0], xy[..., 1]))
        behind = z < 0
        xy[behind] /= norm[behind][:, None]
        return self.center + self._egg(xy) * radius

    def _egg(self, xy: np.ndarray) -> np.ndarray:
        """Unit disc to the head's outline: narrower jaw, chin towards where the face looks, deeper from the
        side."""
        x, y = xy[..., 0], xy[..., 1]
        low = np.maximum(0.0, y)
        jaw = 1 - 0.22 * low**1.6
        shift = self.turn * self.rx * (0.26 * low**1.3 - 0.10 * np.maximum(0.0, -y))
        return np.stack([x * self._width * jaw + shift, y * self.ry], -1)

    def outline(
        self, radius: float = 1.0, bumps: int = 0, depth: float = 0.0
    ) -> tuple[np.ndarray, np.ndarray]:
        """The head's outline as a strip, crown to chin; ``bumps`` waves of ``depth`` for curls."""
        wave = radius + radius * depth * np.cos(bumps * _TURN) if bumps else radius
        rows = self.center + self._egg(_RIM * np.reshape(wave, (1, -1, 1)))
        return rows[0], rows[1]

    def spot(self, azimuth: float, elevation: float, radius: float = 1.0) -> tuple[np.ndarray, float]:
        """One point [2] and its depth z (positive: on our side)."""
        a, e = radians(azimuth), radians(elevation)
        x, y, z = sin(a) * cos(e), -sin(e), cos(a) * cos(e)
        sx, sy, sz = (row[0] * x + row[1] * y + row[2] * z for row in self._rows)
        if sz < 0:
            norm = max(1e-6, hypot(sx, sy))
            sx, sy = sx / norm, sy / norm
        low = max(0.0, sy)
        shift = self.turn * self.rx * (0.26 * low**1.3 - 0.10 * max(0.0, -sy))
        wide = sx * self._width * (1 - 0.22 * low**1.6) + shift
        return self.center + np.array((wide * radius, sy * self.ry * radius)), sz


def keypoints(s: Skeleton) -> tuple[np.ndarray, np.ndarray]:
    """Nose, eyes, ears [5, 2] (left before right) and whether each is on our side [5]."""
    head = Head(s)
    spots = [head.spot(*place) for place in ((0, -10, 1.06), (25, 9), (-25, 9), (92, 0), (-92, 0))]
    return np.array([p for p, _ in spots]), np.array(
        [z > lowest for (_, z), lowest in zip(spots, _SEEN, strict=True)]
    )


_SEEN = (-0.05, 0.05, 0.05, -0.25, -0.25)


def back_hair(head: Head, look: Look, color: Color) -> list[Shape]:
    """Hair that hangs behind neck and shoulders (seen from behind: in front of them)."""
    hair = look.hair
    if hair is None or hair.length == "above ears":
        return []
    if hair.style == "ponytail":
        return [_ponytail(head, color)]
    down = 0.86 if hair.length == "above shoulders" else 1.75
    drop = np.array((0.0, head.ry * down)) - np.array((head.turn * head.rx * 0.30, 0.0))
    puff = {"curly": 0.30, "wavy": 0.16}.get(hair.style, 0.10)
    w = head.rx + (head.rz - head.rx) * abs(head.turn)
    back = -head.turn * head.rx * 0.22
    ys = np.array((-0.9, -0.3, 0.3, 0.75, 1.0, 1.06)) * head.ry
    widths = np.array((0.6, 1.04, 1.08, 1.12 if down < 1 else 1.06, 0.92, 0.3)) * w * (1 + puff)
    ys[3:] = head.ry * 0.3 + (ys[3:] - head.ry * 0.3) / (0.76 * head.ry) * (drop[1] - head.ry * 0.3)
    if head.facing <= 0:  # from behind the cap makes the crown; the mane only falls from it
        ys[:2], widths[0] = np.array((-0.1, 0.1)) * head.ry, widths[1] * 0.98
    center = head.center + np.stack([np.full(6, back), ys], 1)
    offset = np.stack([widths, np.zeros(6)], 1)
    left, right = smooth(center - offset), smooth(center + offset)
    if hair.style in ("wavy", "curly"):
        wave = np.sin(np.arange(SAMPLES) * (1.5 if hair.style == "wavy" else 2.4)) * head.rx * 0.07
        left[:, 0] += wave
        right[:, 0] += wave if hair.style == "wavy" else -wave
    return [Shape(left, right, shade(color, 0.86 if head.facing > 0 else 1.0), classes.HAIR, "hair")]


def _ponytail(head: Head, color: Color) -> Shape:
    root, _ = head.spot(180, 24, 1.05)
    side = -1.0 if head.turn > 0 else 1.0
    lean = side * head.rx * (0.25 + 0.75 * abs(head.turn))
    tip = root + np.array((lean, head.ry * 2.1))
    return Shape(
        *limb(root, tip, head.rx * 0.34, head.rx * 0.16, 0.55), shade(color, 0.92), classes.HAIR, "hair"
    )


def skull(head: Head, look: Look, skin: Color, hair: Color) -> list[Shape]:
    """Ears, the head itself, hair on it, and the face cut free from the hair."""
    shapes = []
    ears = [head.spot(side, -3, 1.02) for side in (-88, 88)]
    shown = [(p, z) for p, z in ears if z > -0.45]
    for point, _ in shown if look.hair is None or look.hair.length == "above ears" else ():
        shapes.append(
            Shape(*blob(point, head.rx * 0.17, head.ry * 0.19), shade(skin, 0.94), classes.FACE, "head")
        )
    shapes.append(Shape(*head.outline(), skin, classes.FACE, "head"))
    if look.hair is None:
        return shapes
    curly = look.hair.style == "curly"
    long = look.hair.length != "above ears"
    cap = head.outline(1.17 if curly else 1.09 if long else 1.07, 9 if curly else 0, 0.045 if curly else 0.0)
    left, right = cap[0].copy(), cap[1].copy()
    keep = head.center[1] + head.ry * (
        0.62 if long else 0.12 if head.facing > 0.3 else 0.45 if head.facing > -0.3 else 0.72
    )
    for row in (left, right):  # cut at the nape, so that the jaw stays free
        row[:, 1] = np.minimum(row[:, 1], keep)
    if look.hair.style == "bun":
        knot, _ = head.spot(180, 62, 1.12)
        shapes.insert(0, Shape(*blob(knot, head.rx * 0.44, head.rx * 0.42), hair, classes.HAIR, "hair"))
    shapes.append(Shape(left, right, hair, classes.HAIR, "hair"))
    window = face_window(head, look)
    if window is not None:
        shapes.append(Shape(*window, skin, classes.FACE, "face", outline=False))
    if not long:
        for point, z in shown:
            if z > -0.2:
                ear = blob(point, head.rx * 0.14, head.ry * 0.17)
                shapes.append(Shape(*ear, shade(skin, 0.95), classes.FACE, "face"))
    return shapes


def face_window(head: Head, look: Look) -> tuple[np.ndarray, np.ndarray] | None:
    """The part of the head's surface that is face: from the hairline down to the chin."""
    if head.facing < -0.55:
        return None
    long = look.hair is not None and look.hair.length != "above ears"
    spread = (62 if long else 74) * _FACE_WIDTH + _JAW
    azimuth = np.stack([-spread, spread]) + _PARTING
    left, right = head.project(head.sphere(azimuth, np.stack([40 - 130 * _DOWN] * 2)))
    return (left, right) if left[:, 0].mean() < right[:, 0].mean() else (right, left)


def face(head: Head, look: Look, skin: Color, hair: Color, detail: float) -> list[Shape]:
    """Eyes, brows, nose, mouth, cheeks; ``detail`` = half-width of the head in pixels decides how much."""
    shapes: list[Shape] = []
    dark = (44.0, 34.0, 40.0) if look.skin != "dark" else (24.0, 18.0, 24.0)
    unit = head.rx
    if detail > 8:
        for side in (-1, 1):
            shapes += _mark(head, side * 36, -26, (0.20, 0.13), mix(skin, (226, 96, 88), 0.28), unit)
    if look.beard:
        shapes += _beard(head, shade(hair, 0.95))
    for side in (-1, 1):
        shapes += _eye(head, side, dark, detail, unit)
        brow = mix(hair, dark, 0.35) if look.hair is not None else dark
        if detail > 8:
            shapes += _line(head, (side * 40, 18), (side * 28, 23), brow, 0.042 * unit)
            shapes += _line(head, (side * 28, 23), (side * 13, 21), brow, 0.048 * unit)
    shapes += _nose(head, skin, detail, unit)
    lips = (
        (206.0, 120.0, 112.0)
        if look.beard
        else mix(shade(skin, 0.80), (196, 60, 72), 0.50 if look.gender == "female" else 0.25)
    )
    shapes += _line(head, (-19, -36), (0, -42), lips, 0.055 * unit) + _line(
        head, (0, -42), (19, -36), lips, 0.055 * unit
    )
    if look.glasses:
        shapes += _glasses(head, unit)
    return shapes


def _mark(
    head: Head, azimuth: float, elevation: float, size: tuple[float, float], color: Color, unit: float
) -> list[Shape]:
    """A small flat ellipse on the face, narrowed as it turns away; nothing when it is on the far side."""
    point, z = head.spot(azimuth, elevation)
    if z < 0.12:
        return []
    rows = blob(point, size[0] * unit * (0.35 + 0.65 * z), size[1] * unit)
    return [Shape(*rows, color, None, tones=False, outline=False)]


def _line(
    head: Head, start: tuple[float, float], end: tuple[float, float], color: Color, width: float
) -> list[Shape]:
    (p, z0), (q, z1) = head.spot(*start), head.spot(*end)
    if min(z0, z1) < 0.08:
        return []
    return [Shape(*limb(p, q, width, width), color, None, tones=False, outline=False)]


def _eye(head: Head, side: int, dark: Color, detail: float, unit: float) -> list[Shape]:
    place = (side * 25, 5)
    if detail < 9:
        return _mark(head, *place, (0.115, 0.14), dark, unit)
    white = _mark(head, *place, (0.20, 0.155), (250, 248, 244), unit)
    iris = _mark(head, side * 24.5, 4.5, (0.125, 0.140), (92, 66, 50), unit)
    pupil = _mark(head, side * 24.5, 4.5, (0.070, 0.085), dark, unit)
    glint = _mark(head, side * 24.5 - 4, 9, (0.040, 0.040), (255, 255, 255), unit)
    lid = _line(head, (side * 37, 9), (side * 25, 14), dark, 0.030 * unit) + _line(
        head, (side * 25, 14), (side * 14, 10), dark, 0.026 * unit
    )
    return white + iris + pupil + glint + lid


def _nose(head: Head, skin: Color, detail: float, unit: float) -> list[Shape]:
    bridge, _ = head.spot(0, 4, 1.0)
    tip, z = head.spot(0, -17, 1.13)
    if z < -0.1 or (detail < 8 and abs(head.turn) < 0.55):
        return []
    if abs(head.turn) > 0.55:  # a profile needs a nose that stands out
        color = skin if abs(head.turn) > 0.8 else shade(skin, 0.93)
        return [Shape(*limb(bridge, tip, 0.05 * unit, 0.115 * unit), color, None, tones=False, outline=False)]
    base, _ = head.spot(0, -20, 1.04)
    side = base + np.array((0.09 * unit, 0.0))
    shadow = shade(skin, 0.80)
    return [
        Shape(
            *limb(base - np.array((0.05 * unit, 0)), side, 0.042 * unit, 0.042 * unit),
            shadow,
            None,
            tones=False,
            outline=False,
        )
    ]


def _beard(head: Head, color: Color) -> list[Shape]:
    if head.facing < -0.1:
        return []
    elevation = -25 - 65 * _DOWN
    left, right = (head.project(head.sphere(s * (74 + 16 * _DOWN), elevation), 1.035) for s in (-1, 1))
    return [Shape(left, right, color, classes.FACE, "face", outline=False)]


def _glasses(head: Head, unit: float) -> list[Shape]:
    shapes = []
    black = (34.0, 34.0, 40.0)
    for side in (-1, 1):
        point, z = head.spot(side * 26, 4, 1.04)
        if z > 0.1:
            rows = blob(point, 0.34 * unit * (0.35 + 0.65 * z), 0.26 * unit)
            shapes.append(Shape(*rows, black, classes.SUNGLASSES, "glasses", outline=False))
            glint = point + np.array((-0.10, -0.09)) * unit
            shapes.append(
                Shape(
                    *blob(glint, 0.09 * unit * z, 0.045 * unit, -0.5),
                    (120, 126, 140),
                    None,
                    tones=False,
                    outline=False,
                )
            )
    return shapes + _line(head, (-12, 7), (12, 7), black, 0.04 * unit)


def hair_color(look: Look) -> Color:
    """The base colour of hair, brows and beard."""
    return HAIR[look.hair.color] if look.hair is not None else shade(SKIN[look.skin], 0.55)
