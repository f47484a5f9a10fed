"""Bare limbs and trunk as strips; clothes are the same strips made wider (see wardrobe.py)."""

import numpy as np

from .shapes import limb, ribbon
from .skeleton import Skeleton

Rows = tuple[np.ndarray, np.ndarray]

# half-widths in statures for girth 1: shoulder, elbow, wrist; hip, knee, ankle
ARM_WIDTH = (0.0250, 0.0198, 0.0138)
LEG_WIDTH = (0.0470, 0.0310, 0.0195)


def upper_arm(s: Skeleton, side: str, ease: float = 0.0, end: float = 1.0) -> Rows:
    """From the shoulder down to ``end`` (0..1) of the upper arm; ``ease`` widens it (cloth)."""
    start, stop = s[f"{side}_shoulder"], s[f"{side}_elbow"]
    g = 0.6 + 0.4 * s.build.girth
    r0, r1 = ARM_WIDTH[0] * g + ease, ARM_WIDTH[1] * g + ease
    return limb(start, start + (stop - start) * end, r0, r0 + (r1 - r0) * end, 0.06, blunt=end < 1)


def forearm(s: Skeleton, side: str, ease: float = 0.0, end: float = 1.0) -> Rows:
    """From the elbow down to ``end`` of the forearm."""
    start, stop = s[f"{side}_elbow"], s[f"{side}_wrist"]
    g = 0.6 + 0.4 * s.build.girth
    r0, r1 = ARM_WIDTH[1] * g + ease, ARM_WIDTH[2] * g + ease
    return limb(start, start + (stop - start) * end, r0, r0 + (r1 - r0) * end, 0.12, blunt=ease > 0)


def hand(s: Skeleton, side: str, fine: bool = True) -> list[Rows]:
    """A mitten of palm and fingers, and a thumb on the side towards the trunk; just the mitten unless
    ``fine``."""
    wrist, tip = s[f"{side}_wrist"][:2], s[f"{side}_hand"][:2]
    axis = tip - wrist
    reach = float(np.hypot(*axis)) + 1e-9
    u = axis / reach
    reach = max(reach, 0.030)
    if not fine:
        return [limb(wrist, wrist + u * reach * 0.86, 0.0140, 0.0130, 0.25)]
    across = np.array((-u[1], u[0]))
    across *= np.sign(float(across @ (s["pelvis"] - s[f"{side}_wrist"])[:2])) or 1.0
    knuckle, end = wrist + u * reach * 0.42, wrist + u * reach * 0.86
    base = wrist + u * reach * 0.18
    thumb = limb(base + across * 0.006, base + u * reach * 0.36 + across * 0.019, 0.0085, 0.0065)
    return [thumb, limb(wrist, end, 0.0130, 0.0120, 0.25), limb(knuckle, end, 0.0165, 0.0125)]


def fingers(s: Skeleton, side: str) -> list[Rows]:
    """The three lines between four fingers."""
    wrist, tip = s[f"{side}_wrist"][:2], s[f"{side}_hand"][:2]
    axis = tip - wrist
    across = np.array((-axis[1], axis[0])) / (float(np.hypot(*axis)) + 1e-9)
    starts = [wrist + axis * 0.66 + across * k * 0.0072 for k in (-1, 0, 1)]
    return [limb(start, start + axis * 0.30, 0.0008, 0.0012) for start in starts]


def thigh(s: Skeleton, side: str, ease: float = 0.0, end: float = 1.0, flare: float = 0.0) -> Rows:
    """From the hip to ``end`` of the thigh; ``flare`` widens the far end."""
    start, stop = s[f"{side}_hip"], s[f"{side}_knee"]
    g = s.build.girth
    r0, r1 = LEG_WIDTH[0] * g + ease, LEG_WIDTH[1] * (0.5 + 0.5 * g) + ease
    return limb(start, start + (stop - start) * end, r0, r0 + (r1 - r0) * end + flare, 0.02, blunt=end < 1)


def shin(
    s: Skeleton, side: str, ease: float = 0.0, start: float = 0.0, end: float = 1.0, flare: float = 0.0
) -> Rows:
    """The lower leg between two places (0 knee .. 1 ankle), with a calf."""
    knee, ankle = s[f"{side}_knee"], s[f"{side}_ankle"]
    g = 0.5 + 0.5 * s.build.girth
    r0, r1 = LEG_WIDTH[1] * g * 0.97 + ease, LEG_WIDTH[2] * g + ease
    at = lambda t: knee + (ankle - knee) * t  # noqa: E731
    width = lambda t: r0 + (r1 - r0) * t  # noqa: E731
    return limb(at(start), at(end), width(start), width(end) + flare, 0.0 if ease else 0.16, blunt=ease > 0)


