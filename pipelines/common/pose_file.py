"""HumanSD's pose files: an ``.npz`` with one entry ``arr_0``, a pickled array of one dict per person.

numpy would load it with ``allow_pickle=True``, which executes what the file says; here it is read as data.
"""

import io
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from .door import told
from .errors import FiguraWeightsError
from .files import atomic_path
from .inert import BadPickle, Stream
from .network_pickle import plain
from .rebuild import OBJECT_ARRAYS, ArrayShell
from .unpickle import Machine

MAX_BYTES = 16 << 20
WANTED = "a HumanSD pose .npz (arr_0: one dict per person with keypoints [17, 3], score and area)"


def load_pose_npz(path: str | Path) -> list[dict[str, Any]]:
    """Return the people of a HumanSD pose file, in its order (best score first).

    Each is ``{"keypoints": float32 [K, 3] (x, y in pixels of the source picture, score), "score": float,
    "area": float}``; score and area are NaN where the file has none.

    Raises:
        FiguraWeightsError: no such file, damaged, or holding anything else than such people.
    """
    with told(path, WANTED):
        if Path(path).stat().st_size > MAX_BYTES:
            raise FiguraWeightsError(Path(path).name, "a file over 16 MB", WANTED)
        array = _read_npy(_member(path, "arr_0.npy"))
        return [_person(item) for item in array.reshape(-1).tolist()]


def save_pose_npz(path: str | Path, people: Sequence[dict[str, Any]]) -> None:
    """Write people as ``load_pose_npz`` returns them, in the layout of HumanSD's own files."""
    array = np.empty(len(people), dtype=object)
    for index, person in enumerate(people):
        array[index] = {
            "keypoints": np.asarray(person["keypoints"], np.float32),
            "score": np.float32(person.get("score", np.nan)),
            "area": np.float32(person.get("area", np.nan)),
        }
    with atomic_path(path) as temporary, open(temporary, "wb") as file:
        np.savez(file, arr_0=array)


def _member(path: str | Path, name: str) -> bytes:
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
        if names.count(name) != 1:
            raise BadPickle(f"it holds {names[:5]} and not just one {name}")
        with archive.open(name) as file:
            data = file.read(MAX_BYTES + 1)
    if len(data) > MAX_BYTES:
        raise BadPickle("it unpacks to more than 16 MB")
    return data


def _read_npy(data: bytes) -> np.ndarray:
    file = io.BytesIO(data)
    version = np.lib.format.read_magic(file)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, _, dtype = read(file)
    if not dtype.hasobject:  # nobody in the picture: numpy makes a list without items a float array
        return np.lib.format.read_array(io.BytesIO(data), allow_pickle=False)
    shell = Machine(Stream(file, file.tell(), len(data) - file.tell()), OBJECT_ARRAYS).run()
    if not isinstance(shell, ArrayShell) or shell.shape != shape:
        raise BadPickle("its array is not the one its header announces")
    return shell.value()


def _person(item: Any) -> dict[str, Any]:
    person = plain(item)
    if not isinstance(person, dict) or not isinstance(person.get("keypoints"), np.ndarray):
        raise BadPickle(f"an entry of it is a {type(person).__name__} without keypoints")
    keypoints = person["keypoints"]
    if keypoints.dtype.kind not in "fiu" or keypoints.ndim != 2 or keypoints.shape[1] != 3:
        raise BadPickle(f"keypoints of shape {list(keypoints.shape)} instead of [K, 3]")
    return {
        "keypoints": keypoints.astype(np.float32),
        "score": _number(person.get("score")),
        "area": _number(person.get("area")),
    }


def _number(value: Any) -> float:
    array = np.asarray(np.nan if value is None else value)
    if array.dtype.kind not in "fiu" or array.size != 1:
        raise BadPickle("a score or area that is no number")
    return float(array.reshape(-1)[0])
