"""The body as a tree of bones: blending two poses and giving one person another's proportions."""

from dataclasses import dataclass, replace

import numpy as np

from ..common.errors import FiguraInputError
from .pose import Pose, boxes, seen

PELVIS, CHEST = 17, 18  # two points that COCO lacks: between the hips, between the shoulders
# joint, its parent, the group whose length it belongs to; parents come first
BONES = (
    (CHEST, PELVIS, "torso"), (11, PELVIS, "hips"), (12, PELVIS, "hips"),
    (5, CHEST, "shoulders"), (6, CHEST, "shoulders"), (7, 5, "arms"), (8, 6, "arms"), (9, 7, "arms"),
    (10, 8, "arms"), (13, 11, "legs"), (14, 12, "legs"), (15, 13, "legs"), (16, 14, "legs"),
    (0, CHEST, "head"), (1, 0, "head"), (2, 0, "head"), (3, 1, "head"), (4, 2, "head"),
)  # fmt: skip


@dataclass(frozen=True)
class Proportions:
    """Factors on the lengths of bones; 1 leaves them."""

    torso: float = 1.0
    head: float = 1.0
    shoulders: float = 1.0
    hips: float = 1.0
    arms: float = 1.0
    legs: float = 1.0

    def __post_init__(self) -> None:
        for name, value in self.__dict__.items():
            if not (np.isfinite(value) and 0.05 <= value <= 20):
                raise FiguraInputError(name, f"{value}", "a factor between 0.05 and 20")


def retarget(pose: Pose, proportions: Proportions, ground: bool = True) -> Pose:
    """Lengthen or shorten bones, keeping every angle.

    Args:
        ground: keep the lowest seen point of each person where it was, so that nobody floats; otherwise the
            middle of the hips stays.
    """
    people = np.array([_stretched(one, proportions, ground) for one in pose.people])
    return pose.with_people(people.reshape(-1, 17, 3))


def proportions_of(joints: np.ndarray, like: np.ndarray) -> Proportions:
    """The factors that give ``joints`` [17, 3] the proportions of ``like`` [17, 3], at the size of
    ``joints``.

    Each group's length is measured against the torso's. Limbs that point at the viewer look short: a
    reference that stands upright, facing the camera, tells its proportions best.
    """
    ours, theirs = _lengths(joints), _lengths(like)
    factors = {}
    for group in ("head", "shoulders", "hips", "arms", "legs"):
        known = all(lengths.get(name, 0) > 1e-6 for lengths in (ours, theirs) for name in (group, "torso"))
        ratio = (theirs[group] / theirs["torso"]) / (ours[group] / ours["torso"]) if known else 1.0
        factors[group] = float(np.clip(ratio, 0.2, 5))
    return Proportions(**factors)


def _lengths(joints: np.ndarray) -> dict[str, float]:
    """The longest of each group's bones, in px: the one least shortened by perspective."""
    nodes = _with_middles(joints)
    lengths: dict[str, float] = {}
    for child, parent, group in BONES:
        if nodes[child, 2] > 0 and nodes[parent, 2] > 0:
            length = float(np.hypot(*(nodes[child, :2] - nodes[parent, :2])))
            lengths[group] = max(length, lengths.get(group, 0.0))
    return lengths


def _with_middles(joints: np.ndarray) -> np.ndarray:
    """[17, 3] -> [19, 3] with the middles of hips and shoulders; of a pair with one side missing, that
    side.
    """
    nodes = np.concatenate([joints, np.zeros((2, 3))])
    for node, pair in ((PELVIS, (11, 12)), (CHEST, (5, 6))):
        known = [joints[i] for i in pair if joints[i, 2] > 0]
        if known:
            nodes[node] = np.mean(known, axis=0)
    return nodes


def _stretched(joints: np.ndarray, proportions: Proportions, ground: bool) -> np.ndarray:
    old = _with_middles(joints)
    new = old.copy()
    for child, parent, group in BONES:
        step = old[child, :2] - old[parent, :2]
        factor = getattr(proportions, group)
        known = old[child, 2] > 0 and old[parent, 2] > 0
        new[child, :2] = new[parent, :2] + factor * step if known else old[child, :2]
    here = joints[:, 2] > 0
    if ground and here.any():
        new[:17][here, 1] += joints[here, 1].max() - new[:17][here, 1].max()
    return new[:17]


def blend(first: Pose, second: Pose, amount: float) -> Pose:
    """A pose between two: bones turn and grow from the first (amount 0) to the second (1).

    People are paired by where they stand; one without a partner is kept while its own pose weighs more. Both
    poses must share a canvas. A joint that only one of them sees is kept while that one weighs more.
    """
    if first.size != second.size:
        raise FiguraInputError(
            "second", f"a canvas of {second.size[::-1]}", f"{first.size[::-1]} as the first has",
            "Put it on that canvas with Fit Pose to Canvas.",
        )  # fmt: skip
    if not 0 <= amount <= 1:
        raise FiguraInputError("amount", f"{amount}", "0 (the first pose) to 1 (the second)")
    if amount in (0, 1):
        return second if amount else first
    pairs = _pairs(first, second)
    people = [_between(first.people[a], second.people[b], amount) for a, b in pairs]
    lone, taken = (second, [b for _, b in pairs]) if amount > 0.5 else (first, [a for a, _ in pairs])
    people += [joints for index, joints in enumerate(lone.people) if index not in taken]
    return replace(first.with_people(np.array(people).reshape(-1, 17, 3)), scores=np.zeros(0))


def _pairs(first: Pose, second: Pose) -> list[tuple[int, int]]:
    from scipy.optimize import linear_sum_assignment

    a, b = (box[:, :2] + box[:, 2:] for box in (boxes(first), boxes(second)))
    rows, columns = linear_sum_assignment(np.linalg.norm(a[:, None] - b[None], axis=-1))
    return list(zip(rows.tolist(), columns.tolist(), strict=True))


def _between(a: np.ndarray, b: np.ndarray, amount: float) -> np.ndarray:
    nodes_a, nodes_b = _with_middles(a), _with_middles(b)
    out = nodes_a * (1 - amount) + nodes_b * amount
    both = seen(nodes_a) & seen(nodes_b)
    for child, parent, _ in BONES:
        if both[child] and both[parent]:
            out[child, :2] = out[parent, :2] + _turned(
                nodes_a[child, :2] - nodes_a[parent, :2], nodes_b[child, :2] - nodes_b[parent, :2], amount
            )
    stronger = nodes_a if amount <= 0.5 else nodes_b
    out[~both] = stronger[~both]
    return out[:17]


def _turned(a: np.ndarray, b: np.ndarray, amount: float) -> np.ndarray:
    """The vector between two, turning the shorter way round while its length changes evenly."""
    angle_a, angle_b = np.arctan2(a[1], a[0]), np.arctan2(b[1], b[0])
    turn = (angle_b - angle_a + np.pi) % (2 * np.pi) - np.pi
    length = np.hypot(*a) * (1 - amount) + np.hypot(*b) * amount
    angle = angle_a + amount * turn
    return length * np.array([np.cos(angle), np.sin(angle)])