def shoe(s: Skeleton, side: str, ease: float = 0.0) -> Rows:
    """A shoe from heel to toe; pointing at the viewer it turns into a rounded front."""
    heel, toe = s[f"{side}_heel"][:2], s[f"{side}_toe"][:2]
    wide = s.build.feet
    return limb(heel, toe, 0.0200 * wide + ease, 0.0190 * wide + ease, 0.06)


def neck(s: Skeleton) -> Rows:
    """The neck, from inside the trunk to inside the head."""
    low, high = s["neck"] + s.torso[:, 1] * 0.006, s["skull"] + s.head[:, 1] * s.build.head[1] * 0.35
    r = 0.0235 * (0.7 + 0.3 * s.build.girth) * (1.0 if s.build.shoulder < 0.09 else 1.12)
    return limb(low, high, r * 1.08, r)


def sections(s: Skeleton, rows: np.ndarray) -> np.ndarray:
    """Outer points of the trunk [n, 2 (viewer's left, right), 2] at cross-sections seen from where we are.

    ``rows`` [n, 4]: place along the spine (0 neck .. 1 pelvis), half-width, half-depth, shift forward.
    """
    t, wide, deep, forward = rows.T[:, :, None]
    lateral = s.torso[:, 0] * (1 - t) + s.pelvis[:, 0] * t
    front = s.torso[:, 2] * (1 - t) + s.pelvis[:, 2] * t
    center = s["neck"] + (s["pelvis"] - s["neck"]) * t + front * forward
    half = np.sqrt((wide[:, 0] * lateral[:, 0]) ** 2 + (deep[:, 0] * front[:, 0]) ** 2)
    tilt = lateral[:, 1] * wide[:, 0] * np.where(lateral[:, 0] >= 0, 1.0, -1.0)
    offset = np.stack([half, tilt], 1)
    return np.stack([center[:, :2] - offset, center[:, :2] + offset], 1)


def section(s: Skeleton, t: float, wide: float, deep: float) -> np.ndarray:
    """One cross-section: the viewer's left and right point [2, 2]."""
    return sections(s, np.array(((t, wide, deep, 0.0),)))[0]


def trunk_levels(s: Skeleton, ease: float = 0.0) -> dict[str, np.ndarray]:
    """Named cross-sections of the trunk: viewer's left and right points [2, 2] each; ``ease`` widens them."""
    b, e = s.build, ease
    bust = 0.010 if b.shoulder < 0.09 else 0.006
    loose = 0.5 + 0.5 * b.girth
    rows = (
        (-0.03, 0.030 + e * 0.5, 0.030 + e * 0.5, 0.0),
        (0.020, b.shoulder * 0.68 + e * 0.6, 0.040 + e, 0.0),
        (0.085, b.shoulder * 1.03 + 0.008 + e, 0.048 + e, 0.0),
        (0.15, b.chest * 0.74, 0.052 + e, bust),
        (0.24, b.chest * 1.0 + e, 0.056 + e, bust),
        (0.36, b.chest * 0.97 + e, 0.060 * loose + e, bust),
        (0.68, b.waist + e, 0.050 * b.girth + e, 0.002),
        (0.94, b.pelvis * 0.98 + e, 0.064 * loose + e, -0.006),
        (1.06, b.pelvis * 1.02 + e, 0.066 * loose + e, -0.008),
        (1.19, b.pelvis * 0.62 + e, 0.046 + e, -0.004),
    )
    return dict(zip(LEVELS, sections(s, np.array(rows)), strict=True))


LEVELS = ("collar", "trapezius", "shoulder", "bib", "armpit", "chest", "waist", "hip", "seat", "crotch")


def trunk(s: Skeleton, first: str, last: str, ease: float = 0.0, hem: float = 0.0) -> Rows:
    """The trunk between two named levels; ``hem`` rounds the lower edge downward by so much."""
    levels = trunk_levels(s, ease)
    names = LEVELS[LEVELS.index(first) : LEVELS.index(last) + 1]
    names = tuple(name for name in names if name != "bib" or first == "bib")
    points = np.array([levels[name] for name in names])
    left, right = ribbon(points[:, 0], points[:, 1])
    return round_hem(left, right, hem) if hem else (left, right)


def round_hem(left: np.ndarray, right: np.ndarray, drop: float) -> Rows:
    """Let the last samples of a strip meet in a shallow curve ``drop`` below its end."""
    left, right = left.copy(), right.copy()
    middle, down = (left[-1] + right[-1]) / 2, np.array((0.0, drop))
    half = (right[-1] - left[-1]) / 2
    for row, (across, depth) in zip((-2, -1), ((0.72, 0.62), (0.22, 1.0)), strict=True):
        left[row], right[row] = middle - half * across + down * depth, middle + half * across + down * depth
    left[-3], right[-3] = middle - half, middle + half
    return left, right
