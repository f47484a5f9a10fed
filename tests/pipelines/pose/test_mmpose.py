"""mmpose's real code, in the environment that ``make test-mmpose`` builds; elsewhere these tests skip.

Weights are random: the tests show that the code runs and agrees with ours, not that it finds people well.
"""

import importlib.util
import os
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from comfyui_figura.pipelines.pose.estimators import higherhrnet, hrnet, mmpose_import, mmpose_models
from comfyui_figura.pipelines.pose.estimators.bottom_up import HigherHRNetEstimator
from comfyui_figura.pipelines.pose.library import ready_pose

if not mmpose_import.installed():
    pytest.skip("mmpose is not installed here: run `make test-mmpose`", allow_module_level=True)

ROOT = Path(__file__).parents[3]
REAL = Path(os.environ.get("FIGURA_REAL_DATA") or ROOT.parent / "shared" / "data") / "photos"
PHOTOGRAPHS = sorted(REAL.glob("*.jpg"))
TOP_DOWN = {
    "rtmpose-t_8xb256-420e_coco-256x192": 17,
    "rtmpose-s_8xb256-420e_humanart-256x192": 17,
    "rtmpose-m_8xb64-270e_coco-wholebody-256x192": 133,
}


def drawing() -> np.ndarray:
    """A coarse person in flat colours on a gradient, RGB [192, 128, 3]."""
    import cv2

    picture = np.linspace(60, 200, 192)[:, None, None].repeat(128, 1).repeat(3, 2).astype(np.uint8)
    joints = (ready_pose("standing").people[0, :, :2] / 4).astype(int).tolist()
    for a, b in (
        (5, 6),
        (5, 7),
        (7, 9),
        (6, 8),
        (8, 10),
        (5, 11),
        (6, 12),
        (11, 13),
        (13, 15),
        (12, 14),
        (14, 16),
    ):
        cv2.line(picture, joints[a], joints[b], (180, 60, 40), 7)
    cv2.circle(picture, joints[0], 8, (230, 190, 160), -1)
    return picture


def pictures() -> list[np.ndarray]:
    from PIL import Image

    found = [drawing()]
    for path in PHOTOGRAPHS:
        photograph = Image.open(path).convert("RGB")
        photograph.thumbnail((640, 640))
        found.append(np.asarray(photograph))
    return found


def quiet_tags(model: higherhrnet.HigherHRNet) -> None:
    """Random tags would make hundreds of people; equal ones make at most as many as peaks are looked at."""
    model.keypoint_head.final_layers[0].weight.data[17:] = 0


def test_stand_ins_are_gone_after_the_import():
    mmpose_import.import_mmpose()
    for name in ("mmdet", "mmdet.utils", "xtcocotools", "mmcv.ops"):
        module = sys.modules.get(name)
        assert module is None or module.__spec__ is not None, f"{name} still stands in"
    assert importlib.util.find_spec("mmdet") is None
    import mmcv

    assert not isinstance(getattr(mmcv, "ops", None), mmpose_import._CompiledOps)
    assert mmpose_import.import_mmpose() is sys.modules["mmpose.apis"]


def test_a_failed_import_leaves_nothing_behind(monkeypatch):
    from comfyui_figura.pipelines.common.errors import FiguraMissingPackage

    kept = {name: module for name, module in sys.modules.items() if name.split(".")[0] == "mmpose"}
    for name in kept:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "json_tricks", None)
    monkeypatch.setattr(mmpose_import, "NEEDED", ("mmpose",))
    monkeypatch.setattr(
        mmpose_import.importlib,
        "import_module",
        lambda name: (_ for _ in ()).throw(ImportError("no", name="x")),
    )
    monkeypatch.setattr(mmpose_import, "_modules", lambda: {"mmdet": mmpose_import._CompiledOps("mmdet")})
    with pytest.raises(FiguraMissingPackage, match="pip install"):
        mmpose_import.import_mmpose()
    assert "mmdet" not in sys.modules


