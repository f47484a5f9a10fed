"""StyleGAN-Human's alignment of raw photos: person on white, centred, twice as high as wide.

The rule works on a "working" picture (the photo, or a reduced copy of a very tall one) in three steps: a
border above and below, a box around the body that is as wide on both sides of its middle, and a border
where a box of 1:2 leaves the picture. What was cut is kept as an ``Alignment``, so that an edited person
can go back (``paste.py``). Heights and widths in pixels; boxes are x0, y0, x1, y1, ends exclusive.
"""

from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from ...common.errors import FiguraInputError
from ...common.images import check_image
from ...common.masks import check_mask
from ...pose.conventions import COCO_NAMES, NECK, neck_of
from ...pose.openpose import BODY
from ...pose.pose import Pose, areas

Box = tuple[int, int, int, int]
Size = tuple[int, int]

TALL, REDUCED = 2000, 1200  # photos this high are brought to this height
MARGIN = 0.05  # of the body's height, above and below
EXTRA = 5  # pixels beyond it, so that the box always fits
EDGE = 5  # a body this near to both edges was cut out tightly: its border is white
LEAST_HEIGHT = 16  # of a body, in pixels; below it nothing can be told apart
WHITE = 255
TOUCHING = ("refuse", "allow")
SEVERAL = ("refuse", "largest")
BACKGROUNDS = ("white", "keep")


@dataclass(frozen=True)
class AlignConfig:
    """How photos are aligned; the defaults are the published ones, without their mistakes.

    Attributes:
        size: height and width of the result.
        background: ``white`` puts the person on white; ``keep`` leaves the photo around them.
        several: what to do when the pose holds more than one person: refuse, or take the largest.
        touching: what to do when the body is cut off by the upper edge: refuse, or pad.
        least_joints: of 18 (17 and the neck), how many must be seen.
        threshold: where the mask counts as person.
    """

    size: Size = (1024, 512)
    background: str = "white"
    several: str = "refuse"
    touching: str = "refuse"
    least_joints: int = 15
    threshold: float = 0.5


@dataclass(frozen=True)
class Plan:
    """The rule's numbers for one working picture: first border, box, last border (top, bottom, left, right).

    ``crop`` is measured in the picture with the first border on.
    """

    border: int
    white: bool
    crop: Box
    pads: tuple[int, int, int, int]

    @property
    def box(self) -> Box:
        """What the result shows, in pixels of the working picture; it may reach beyond the picture."""
        (x0, y0, x1, y1), (top, bottom, left, right) = self.crop, self.pads
        return x0 - left, y0 - self.border - top, x1 + right, y1 - self.border + bottom


@dataclass(frozen=True, eq=False)
class Alignment:
    """Where an aligned picture came from.

    Attributes:
        box: x0, y0, x1, y1 in pixels of the photo, with fractions where the photo was reduced.
        source_size: height and width of the photo.
        size: height and width of the aligned picture.
        mask: the person in the photo, [H, W] in [0, 1].
        whitened: whether the aligned picture's background is white.
    """

    box: tuple[float, float, float, float]
    source_size: Size
    size: Size
    mask: Tensor = field(repr=False)
    whitened: bool = True


def align(
    image: Tensor, mask: Tensor, pose: Pose, config: AlignConfig | None = None, what: str = "image"
) -> tuple[Tensor, Alignment]:
    """Align one photo: IMAGE [1, H, W, 3] and the person's mask [1, H, W] -> ([1, h, w, 3], Alignment).

    Raises FiguraInputError, naming ``what``, for a photo that the rule cannot be applied to.
    """
    config = check_config(config or AlignConfig())
    image, mask = check_image(image, what)[:1], check_mask(mask, f"{what}, mask")[:1]
    _check_sizes(image, mask, what)
    source = image.shape[1], image.shape[2]
    photo, alpha = reduced(image[0].cpu().numpy(), mask[0].cpu().numpy())
    person = largest_blob(alpha, config.threshold, what)
    pose = people_inside(pose, mask[0].cpu().numpy() > config.threshold)
    plan = plan_alignment(person, _middle(pose, source, photo.shape, config, what), photo.shape, config, what)
    keep = config.background == "keep"
    aligned = cut(to_bytes(photo) if keep else on_white(photo, alpha), plan, config.size)
    record = Alignment(_in_photo(plan.box, photo.shape, source), source, config.size, mask[0].cpu(), not keep)
    return torch.from_numpy(aligned.astype(np.float32) / 255)[None], record


