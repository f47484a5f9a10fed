"""A picture of the world: people drawn, posed, placed, painted, with everything about them known."""

import random
from dataclasses import dataclass

import numpy as np

from ..common.seeds import check_seed
from . import classes
from .canvas import Canvas, Placement
from .configs import WorldConfig
from .figure import coco_keypoints, dress
from .looks import Look, draw_look, draw_plain_look, pick
from .poses import CALM, FAMILIES, Pose, draw_pose
from .scenery import Backdrop, cast_shadow, draw_backdrop, paint_backdrop
from .skeleton import Skeleton, build_of, solve


@dataclass(frozen=True)
class Person:
    """One person of a picture. Pixel coordinates: 0, 0 is the centre of the first pixel."""

    look: Look
    pose: Pose
    shot: str
    keypoints: np.ndarray
    """COCO-17 [17, 3] float32: x, y, visibility (2 seen, 1 hidden, 0 outside the picture)."""
    box: np.ndarray
    """x0, y0, x1, y1 of the visible pixels, float32 [4], x1 and y1 exclusive; zeros when nothing is
    visible."""
    skeleton: Skeleton
    placement: Placement


@dataclass(frozen=True)
class Picture:
    """A painted picture and its truth."""

    image: np.ndarray
    """uint8 [H, W, 3]."""
    parts: np.ndarray
    """Classes of the part map, uint8 [H, W] in 0..17 (classes.CLOTHES_CLASSES)."""
    owners: np.ndarray
    """Who is seen at each pixel, uint8 [H, W]: 0 nobody, n = people[n - 1]."""
    people: tuple[Person, ...]
    """Farthest first, in painting order."""
    style: str
    backdrop: Backdrop
    seed: int
    index: int

    def mask(self, person: int) -> np.ndarray:
        """Visible pixels of ``people[person]``, bool [H, W]."""
        return self.owners == person + 1

    def iuv(self) -> np.ndarray:
        """Raw DensePose-like IUV as Parts2Whole wants it: uint8 [H, W, 3], blue = part 0..24
        (densepose.py)."""
        from .densepose import draw_iuv

        return draw_iuv(self)


def stream(seed: int, index: int, purpose: str) -> random.Random:
    """A random stream of its own for each purpose, so that a pose can change while the clothes stay."""
    return random.Random(f"mannequin {check_seed(seed)} {index} {purpose}")


def render(
    config: WorldConfig,
    seed: int,
    index: int,
    take: int = 0,
    window: tuple[float, float, float, float] | None = None,
) -> Picture:
    """Paint picture ``index`` of the world ``seed``.

    ``take`` numbers other pictures of the same index: pose and framing change, clothes and background stay.
    ``window`` (x0, y0, x1, y1 in pixels) fills the frame with that piece of the picture, drawn afresh.
    """
    rng = stream(seed, index, f"scene {take}")
    static = stream(seed, index, "setting")
    style = pick(static, config.styles)
    backdrop = draw_backdrop(static, config.scenery, config.walls)
    count = static.randint(*config.people)
    shot = pick(static, config.shots)
    looks = [_draw_look(config, stream(seed, index, f"look {who}")) for who in range(count)]
    poses = [_fitting_pose(rng, config, looks[who], count, shot) for who in range(count)]
    places = _place(rng, config, poses, shot)
    order = sorted(range(count), key=lambda who: places[who][1].scale)  # nearer people are larger
    floor = shot == "full_body" and window is None
    if window is not None:
        places = [(skeleton, _zoom(placement, window, config)) for skeleton, placement in places]
    background = paint_backdrop(backdrop, config.height, config.width, floor, style)
    _cast_shadows(background, [places[who] for who in order], [poses[who][0] for who in order])
    canvas = Canvas(config.height, config.width, style, background)
    for number, who in enumerate(order, 1):
        skeleton, placement = places[who]
        detail = skeleton.build.head[0] * placement.scale
        canvas.paint(dress(skeleton, looks[who], poses[who][0], detail), placement, number)
    image, numbers = canvas.finish()
    owners = np.array([owner for owner, _, _ in canvas.owners], np.uint8)[numbers]
    parts = np.array([label for _, label, _ in canvas.owners], np.uint8)[numbers]
    people = tuple(
        _record(number, looks[who], poses[who][0], *places[who], owners, numbers, canvas)
        for number, who in enumerate(order, 1)
    )
    return Picture(image, parts, owners, people, style, backdrop, seed, index)


def _draw_look(config: WorldConfig, rng: random.Random) -> Look:
    return draw_plain_look(rng) if config.plain else draw_look(rng, config.accessories, config.wraps)


