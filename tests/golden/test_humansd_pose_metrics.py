"""AP, CAP and PCE against the released script, faults and all, and against the corrected numbers."""

import json
import math
import os
from pathlib import Path

import numpy as np
import pytest
from comfyui_figura.pipelines.humansd.evaluation.pose_metrics import NAMES, pose_scores, similarities

GOLDEN = Path(os.environ.get("FIGURA_GOLDEN") or Path(__file__).parent / "data") / "humansd_training"
pytest.importorskip("pycocotools")


def cases():
    path = GOLDEN / "pose_metrics.json"
    return list(json.loads(path.read_text())["cases"]) if path.is_file() else []


def given(case):
    """The case's pictures: poses asked for, poses found, how sure; and what is recorded."""
    about = json.loads((GOLDEN / "pose_metrics.json").read_text())
    with np.load(GOLDEN / "pose_metric_cases.npz") as file:
        columns = [
            [file[f"{case}.{name}{number}"] for number in range(about["cases"][case]["images"])]
            for name in ("gt", "det", "score")
        ]
    return columns, about["cases"][case], about["label_order"]


@pytest.mark.parametrize("form", ["corrected", "released"])
@pytest.mark.parametrize("case", cases())
def test_scores(case, form):
    columns, about, labels = given(case)
    want, scores = about[form], pose_scores(*columns, released=form == "released")
    assert list(NAMES) == labels
    for name, mine in (("AP", scores.ap), ("CAP", scores.cap)):
        if want[name] is not None:  # the corrected AP of nobody was not recorded
            assert mine == pytest.approx(want[name], abs=1e-9)
    assert math.isnan(scores.pce) if want["PCE"] is None else scores.pce == pytest.approx(want["PCE"])


@pytest.mark.parametrize("form", ["corrected", "released"])
@pytest.mark.parametrize("case", cases())
def test_similarities(case, form):
    (asked, found, scores), about, _ = given(case)
    for number, wanted in about[form]["similarity_matrix"].items():
        place = int(number)
        order = np.argsort(-scores[place], kind="mergesort")
        mine = similarities(asked[place], found[place][order], form == "released")
        for row, expected in zip(mine, wanted, strict=False):
            for value, one in zip(row, expected, strict=True):
                assert math.isnan(value) if one is None else value == pytest.approx(one, abs=1e-9)