def check_config(config: AlignConfig) -> AlignConfig:
    """Return the config, or raise FiguraInputError for a choice that does not exist."""
    for name, value, choices in (
        ("background", config.background, BACKGROUNDS),
        ("several people", config.several, SEVERAL),
        ("cut off at the top", config.touching, TOUCHING),
    ):
        if value not in choices:
            raise FiguraInputError(name, f"'{value}'", " or ".join(choices))
    height, width = config.size
    if not (8 <= height <= 4096 and 8 <= width <= 4096):
        raise FiguraInputError("aligned size", f"{width} x {height}", "8 to 4096 pixels a side")
    if not 0 <= config.least_joints <= 18:
        raise FiguraInputError("least joints", str(config.least_joints), "0 to 18")
    return config


def _check_sizes(image: Tensor, mask: Tensor, what: str) -> None:
    height, width = image.shape[1:3]
    if height < LEAST_HEIGHT or width < 2:
        raise FiguraInputError(what, f"{width} x {height} pixels", "a photo with a person in it")
    if mask.shape[1:] != image.shape[1:3]:
        raise FiguraInputError(
            f"{what}, mask", f"{mask.shape[2]} x {mask.shape[1]} pixels", f"{width} x {height}, as the photo",
            "Make the mask from this very photo, before any resizing.",
        )  # fmt: skip