@pytest.mark.parametrize("size", ["tiny", "w48"])
def test_higherhrnet_in_mmpose_equals_ours(tmp_path, size):
    """mmpose's backbone and ours with one checkpoint: equal people, on a drawing and on every photograph.

    1e-3 px: the same float32 operations in another order.
    """
    from comfyui_figura.pipelines.common.weights import save_state_dict

    torch.manual_seed(0)
    small = higherhrnet.HigherHRNetConfig(hrnet.tiny(), deconv=8, blocks=1)
    config = small if size == "tiny" else higherhrnet.HigherHRNetConfig(hrnet.w48())
    model = higherhrnet.HigherHRNet(config).eval()
    quiet_tags(model)
    path = tmp_path / "higherhrnet.safetensors"
    save_state_dict(path, model.state_dict())
    theirs, ours = mmpose_models.load(path), HigherHRNetEstimator(higherhrnet.load(path), side=128)
    theirs.side = 128
    assert type(theirs.model).__module__.startswith("mmpose.")
    assert type(theirs.model.backbone).__module__.startswith("mmpose.")
    for picture in pictures() if size == "tiny" else pictures()[:2]:
        (people, scores), (expected, given) = theirs(picture), ours(picture)
        assert people.shape == expected.shape and len(people) > 0
        assert np.allclose(people, expected, atol=1e-3) and np.allclose(scores, given, atol=1e-5)


@pytest.mark.parametrize("name", TOP_DOWN)
def test_top_down_estimators_run(name):
    torch.manual_seed(0)
    estimator = mmpose_models.MMPoseEstimator(mmpose_models.build(mmpose_models.find_config("", name)))
    assert estimator.needs_boxes
    for picture in pictures():
        height, width = picture.shape[:2]
        boxes = np.array([[0, 0, width / 2, height], [width / 2, 0, width, height]], np.float32)
        people, scores = estimator(picture, boxes)
        assert people.shape == (2, TOP_DOWN[name], 3) and scores.shape == (2,)
        assert np.isfinite(people).all()
        assert len(estimator(picture)[0]) == 1, "without boxes the whole picture is one person"


def test_bottom_up_estimator_runs():
    torch.manual_seed(0)
    config = mmpose_models.find_config("", "ae_hrnet-w32_8xb24-300e_coco-512x512")
    estimator = mmpose_models.MMPoseEstimator(mmpose_models.build(config))
    people, scores = estimator(drawing())
    assert not estimator.needs_boxes
    assert people.shape[1:] == (17, 3) and len(people) == len(scores)


def test_a_checkpoint_loads_by_its_published_name(tmp_path):
    torch.manual_seed(0)
    name = "rtmpose-t_8xb256-420e_coco-256x192"
    model = mmpose_models.build(mmpose_models.find_config("", name))
    path = tmp_path / f"{name}-random.pth"
    torch.save({"state_dict": model.state_dict(), "meta": {}}, path)
    loaded = mmpose_models.load(path)
    same = zip(model.state_dict().values(), loaded.model.state_dict().values(), strict=True)
    assert all(torch.equal(a, b) for a, b in same)


PUBLISHED = {
    "rtmpose-m_8xb256-420e_humanart-256x192-8430627b_20230611.pth": "rtmpose-m_8xb256-420e_humanart-256x192",
    "rtmpose-m_simcc-aic-coco_pt-aic-coco_420e-256x192-63eb25f7_20230126.pth": (
        "rtmpose-m_8xb256-420e_aic-coco-256x192"
    ),
}


@pytest.mark.parametrize("checkpoint, config", PUBLISHED.items())
def test_published_checkpoints_find_their_configuration(checkpoint, config):
    assert mmpose_models.find_config(checkpoint).stem == config


def test_unknown_checkpoints_and_configurations_are_told():
    from comfyui_figura.pipelines.common.errors import FiguraInputError

    with pytest.raises(FiguraInputError, match="mystery.pth"):
        mmpose_models.find_config("mystery.pth")
    with pytest.raises(FiguraInputError, match="config"):
        mmpose_models.find_config("x.pth", "../../secret")


def test_the_photographs_were_there():
    if not PHOTOGRAPHS:
        pytest.skip("no photographs: set FIGURA_REAL_DATA to the folder that holds photos/")
    assert len(pictures()) == len(PHOTOGRAPHS) + 1
