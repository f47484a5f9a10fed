"""A joint-angle model: families of poses, each a spread of angles that a body can reach.

Angles are degrees. An arm is (abduct, flex, elbow, bend): the upper arm hangs at abduct = flex = 0, abduct
lifts it sideways, flex forward; the forearm turns by ``elbow`` towards ``bend`` = (outward, down, forward)
of the torso.
A leg is (abduct, flex, knee): the shin folds backward by ``knee``.
"""

import random
from dataclasses import dataclass

Vector = tuple[float, float, float]


@dataclass(frozen=True)
class Arm:
    """Angles of one arm; see the module's first lines."""

    abduct: float
    flex: float
    elbow: float
    bend: Vector


@dataclass(frozen=True)
class Leg:
    """Angles of one leg."""

    abduct: float
    flex: float
    knee: float


@dataclass(frozen=True)
class Pose:
    """One pose of a whole body. Sides are the person's own."""

    name: str
    left_arm: Arm
    right_arm: Arm
    left_leg: Leg
    right_leg: Leg
    yaw: float = 0.0
    """Turn of the body, 0 = facing the viewer, positive = facing the viewer's right."""
    lean: float = 0.0
    bow: float = 0.0
    twist: float = 0.0
    hip_tilt: float = 0.0
    shoulder_tilt: float = 0.0
    head_yaw: float = 0.0
    head_pitch: float = 0.0
    head_roll: float = 0.0
    lift: float = 0.0
    """Height above the ground, in statures (a jump)."""
    sits: bool = False


# Arm, spread of abduct, flex, elbow
ARMS: dict[str, tuple[Arm, Vector]] = {
    "hang": (Arm(9, 2, 14, (-0.2, 0, 1)), (4, 6, 7)),
    "loose": (Arm(16, 4, 26, (-0.3, 0, 1)), (5, 8, 9)),
    "hip": (Arm(46, -8, 98, (-1, 0.2, 0.25)), (4, 4, 5)),
    "belly": (Arm(12, 12, 86, (-0.8, 0, 0.6)), (4, 6, 9)),
    "pocket": (Arm(24, -8, 42, (-1, 0, 0.55)), (4, 4, 6)),
    "behind": (Arm(20, -24, 48, (-1, 0, -0.7)), (4, 5, 6)),
    "wave": (Arm(78, 8, 92, (0.15, -1, 0.2)), (11, 7, 18)),
    "up": (Arm(152, 6, 22, (-0.6, -0.3, 0.2)), (12, 8, 12)),
    "out": (Arm(78, 2, 18, (0, -0.3, 0.6)), (12, 8, 12)),
    "half_out": (Arm(42, 4, 20, (0, -0.2, 0.8)), (10, 8, 12)),
    "phone": (Arm(22, 30, 138, (-0.1, -0.5, 1)), (4, 6, 6)),
    "carry": (Arm(10, 18, 80, (-0.15, 0, 1)), (4, 8, 10)),
    "walk_front": (Arm(8, 26, 24, (-0.2, 0, 1)), (3, 7, 8)),
    "walk_back": (Arm(10, -24, 14, (-0.2, 0, 1)), (3, 7, 6)),
    "run_front": (Arm(12, 38, 92, (-0.35, -0.2, 1)), (4, 8, 10)),
    "run_back": (Arm(14, -44, 82, (-0.2, 0.2, 1)), (4, 7, 10)),
    "knee": (Arm(14, 30, 40, (-0.3, 0, 1)), (5, 6, 8)),
}
LEGS: dict[str, tuple[Leg, Vector]] = {
    "straight": (Leg(4, 1, 3), (2, 2, 2)),
    "relaxed": (Leg(9, 10, 20), (3, 4, 6)),
    "apart": (Leg(15, 2, 3), (4, 2, 2)),
    "crossed": (Leg(-5, 8, 8), (1, 3, 3)),
    "walk_front": (Leg(3, 24, 6), (1, 5, 4)),
    "walk_back": (Leg(3, -18, 20), (1, 5, 7)),
    "run_front": (Leg(4, 58, 76), (2, 9, 14)),
    "run_back": (Leg(3, -18, 50), (2, 7, 16)),
    "lunge_front": (Leg(5, 58, 62), (2, 6, 6)),
    "lunge_back": (Leg(4, -34, 14), (2, 5, 5)),
    "sit": (Leg(7, 80, 82), (4, 4, 5)),
    "kick": (Leg(6, 66, 12), (3, 10, 8)),
    "side": (Leg(34, 4, 6), (8, 4, 4)),
    "tree": (Leg(38, 34, 112), (4, 5, 6)),
    "tuck": (Leg(14, 34, 74), (6, 12, 16)),
}
STANDING_ARMS = (
    ("hang",) * 6 + ("loose",) * 4 + ("hip",) * 3 + ("pocket", "pocket", "belly", "behind", "carry", "phone")
)
LIVELY_ARMS = ("wave", "up", "out", "half_out", "hip", "up", "wave", "loose")
# name -> weight, arms of either side, legs (one side, other side), yaw from..to
FAMILIES: dict[str, tuple[float, tuple[str, ...], tuple[str, str], Vector]] = {
    "standing": (6, STANDING_ARMS, ("straight", "relaxed"), (-38, 38, 0)),
    "upright": (2, ("hang", "loose", "hip"), ("straight", "straight"), (-30, 30, 0)),
    "posing": (2.5, ("hip", "hip", "loose", "behind", "half_out"), ("apart", "relaxed"), (-32, 32, 0)),
    "waving": (1.6, ("wave", "hang", "hip", "pocket"), ("straight", "relaxed"), (-25, 25, 0)),
    "cheering": (1, ("up", "up", "wave"), ("apart", "apart"), (-20, 20, 0)),
    "walking": (2.4, ("walk_front", "walk_back"), ("walk_front", "walk_back"), (22, 78, 0)),
    "running": (1, ("run_front", "run_back"), ("run_front", "run_back"), (45, 80, 0)),
    "dancing": (1.6, LIVELY_ARMS, ("relaxed", "side"), (-25, 25, 0)),
    "lunging": (0.6, ("hip", "out", "up", "half_out"), ("lunge_front", "lunge_back"), (50, 80, 0)),
    "kicking": (0.5, ("half_out", "out"), ("straight", "kick"), (45, 75, 0)),
    "balancing": (0.5, ("up", "out", "hip"), ("straight", "tree"), (-15, 15, 0)),
    "jumping": (0.6, ("up", "wave", "half_out"), ("tuck", "tuck"), (-30, 30, 0)),
    "sitting": (1.2, ("knee", "knee", "belly", "carry"), ("sit", "sit"), (28, 62, 0)),
    "back view": (0.5, ("hang", "loose", "hip", "wave"), ("straight", "relaxed"), (160, 200, 0)),
}
CALM = ("standing", "upright", "posing")
"""Families that fit a frame twice as high as wide."""


