"""The ready poses that ship with the pack (``poses.json``): made by hand from eight-heads proportions."""

import json
from functools import cache
from pathlib import Path

import numpy as np

from ..common.errors import FiguraInputError
from .pose import Pose

FILE = Path(__file__).with_name("poses.json")


@cache
def _entries() -> dict[str, dict]:
    return {entry["name"]: entry for entry in json.loads(FILE.read_text(encoding="utf-8"))}


def pose_names() -> list[str]:
    """The names of all ready poses, single people first."""
    return list(_entries())


def ready_pose(name: str) -> Pose:
    """A ready pose on its own canvas (512 x 768 for one person, 768 x 512 for several), all joints of score
    1.
    """
    if name not in _entries():
        raise FiguraInputError("pose", f"'{name}'", "one of " + ", ".join(pose_names()))
    entry = _entries()[name]
    people = np.array(entry["people"], np.float64)
    return Pose(people, (entry["height"], entry["width"]), np.ones(len(people)))