def _zoom(placement: Placement, window: tuple[float, float, float, float], config: WorldConfig) -> Placement:
    x0, y0, x1, y1 = window
    factor = min(config.width / (x1 - x0), config.height / (y1 - y0))
    return Placement(placement.scale * factor, (placement.offset - (x0, y0)) * factor)


def _fitting_pose(
    rng: random.Random, config: WorldConfig, look: Look, count: int, shot: str
) -> tuple[Pose, Skeleton]:
    """Draw poses until one fits the frame's shape; skirts do not sit or kick."""
    families = config.families or (CALM if config.calm else tuple(FAMILIES))
    skirt = look.dress is not None or (look.bottom is not None and look.bottom.kind == "skirt")
    if skirt:
        families = tuple(
            f for f in families if f not in ("sitting", "kicking", "lunging", "running", "balancing")
        )
    if shot != "full_body":
        families = tuple(f for f in families if f not in ("sitting", "jumping", "lunging", "kicking"))
    aspect = config.width / config.height / (1 if shot == "full_body" else 0.6)
    build = build_of(look, config.big)
    best: tuple[float, Pose, Skeleton] | None = None
    for _ in range(8):
        pose = draw_pose(rng, families)
        skeleton = solve(pose, build)
        left, top, right, bottom = _extent(skeleton)
        excess = (right - left) / (bottom - top) - aspect * (1.15 if count == 1 else 2.0)
        if best is None or excess < best[0]:
            best = (excess, pose, skeleton)
        if excess <= 0:
            break
    assert best is not None
    return best[1], best[2]


def _extent(s: Skeleton) -> tuple[float, float, float, float]:
    """Left, top, right, bottom of a body in statures, flesh and hair included."""
    points = np.array([joint[:2] for joint in s.joints.values()])
    head = s["skull"]
    return (
        min(float(points[:, 0].min()) - 0.03, float(head[0]) - 0.07),
        min(float(head[1]) - s.build.head[1] * 1.12, float(points[:, 1].min()) - 0.015),
        max(float(points[:, 0].max()) + 0.03, float(head[0]) + 0.07),
        s.ground,
    )


def _place(
    rng: random.Random, config: WorldConfig, poses: list[tuple[Pose, Skeleton]], shot: str
) -> list[tuple[Skeleton, Placement]]:
    if len(poses) == 1:
        pose, skeleton = poses[0]
        return [(skeleton, _frame_one(rng, config, pose, skeleton, shot))]
    return _frame_many(rng, config, poses, shot)


# Where the lower edge of the frame cuts, in statures below the crown, and how much air is above the head.
_CUTS = {
    "nearly_full_body": (0.82, 0.05),
    "upper_body": (0.55, 0.05),
    "portrait": (0.36, 0.04),
    "headshot": (0.25, 0.025),
}


def _frame_one(rng: random.Random, config: WorldConfig, pose: Pose, s: Skeleton, shot: str) -> Placement:
    height, width = config.height, config.width
    left, top, right, bottom = _extent(s)
    crown = float(s["skull"][1]) - s.build.head[1] * 1.12
    if shot == "full_body":
        tall, margin = bottom - top + pose.lift, 0.05 if config.aligned else rng.uniform(0.035, 0.08)
        scale = height * (1 - 2 * margin) * config.band / tall
        if not config.aligned or right - left > tall * width / height:
            scale = min(scale, width * 0.96 / (right - left))
        slack = height - scale * tall
        low = 0.5 if config.aligned or config.band < 1 else rng.uniform(0.5, 0.62)
        y = slack * low - top * scale
    else:
        cut, air = _CUTS[shot]
        scale = height / (cut + air) * rng.uniform(0.94, 1.04)
        wide = 0.30 if shot in ("portrait", "headshot") else 0.40
        scale = (
            min(scale, max(width / wide, 0.62 * scale)) if shot != "headshot" else min(scale, width / 0.16)
        )
        y = (air - crown) * scale
    middle = float(s["neck"][0] + s["pelvis"][0]) / 2 if config.aligned else (left + right) / 2
    if shot not in ("full_body", "nearly_full_body"):
        middle = float(s["skull"][0] * 0.6 + s["neck"][0] * 0.4)
    free = max(0.0, width - (right - left) * scale) / 2
    shift = rng.gauss(0, 0.008) * height if config.aligned else rng.uniform(-0.5, 0.5) * free
    x = width / 2 + max(-free, min(free, shift)) - middle * scale
    return Placement(scale, np.array((x, y)))