def draw_pose(rng: random.Random, families: tuple[str, ...] = tuple(FAMILIES)) -> Pose:
    """Draw a family by weight, then its angles; left and right change roles in half of the draws."""
    name = rng.choices(families, [FAMILIES[family][0] for family in families])[0]
    _, arms, legs, (low, high, _) = FAMILIES[name]
    pair = _draw_arms(rng, name, arms)
    sides = list(legs)
    if rng.random() < 0.5:
        pair, sides = pair[::-1], sides[::-1]
    yaw = rng.uniform(low, high) if low < 0 or low > 90 else rng.uniform(low, high) * rng.choice((-1, 1))
    gauss = rng.gauss
    stance = 6.0 if name in ("standing", "posing", "waving", "back view") else 2.0
    raised = 1 if sides[0] in ("straight", "apart") else -1  # the hip of the supporting leg is the higher one
    left_arm, right_arm = (_arm(rng, arm) for arm in pair)
    left_leg, right_leg = (_leg(rng, leg) for leg in sides)
    return Pose(
        name,
        left_arm,
        right_arm,
        left_leg,
        right_leg,
        yaw=yaw,
        lean=gauss(0, 2),
        bow={"running": 12.0, "sitting": 4.0, "lunging": 4.0, "walking": 3.0}.get(name, 0.0) + gauss(0, 2),
        twist=gauss(0, 5),
        hip_tilt=raised * abs(gauss(0, stance * 0.6)),
        shoulder_tilt=-raised * abs(gauss(0, stance * 0.5)),
        head_yaw=max(-40.0, min(40.0, gauss(0, 14) - (0.35 * yaw if abs(yaw) < 90 else 0))),
        head_pitch=gauss(0, 5),
        head_roll=gauss(0, 4),
        lift=abs(gauss(0.07, 0.03)) if name == "jumping" else 0.0,
        sits=name == "sitting",
    )  # fmt: skip


def _draw_arms(rng: random.Random, name: str, arms: tuple[str, ...]) -> list[str]:
    """Walkers swing opposite arms (the order is that of the legs, crossed); a waver waves with one hand."""
    if name in ("walking", "running"):
        return [arms[1], arms[0]]
    if name == "waving":
        return ["wave", arms[int(rng.random() * len(arms))]]
    first = arms[int(rng.random() * len(arms))]
    return [first, first if rng.random() < 0.4 else arms[int(rng.random() * len(arms))]]


def _arm(rng: random.Random, name: str) -> Arm:
    mean, (abduct, flex, elbow) = ARMS[name]
    bent = min(145.0, max(4.0, mean.elbow + rng.gauss(0, elbow)))
    lifted = min(172.0, max(4.0, mean.abduct + rng.gauss(0, abduct)))
    return Arm(lifted, mean.flex + rng.gauss(0, flex), bent, mean.bend)


def _leg(rng: random.Random, name: str) -> Leg:
    mean, (abduct, flex, knee) = LEGS[name]
    lifted = min(60.0, max(-8.0, mean.abduct + rng.gauss(0, abduct)))
    return Leg(lifted, mean.flex + rng.gauss(0, flex), min(135.0, max(0.0, mean.knee + rng.gauss(0, knee))))
