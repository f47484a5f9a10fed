"""Poses found in pictures against the poses that were asked for: AP, CAP and PCE (paper section 5.2).

AP is COCO's, by pycocotools. CAP is the paper's: the same with the cosine of two scaled poses in place of
OKS. It hardly sees where anybody stands: shifted, mirrored and even upside-down people score 0.9 to 1, so it
is no pose accuracy. PCE is how many people are too many or too few. ``released=True`` gives the numbers of
the released script with its faults, for comparison with published ones.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...common.errors import FiguraInputError, FiguraMissingPackage
from ...pose.oks import SIGMAS

NAMES = ("AP", "AP50", "AP75", "AP_medium", "AP_large", "AR", "AR50", "AR75", "AR_medium", "AR_large")
MOST = 20  # detections of a picture that count


@dataclass(frozen=True)
class PoseScores:
    """AP and CAP with their variants by name (-1: nobody of that size was asked for), and PCE."""

    ap: dict[str, float]
    cap: dict[str, float]
    pce: float


def pose_scores(
    asked: Sequence[np.ndarray],
    found: Sequence[np.ndarray],
    scores: Sequence[np.ndarray],
    released: bool = False,
) -> PoseScores:
    """Score a set of pictures.

    Args:
        asked: per picture the poses asked for, [P, 17, 3]; a joint with score 0 does not count.
        found: per picture the poses found in it, [D, 17, 3].
        scores: how sure each of them is, [D].
        released: with the released script's faults: areas that take in missing joints at (-1, -1); detected
            heights that CAP replaces by widths; PCE over the wrong pictures.

    Raises:
        FiguraInputError: lists of different length. FiguraMissingPackage: no pycocotools.
    """
    if not len(asked) == len(found) == len(scores):
        came = f"{len(asked)} poses, {len(found)} findings, {len(scores)} scores"
        raise FiguraInputError("pictures", came, "one of each per picture")
    truth, guesses = _truth(asked, released), _guesses(found, scores)
    alike = {
        number: similarities(people, _surest(people_found, sure), released)
        for number, (people, people_found, sure) in enumerate(zip(asked, found, scores, strict=True), 1)
    }
    counts = [(len(people), len(people_found)) for people, people_found in zip(asked, found, strict=True)]
    if released:  # counts pictures from the first, as many as have people
        counts = counts[: sum(given > 0 for given, _ in counts)]
    pce = float(np.mean([abs(given - seen) for given, seen in counts])) if counts else float("nan")
    return PoseScores(_evaluated(truth, guesses), _evaluated(truth, guesses, alike), pce)


def similarities(asked: np.ndarray, found: np.ndarray, released: bool = False) -> np.ndarray:
    """CAP's similarity of every pose found [D, 17, 3] with every pose asked for [P, 17, 3]: [D, P].

    The joints that were asked for, each divided by COCO's sigma; each axis scaled to 0..1 and then to length
    1; the cosine of the two. An axis without extent counts as zeros.
    """
    matrix = np.zeros((len(found), len(asked)))
    for column, person in enumerate(asked):
        there = person[:, 2] > 0
        wanted = _scaled(person[there, :2], SIGMAS[there])
        for row, guess in enumerate(found):
            seen = _scaled(guess[there, :2], SIGMAS[there], faulty=released)
            matrix[row, column] = _cosine(wanted.ravel(), seen.ravel(), released)
    return matrix


def _scaled(points: np.ndarray, sigmas: np.ndarray, faulty: bool = False) -> np.ndarray:
    """Joints [J, 2] as two axes [2, J] of length 1."""
    axes = (np.asarray(points, np.float64) / sigmas[:, None]).T
    low, high = axes.min(1, keepdims=True), axes.max(1, keepdims=True)
    extent = high - low
    with np.errstate(divide="ignore", invalid="ignore"):
        axes = (axes - low) / (extent if faulty else np.where(extent > 0, extent, 1))
        lengths = np.linalg.norm(axes, axis=1, keepdims=True)
        if faulty:
            width = axes[0] / lengths[0]
            return np.stack([width, width / lengths[1]])
        return axes / np.where(lengths > 0, lengths, 1)


def _cosine(one: np.ndarray, other: np.ndarray, faulty: bool) -> float:
    lengths = np.linalg.norm(one) * np.linalg.norm(other)
    if not faulty and not lengths:
        return 0.0
    with np.errstate(divide="ignore", invalid="ignore"):
        return float(one @ other / lengths)


def _surest(found: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """The poses that count, surest first, as COCO orders them."""
    return found[np.argsort(-np.asarray(scores), kind="mergesort")[:MOST]]


def _truth(asked: Sequence[np.ndarray], released: bool) -> Any:
    annotations = []
    for number, people in enumerate(asked, 1):
        for person in people:
            there = person[:, 2] > 0
            points = person if released else person[there]
            joints = np.where(there[:, None], np.column_stack([person[:, :2], np.full(17, 2)]), 0)
            annotations.append(_annotation(len(annotations) + 1, number, joints, _box(points)) | {
                "num_keypoints": int(there.sum()), "ignore": 0,
            })  # fmt: skip
    return _coco(annotations, len(asked))


def _guesses(found: Sequence[np.ndarray], scores: Sequence[np.ndarray]) -> Any:
    annotations = [
        _annotation(place, number, guess, _box(guess)) | {"score": float(sure)}
        for place, (number, guess, sure) in enumerate(
            (
                (number, guess, sure)
                for number, (people, sures) in enumerate(zip(found, scores, strict=True), 1)
                for guess, sure in zip(people, sures, strict=True)
            ),
            1,
        )
    ]
    return _coco(annotations, len(found))


def _box(points: np.ndarray) -> tuple[float, float, float, float]:
    """x, y, width, height of joints [J, 2+]; zeros where there are none."""
    if not len(points):
        return 0.0, 0.0, 0.0, 0.0
    (left, top), (right, bottom) = points[:, :2].min(0), points[:, :2].max(0)
    return float(left), float(top), float(right - left), float(bottom - top)


def _annotation(own: int, picture: int, joints: np.ndarray, box: tuple[float, ...]) -> dict[str, Any]:
    return {
        "id": own, "image_id": picture, "category_id": 1, "iscrowd": 0, "bbox": list(box),
        "area": box[2] * box[3], "keypoints": np.asarray(joints, np.float64).ravel().tolist(),
    }  # fmt: skip


def _coco(annotations: list[dict[str, Any]], pictures: int) -> Any:
    try:
        from pycocotools.coco import COCO
    except ImportError as error:
        raise FiguraMissingPackage("pycocotools", "AP and CAP", "pip install pycocotools") from error
    known: Any = COCO()
    known.dataset = {
        "images": [{"id": number} for number in range(1, pictures + 1)],
        "categories": [{"id": 1, "name": "person"}], "annotations": annotations,
    }  # fmt: skip
    with contextlib.redirect_stdout(io.StringIO()):
        known.createIndex()
    return known


def _evaluated(truth: Any, guesses: Any, alike: dict[int, np.ndarray] | None = None) -> dict[str, float]:
    """COCO's ten numbers; with ``alike`` by that similarity in place of OKS."""
    from pycocotools.cocoeval import COCOeval

    with contextlib.redirect_stdout(io.StringIO()):
        judge: Any = COCOeval(truth, guesses, "keypoints")
        if alike is not None:
            judge.computeOks = lambda picture, _: alike[picture] if alike[picture].size else []
        judge.evaluate()
        judge.accumulate()
        judge.summarize()
    return dict(zip(NAMES, map(float, judge.stats), strict=True))
