"""Lists of poses, one for each picture of a batch: a single one serves all."""

from ..common.errors import FiguraInputError
from .canvas import Fit, fit_to
from .limbs import proportions_of, retarget
from .pose import Pose
from .transform import merge


def paired(first: list[Pose], second: list[Pose]) -> list[tuple[Pose, Pose]]:
    """Pairs of two lists that are equally long, or of which one holds a single pose."""
    count = max(len(first), len(second))
    if {len(first), len(second)} - {1, count}:
        raise FiguraInputError(
            "second", f"{len(second)} frames for {len(first)}", "as many frames in both, or one"
        )
    first, second = (poses * count if len(poses) == 1 else poses for poses in (first, second))
    return list(zip(first, second, strict=True))


def merged(first: list[Pose], second: list[Pose], fit: Fit) -> list[Pose]:
    """Everyone of both lists, frame by frame, on the canvases of the first."""
    return [merge([a, fit_to(b, a.size, fit)]) for a, b in paired(first, second)]


def proportions_for(poses: list[Pose], reference: Pose, ground: bool) -> list[Pose]:
    """Give everybody the proportions of the reference's first person, each at their own size."""
    if not len(reference):
        raise FiguraInputError("reference", "a pose without people", "at least one person")
    out = []
    for pose in poses:
        for index in range(len(pose)):
            given = proportions_of(pose.people[index], reference.people[0])
            one = retarget(pose.pick([index]), given, ground)
            people = pose.people.copy()
            people[index] = one.people[0]
            pose = pose.with_people(people)
        out.append(pose)
    return out
