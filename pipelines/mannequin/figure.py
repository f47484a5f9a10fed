"""One person as an ordered list of strips, farthest first."""

import numpy as np

from . import accessories, body, classes, headgear, heads, wardrobe
from .fabric import skin_color, tinted
from .looks import Look
from .palette import Color, shade
from .poses import Pose
from .shapes import Shape, limb
from .skeleton import Skeleton


def dress(s: Skeleton, look: Look, pose: Pose, detail: float) -> list[Shape]:
    """Every shape of a person in painting order. ``detail``: half-width of the head in pixels."""
    head = heads.Head(s)
    skin, hair = skin_color(look), tinted(heads.hair_color(look), look, 1)
    mane = heads.back_hair(head, look, hair)
    hung, carried = accessories.bag(s, look)
    far, near = [], []
    for side in sorted("lr", key=lambda side: _arm_depth(s, side)):
        shapes = _arm(s, side, look, skin, detail)
        if side == "l":
            shapes = carried + shapes
        (near if _arm_depth(s, side) > -0.022 else far).append((side, shapes))
    skull = heads.skull(head, look, skin, hair)
    if head.facing > -0.3:
        skull += heads.face(head, look, skin, hair, detail)
    skull += headgear.hat(head, look) + headgear.wrap(head, look)
    shapes = list(mane) if head.facing > 0 else []
    shapes += [shape for _, arm in far for shape in arm]
    shapes += _seat(s) if pose.sits else []
    lower, upper, belt = _lower(s, look), _upper(s, look, skin), accessories.belt(s, look)
    tucked = look.belt is not None and look.bottom is not None and look.coat is None
    shapes += upper + lower + belt if tucked else lower + upper + belt
    raised = [arm for side, arm in near if _beside_head(s, side)]
    shapes += [shape for arm in raised for shape in arm]
    shapes += hung if s.torso[2, 2] > 0 else []
    shapes += skull + (mane if head.facing <= 0 else [])
    return shapes + [shape for side, arm in near if not _beside_head(s, side) for shape in arm]


def _arm_depth(s: Skeleton, side: str) -> float:
    """Mean z of an arm against the trunk's; positive: nearer to us."""
    trunk = (s["neck"][2] + s["pelvis"][2]) / 2
    return (
        float(s[f"{side}_elbow"][2] + s[f"{side}_wrist"][2] * 1.5 + s[f"{side}_shoulder"][2] * 0.5) / 3
        - trunk
    )


def _beside_head(s: Skeleton, side: str) -> bool:
    """A raised arm passes behind the head unless its hand is well in front of the face."""
    return bool(s[f"{side}_wrist"][1] < s["neck"][1] and s[f"{side}_wrist"][2] < s["skull"][2] + 0.05)


def _arm(s: Skeleton, side: str, look: Look, skin: Color, detail: float) -> list[Shape]:
    label = classes.LEFT_ARM if side == "l" else classes.RIGHT_ARM
    shapes = [
        Shape(*rows, skin, label, f"{side}_hand", group=side) for rows in body.hand(s, side, detail > 8)
    ]
    shapes.append(Shape(*body.forearm(s, side), skin, label, f"{side}_fore", group=side))
    shapes.append(Shape(*body.upper_arm(s, side), skin, label, f"{side}_upper", group=side, open_start=True))
    if detail > 9:
        crease = shade(skin, 0.74)
        shapes += [Shape(*rows, crease, None, tones=False, outline=False) for rows in body.fingers(s, side)]
    return shapes + wardrobe.sleeve(s, side, look)


def _lower(s: Skeleton, look: Look) -> list[Shape]:
    """Legs, far one first, growing out of the seat of the trousers; a skirt comes over them."""
    order = sorted("lr", key=lambda side: float(s[f"{side}_knee"][2] + 0.6 * s[f"{side}_ankle"][2]))
    legs = [shape for side in order for shape in wardrobe.leg(s, side, look)]
    seat = wardrobe.hips(s, look)
    skirt = look.bottom is not None and look.bottom.kind == "skirt"
    return legs + seat if skirt else seat + legs


def _upper(s: Skeleton, look: Look, skin: Color) -> list[Shape]:
    """Neck, bare trunk where it shows (the label sets have no class for it), and all that is worn on it."""
    garment = look.top or look.dress
    assert garment is not None
    shapes = []
    if garment.sleeve == "sleeveless" or garment.length == "cropped":
        bare = body.trunk(s, "collar", "hip" if garment.length == "cropped" else "chest")
        shapes.append(Shape(*bare, skin, classes.BACKGROUND, "trunk"))
    under, over = wardrobe.neckline(s, look)
    shapes += wardrobe.top(s, look, garment) + accessories.coat(s, look) + under
    shapes.append(Shape(*body.neck(s), skin, classes.FACE, "neck", open_start=True))
    return shapes + accessories.tie(s, look) + over + accessories.scarf(s, look)


def _seat(s: Skeleton) -> list[Shape]:
    """The stool of a sitting person; it belongs to the background."""
    knees = (s["l_knee"] + s["r_knee"]) / 2
    center, ground = np.array((knees[0] * 0.25, 0.085)), s.ground
    wood = (170.0, 124.0, 84.0)
    shapes = []
    for x in (-0.075, 0.075, -0.02, 0.04):
        foot = np.array((center[0] + x * 1.2, ground + (0.0 if abs(x) > 0.05 else -0.035)))
        shapes.append(
            Shape(*limb(center + np.array((x, 0.02)), foot, 0.010, 0.008), wood, classes.BACKGROUND, "")
        )
    top = limb(center + np.array((-0.075, 0.014)), center + np.array((0.075, 0.014)), 0.026, 0.026)
    return [*shapes, Shape(*top, (192, 144, 100), classes.BACKGROUND, "")]


def coco_keypoints(s: Skeleton) -> tuple[np.ndarray, np.ndarray]:
    """All 17 keypoints [17, 2] in the figure's own plane, and whether face points look our way [17]."""
    points, seen = heads.keypoints(s)
    joints = [s[name][:2] for name in classes.JOINTS]
    return np.concatenate([points, np.array(joints)]), np.concatenate([seen, np.ones(12, bool)])
