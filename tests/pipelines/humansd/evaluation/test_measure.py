"""``figura humansd measure``: pictures, poses and estimator brought together; an estimator that knows."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from comfyui_figura.pipelines.common.errors import FiguraInputError
from comfyui_figura.pipelines.common.images import write_png
from comfyui_figura.pipelines.humansd.commands import measure as command
from comfyui_figura.pipelines.humansd.evaluation import measure
from comfyui_figura.pipelines.humansd.evaluation.configs import MeasureConfig
from comfyui_figura.pipelines.humansd.evaluation.pose_metrics import pose_scores
from comfyui_figura.pipelines.pose.canvas import canvas_for, fit_to
from comfyui_figura.pipelines.pose.files import save_poses
from comfyui_figura.pipelines.pose.library import ready_pose
from comfyui_figura.pipelines.pose.pose import Pose, empty

POSES = ("dancing", "three_people")


class Brightness:
    """Features that a test can predict."""

    def features(self, pixels):
        return torch.stack([pixels.mean((1, 2, 3)), pixels.amax((1, 2, 3))], 1)


@pytest.fixture
def asked(tmp_path):
    """Two poses, their pictures of two seeds each, and the skeletons beside them."""
    for name in POSES:
        pose = ready_pose(name)
        save_poses(tmp_path / "poses" / name, [pose], "npz")
        height, width = canvas_for(pose.size)
        for seed in (7, 8):
            picture = torch.full((height // 8, width // 8, 3), 0.1 * seed)
            write_png(tmp_path / "pictures" / f"{name}_{seed}.png", picture)
        write_png(tmp_path / "pictures" / f"{name}_skeleton.png", torch.zeros(16, 16, 3))
    return MeasureConfig(tmp_path / "pictures", tmp_path / "poses", out=tmp_path / "numbers.json")


def knowing(shift=0.0, lost=0):
    """An estimator that finds everybody where they were asked for, ``shift`` pixels beside it."""

    def estimated(paths, config, device):
        for path in paths:
            pose = ready_pose(path.stem.rpartition("_")[0])
            height, width = (side // 8 for side in canvas_for(pose.size))
            there = fit_to(pose, (height, width), "contain")
            people = there.people[lost:] + np.array((shift, 0, 0))
            yield path.stem, Pose(people, (height, width), np.linspace(1, 0.5, len(people)))

    return estimated


def test_what_was_asked_for_is_found(asked, monkeypatch, capsys):
    monkeypatch.setattr(measure, "estimated", knowing())
    command(asked)
    numbers = json.loads(asked.out.read_text())
    assert json.loads(capsys.readouterr().out) == numbers
    assert numbers["pictures"] == 4 and numbers["pce"] == 0
    assert numbers["ap"]["AP"] == pytest.approx(1) and numbers["cap"]["AP"] == pytest.approx(1)
    assert "fid" not in numbers


def test_what_is_not_there_costs(asked, monkeypatch):
    monkeypatch.setattr(measure, "estimated", knowing(shift=9))
    beside = measure.measured(asked)
    assert beside["ap"]["AP"] < 0.1 and beside["cap"]["AP"] == pytest.approx(1)  # CAP does not see it
    monkeypatch.setattr(measure, "estimated", knowing(lost=1))
    lost = measure.measured(asked)
    assert lost["pce"] == 1 and 0 < lost["ap"]["AP"] < 0.8


def test_likeness_to_real_pictures(asked, monkeypatch, tmp_path):
    monkeypatch.setattr(measure, "estimated", knowing())
    monkeypatch.setattr(measure, "feature_network", lambda place: Brightness())
    for number in range(6):
        write_png(tmp_path / "real" / f"{number}.png", torch.rand(16, 24, 3))
    same = replace(asked, real=asked.pictures, detector="test:Brightness")
    other = replace(asked, real=tmp_path / "real", detector="test:Brightness")
    assert measure.measured(same)["fid"] < measure.measured(other)["fid"]
    assert set(measure.measured(other)) >= {"fid", "kid", "kid_deviation"}


def test_bad_input(asked, monkeypatch, tmp_path):
    monkeypatch.setattr(measure, "estimated", knowing())
    empty_folder = tmp_path / "empty"
    empty_folder.mkdir()
    for change, message in (
        ({"pictures": empty_folder}, "without such files"),
        ({"pictures": tmp_path / "nowhere"}, "not there"),
        ({"poses": asked.poses / "dancing.npz"}, "without its pose"),
        ({"real": empty_folder}, "both"),
        ({"kid_subset": 1}, "kid-subset"),
        ({"detection_thresh": float("nan")}, "detection_thresh"),
        ({"out": empty_folder}, "folder"),
        ({"real": asked.pictures, "detector": "json:dumps"}, "detector"),
    ):
        with pytest.raises(FiguraInputError, match=message):
            measure.measured(replace(asked, **change))


def test_nobody_anywhere():
    nobody = [empty((64, 64)).people]
    scores = pose_scores(nobody, nobody, [np.zeros(0)])
    assert set(scores.ap.values()) == set(scores.cap.values()) == {-1.0} and scores.pce == 0
    with pytest.raises(FiguraInputError, match="one of each"):
        pose_scores(nobody, [], [np.zeros(0)])