def _frame_many(
    rng: random.Random, config: WorldConfig, poses: list[tuple[Pose, Skeleton]], shot: str
) -> list[tuple[Skeleton, Placement]]:
    """People side by side, some a step farther back, on one ground."""
    height, width, count = config.height, config.width, len(poses)
    cut = 1.0 if shot == "full_body" else 0.56
    size = height * rng.uniform(0.80, 0.88) / cut
    size = min(size, width / (count * 0.27 + 0.16))
    slots = list(range(count))
    rng.shuffle(slots)
    ground = height * rng.uniform(0.92, 0.96) if cut == 1 else height * 0.10 + size
    ground -= max(0.0, (height * 0.86 - size)) * 0.35 if cut == 1 else 0.0
    places = []
    for (pose, skeleton), slot in zip(poses, slots, strict=True):
        depth = rng.random()
        scale = size * (1 - 0.14 * depth)
        x = width * (slot + 0.5 + rng.uniform(-0.12, 0.12)) / count
        x = x * 0.90 + width * 0.05 - float(skeleton["pelvis"][0] + skeleton["neck"][0]) / 2 * scale
        y = ground - size * 0.075 * depth - (skeleton.ground + pose.lift) * scale
        if cut < 1:
            y = height * 0.07 + size * 0.06 * depth - (float(skeleton["skull"][1]) - 0.085) * scale
        places.append((skeleton, Placement(scale, np.array((x, y)))))
    return places


def _cast_shadows(picture: np.ndarray, places: list[tuple[Skeleton, Placement]], poses: list[Pose]) -> None:
    for (skeleton, placement), pose in zip(places, poses, strict=True):
        feet = np.array([skeleton[f"{side}_{joint}"][:2] for side in "lr" for joint in ("heel", "toe")])
        low = placement.pixels(np.array((feet[:, 0].mean(), skeleton.ground + pose.lift - 0.012)))
        half = (float(np.ptp(feet[:, 0])) / 2 + 0.06) * placement.scale
        cast_shadow(picture, float(low[0]), float(low[1]), half, 0.26 if pose.lift == 0 else 0.16)


def _record(
    number: int, look: Look, pose: Pose, skeleton: Skeleton, placement: Placement,
    owners: np.ndarray, numbers: np.ndarray, canvas: Canvas,
) -> Person:  # fmt: skip
    """Keypoints with visibility and the box of what is seen of a person."""
    points, ahead = coco_keypoints(skeleton)
    xy = placement.pixels(points) - 0.5
    height, width = owners.shape
    column, row = np.round(xy).astype(int).T
    inside = (column >= 0) & (column < width) & (row >= 0) & (row < height)
    keypoints = np.concatenate([xy, np.zeros((17, 1))], 1).astype(np.float32)
    shown = np.flatnonzero(inside)
    for k, shape in zip(shown.tolist(), numbers[row[shown], column[shown]].tolist(), strict=True):
        owner, _, part = canvas.owners[shape]
        seen = owner == number and ahead[k] and part in _SHOWS[k]
        keypoints[k, 2] = 2 if seen else 1
    return Person(
        look, pose, _shot(skeleton, placement, height), keypoints, _box(owners == number), skeleton, placement
    )


def _shot(s: Skeleton, placement: Placement, height: int) -> str:
    """The framing that came out: how far down the body the lower edge of the picture cuts."""
    edge = (height - placement.offset[1]) / placement.scale
    crown = float(s["skull"][1]) - s.build.head[1]
    if edge >= s.ground - 0.02:
        return "full_body"
    shown = edge - crown
    return next(name for name, least in _LEAST if shown >= least)


_LEAST = (("nearly_full_body", 0.66), ("upper_body", 0.42), ("portrait", 0.28), ("headshot", -9.0))


def _box(mask: np.ndarray) -> np.ndarray:
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    if not len(rows):
        return np.zeros(4, np.float32)
    return np.array((columns[0], rows[0], columns[-1] + 1, rows[-1] + 1), np.float32)


def _shows(name: str) -> tuple[str, ...]:
    """Body parts at whose surface a keypoint counts as seen."""
    if name in ("nose", "left_eye", "right_eye"):
        return ("face", "head", "glasses")
    if name.endswith("ear"):
        return ("face", "head", "hair")
    side, joint = name[0], name.split("_")[1]
    return {
        "shoulder": (f"{side}_upper", "trunk", "neck", "scarf", "bag"),
        "elbow": (f"{side}_upper", f"{side}_fore"),
        "wrist": (f"{side}_fore", f"{side}_hand"),
        "hip": ("hips", "trunk", "belt", f"{side}_thigh", "bag"),
        "knee": (f"{side}_thigh", f"{side}_shin", f"{side}_foot", "hips"),
        "ankle": (f"{side}_shin", f"{side}_foot"),
    }[joint]


_SHOWS = tuple(_shows(name) for name in classes.KEYPOINTS)