def reduced(photo: np.ndarray, alpha: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Photo [H, W, 3] and mask [H, W] in working size: brought to height 1200 if the photo is very tall."""
    import cv2

    height, width = photo.shape[:2]
    if height < TALL:
        return photo, alpha
    size = max(1, int(width / (height / REDUCED))), REDUCED
    photo, alpha = (cv2.resize(array, size, interpolation=cv2.INTER_AREA) for array in (photo, alpha))
    return photo, alpha


def to_bytes(photo: np.ndarray) -> np.ndarray:
    """[0, 1] -> uint8, cut off as the published script does (a thousandth is given for rounding)."""
    return np.floor(photo * 255 + 1e-3).clip(0, 255).astype(np.uint8)


def on_white(photo: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """The person of ``alpha`` [H, W] on white, uint8 [H, W, 3]."""
    weight = alpha[..., None]
    return to_bytes(photo * weight + (1 - weight))


def largest_blob(alpha: np.ndarray, threshold: float = 0.5, what: str = "image") -> Box:
    """The box around the largest connected person in a mask; its ends are the last rows and columns WITH
    person.
    """
    import cv2

    filled = (alpha > threshold).astype(np.uint8)
    contours, _ = cv2.findContours(filled, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    if not contours:
        raise FiguraInputError(f"{what}, mask", "an empty mask: no person in it", "a mask of one person")
    points = max(contours, key=cv2.contourArea)[:, 0]
    (x0, y0), (x1, y1) = points.min(axis=0), points.max(axis=0)
    if y1 - y0 < LEAST_HEIGHT:
        raise FiguraInputError(
            f"{what}, mask", f"a person {y1 - y0 + 1} pixels high", f"more than {LEAST_HEIGHT}",
            "The mask holds specks only, or the picture is too small.",
        )  # fmt: skip
    return int(x0), int(y0), int(x1), int(y1)


def people_inside(pose: Pose, mask: np.ndarray) -> Pose:
    """Of several people those half of whose joints lie in the mask [H, W]: others only stand by."""
    if len(pose) < 2 or pose.size != mask.shape:
        return pose
    places = pose.people[..., :2].round().astype(int).clip(0, [mask.shape[1] - 1, mask.shape[0] - 1])
    seen = pose.people[..., 2] > 0
    inside = (mask[places[..., 1], places[..., 0]] & seen).sum(axis=1)
    return pose.pick(inside * 2 >= np.maximum(seen.sum(axis=1), 1))


def _middle(pose: Pose, source: Size, working: tuple[int, ...], config: AlignConfig, what: str) -> float:
    """The body's middle x in the working picture: between neck and hips, as the rule rounds it."""
    if pose.size != tuple(source):
        raise FiguraInputError(
            f"{what}, pose", f"a canvas of {pose.size[1]} x {pose.size[0]}",
            f"{source[1]} x {source[0]}, as the photo", "Detect the pose in this very photo.",
        )  # fmt: skip
    joints = joints_of(pose, config, what)
    return middle_of(joints, working[1] / source[1])


def joints_of(pose: Pose, config: AlignConfig, what: str = "image") -> dict[str, np.ndarray]:
    """Neck and hips of the one person, each (x, y, score), or the reason why this pose will not do."""
    if not len(pose):
        raise FiguraInputError(f"{what}, pose", "nobody", "one person",
                               "No person was found in the photo, or none inside the mask.")  # fmt: skip
    if len(pose) > 1 and config.several == "refuse":
        raise FiguraInputError(
            f"{what}, pose", f"{len(pose)} people", "exactly one",
            "Crop the photo to one person, or let the largest be taken.",
        )  # fmt: skip
    index = int(areas(pose).argmax())
    coco = pose.people[index]
    body = pose.details[index].get(BODY)
    neck = body[NECK] if body is not None and len(body) in (18, 25) else neck_of(coco)
    named = dict(zip(COCO_NAMES, coco, strict=True)) | {"neck": neck}
    missing = [name for name, joint in named.items() if joint[2] <= 0]
    needed = [name for name in ("neck", "right hip", "left hip") if name in missing]
    if needed:
        raise FiguraInputError(
            f"{what}, pose", f"no {' and no '.join(needed)}", "neck and both hips",
            "They tell where the middle of the body is.",
        )  # fmt: skip
    if len(named) - len(missing) < config.least_joints:
        raise FiguraInputError(
            f"{what}, pose", f"{len(named) - len(missing)} of 18 joints (no {', '.join(missing[:8])})",
            f"{config.least_joints} or more", "The whole person must be in the photo.",
        )  # fmt: skip
    return named


def middle_of(joints: dict[str, np.ndarray], scale: float = 1.0) -> float:
    """floor((floor((x of right hip + x of left hip) / 2) + x of neck) / 2), after scaling."""
    right, left, neck = (round(float(joints[name][0]) * scale, 4) for name in
                         ("right hip", "left hip", "neck"))  # fmt: skip
    return ((right + left) // 2 + neck) // 2


def plan_alignment(
    person: Box, middle: float, shape: tuple[int, ...], config: AlignConfig, what: str = "image"
) -> Plan:
    """The rule for a body in ``person`` (last row and column included) whose middle is at x ``middle``.

    ``shape``: height and width of the working picture. The published code wrote a useless strip where the
    symmetric box left the picture on the left, and a squeezed person where it did on the right; here both
    sides are padded.
    """
    left, top, right, bottom = person
    margin = int((bottom - top) * MARGIN)
    border = margin + EXTRA
    white = 0 < top <= EDGE and bottom >= shape[0] - EDGE
    if top <= 0 and config.touching == "refuse":
        raise FiguraInputError(
            f"{what}, mask", "a person cut off by the upper edge", "a whole person with space above",
            "Take a photo with the whole head, or allow it: the edge is then repeated.",
        )  # fmt: skip
    y0, y1 = top + border - margin, bottom + border + margin
    reach = max(abs(middle - left), abs(right - middle))
    if not left - (bottom - top) / 2 <= middle <= right + (bottom - top) / 2:
        raise FiguraInputError(f"{what}, pose", "neck and hips away from the body of the mask",
                               "pose and mask of the same person")  # fmt: skip
    if y1 - y0 >= 4 * reach:
        half = (y1 - y0) // 2 / 2
        x0, x1 = int(middle - half), int(middle + half)
    else:
        x0, x1 = int(middle - reach), int(middle + reach)
        middle_y = (y0 + y1) // 2
        y0, y1 = middle_y - (x1 - x0), middle_y + (x1 - x0)
    return _clipped((x0, y0, x1, y1), border, white, (shape[0] + 2 * border, shape[1]))


def _clipped(box: Box, border: int, white: bool, size: Size) -> Plan:
    """Split a box into the part inside a picture of ``size`` and what has to be padded."""
    x0, y0, x1, y1 = box
    crop = max(0, x0), max(0, y0), min(size[1], x1), min(size[0], y1)
    return Plan(border, white, crop, (crop[1] - y0, y1 - crop[3], crop[0] - x0, x1 - crop[2]))


def cut(picture: np.ndarray, plan: Plan, size: Size) -> np.ndarray:
    """Carry the plan out on a working picture, uint8 [H, W, 3] -> uint8 [*size, 3]."""
    import cv2

    repeat, fill = cv2.BORDER_REPLICATE, (WHITE, WHITE, WHITE)
    kind = cv2.BORDER_CONSTANT if plan.white else repeat
    picture = cv2.copyMakeBorder(picture, plan.border, plan.border, 0, 0, kind, value=fill)
    x0, y0, x1, y1 = plan.crop
    picture = cv2.copyMakeBorder(picture[y0:y1, x0:x1], *plan.pads, repeat)
    return cv2.resize(picture, (size[1], size[0]), interpolation=cv2.INTER_AREA)


def _in_photo(box: Box, working: tuple[int, ...], source: Size) -> tuple[float, float, float, float]:
    across, down = source[1] / working[1], source[0] / working[0]
    return box[0] * across, box[1] * down, box[2] * across, box[3] * down
