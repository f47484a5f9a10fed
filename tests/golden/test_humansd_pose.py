"""HumanSD's skeletons, OpenPose pictures, estimator and grouping against the original implementation's
output.
"""

import json
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from comfyui_figura.pipelines.common.weights import load_state_dict
from comfyui_figura.pipelines.humansd.skeleton import PALETTE, draw_skeleton
from comfyui_figura.pipelines.pose.canvas import canvas_for
from comfyui_figura.pipelines.pose.estimators import ae_grouping, higherhrnet
from comfyui_figura.pipelines.pose.oks import without_doubles
from comfyui_figura.pipelines.pose.openpose import from_frames, to_frames
from comfyui_figura.pipelines.pose.openpose_drawing import draw_openpose
from comfyui_figura.pipelines.pose.pose import Pose
from PIL import Image

DATA = Path(os.environ.get("FIGURA_GOLDEN") or Path(__file__).parent / "data") / "humansd"
CASES = json.loads((DATA / "skeleton_cases.json").read_text())
SKELETONS = sorted(name for name in CASES if not name.startswith("_"))
OPENPOSE = sorted(path.stem.removeprefix("openpose18_") for path in DATA.glob("openpose18_*.png"))


@pytest.fixture(scope="module")
def joints():
    with np.load(DATA / "skeleton_cases.npz", allow_pickle=False) as file:
        return dict(file)


def picture(name: str) -> np.ndarray:
    return np.asarray(Image.open(DATA / f"{name}.png").convert("RGB"))


@pytest.mark.parametrize("case", SKELETONS)
def test_skeletons_are_the_same_to_the_pixel(joints, case):
    """Equal with every OpenCV: run with 4.11, 4.14 and 5.0."""
    told = CASES[case]
    drawn = draw_skeleton(joints[case], told["height"], told["width"], told["threshold"])
    assert np.array_equal(drawn, picture(f"skeleton_{case}"))
    assert drawn.sum() == told["background_sum"]


@pytest.mark.parametrize("case", SKELETONS)
def test_skeletons_are_the_same_after_travelling_as_pose_keypoints(joints, case):
    told = CASES[case]
    size = told["height"], told["width"]
    frames = json.loads(json.dumps(to_frames([Pose(joints[case], size)])))
    pose = from_frames(frames)[0]
    assert np.array_equal(draw_skeleton(pose.people, *size, told["threshold"]), picture(f"skeleton_{case}"))


@pytest.mark.parametrize("case", OPENPOSE)
def test_openpose_pictures_are_the_same_to_the_pixel(joints, case):
    """Tighter than the set asks for (0.5 % of the pixels may differ by more than 2)."""
    told = CASES[case]
    drawn = draw_openpose(joints[case], told["height"], told["width"], told["threshold"])
    assert np.array_equal(drawn, picture(f"openpose18_{case}"))


def test_the_cases_are_there():
    assert len(SKELETONS) >= 5 and len(OPENPOSE) >= 2


def test_palette_and_canvas_rule():
    assert [list(colour) for colour in PALETTE] == CASES["_palette_rgb_0_255"]
    for name, expected in CASES["_resize_rule"].items():
        height, width = (int(side) for side in name.split("x"))
        assert list(canvas_for((height, width))) == expected, name


def test_higherhrnet_gives_the_same_heat_maps_and_tags():
    """1e-4: float32 sums in another order."""
    model = higherhrnet.load(DATA / "tiny_ckpt.safetensors")
    tensors = load_state_dict(DATA / "tensors.safetensors", prefix="hhrnet.")
    coarse, fine = model(tensors["hhrnet.input"])
    assert (coarse - tensors["hhrnet.out0"]).abs().max() < 1e-4
    assert (fine - tensors["hhrnet.out1"]).abs().max() < 1e-4
    assert tensors["hhrnet.out0"].abs().max() > 1e-2, "a test on zeros would prove nothing"


@pytest.fixture(scope="module")
def parser():
    return load_state_dict(DATA / "ae_parser.safetensors"), json.loads((DATA / "ae_parser.json").read_text())


def scenes() -> list[str]:
    names = load_state_dict(DATA / "ae_parser.safetensors")
    return sorted({name.split(".")[0] for name in names})


def by_score(people: np.ndarray, scores: np.ndarray) -> np.ndarray:
    return people[np.argsort(-scores)]


@pytest.mark.parametrize("scene", scenes())
def test_grouping_finds_the_same_people(parser, scene):
    """0.02 px and 1e-4 as the set allows; the order of people is free."""
    tensors = {name: value.numpy() for name, value in parser[0].items()}
    heatmaps, tags = (torch.from_numpy(tensors[f"{scene}.{name}"][0]) for name in ("heatmaps", "tags"))
    config = ae_grouping.GroupingConfig()
    matched = ae_grouping.match(*ae_grouping.peaks(heatmaps, tags, config), config)
    before = tensors[f"{scene}.matched_before_adjust"]
    assert matched.shape == before.shape
    assert np.allclose(
        by_score(matched, matched[..., 2].mean(1)), by_score(before, before[..., 2].mean(1)), atol=1e-4
    )
    people, scores = ae_grouping.group(heatmaps, tags)
    expected, given = tensors[f"{scene}.grouped"], tensors[f"{scene}.scores"]
    assert np.allclose(np.sort(scores), np.sort(given), atol=1e-4)
    found, wanted = by_score(people, scores), by_score(expected, given)
    assert np.abs(found[..., :2] - wanted[..., :2]).max() < 0.02
    assert np.abs(found[..., 2] - wanted[..., 2]).max() < 1e-4
    scale = 127 / (heatmaps.shape[-1] - 1)
    preds = by_score(tensors[f"{scene}.preds_udp_scale127"], given)
    assert np.abs(found[..., :2] * scale - preds[..., :2]).max() < 0.02 * scale


@pytest.mark.parametrize("scene", scenes())
def test_doubles_are_dropped_as_in_the_original(parser, scene):
    tensors, told = parser
    people = tensors[f"{scene}.preds_udp_scale127"].numpy()
    scores = tensors[f"{scene}.scores"].numpy()
    corners = people[..., :2].min(1), people[..., :2].max(1)
    areas = (corners[1] - corners[0]).prod(1)
    assert np.allclose(areas, told[f"{scene}.area"], rtol=1e-4)
    for name, kept in told.items():
        if name.startswith(f"{scene}.oks_nms_keep_thr"):
            threshold = float(name.split("_thr")[1])
            assert without_doubles(people, scores, areas, threshold).tolist() == kept
