"""Estimators: places in source pixels, checkpoints by content, what is kept, and what is told."""

import sys
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from comfyui_figura.pipelines.common.errors import FiguraInputError, FiguraMissingPackage, FiguraWeightsError
from comfyui_figura.pipelines.common.weights import save_state_dict
from comfyui_figura.pipelines.demo.pose import DETECTOR, HIGHERHRNET, VITPOSE, write_models
from comfyui_figura.pipelines.pose import detect
from comfyui_figura.pipelines.pose.conventions import COCO_MIRROR
from comfyui_figura.pipelines.pose.estimators import higherhrnet, hrnet, mmpose_import, rtmlib_models
from comfyui_figura.pipelines.pose.estimators.bottom_up import (
    HigherHRNetEstimator,
    input_size,
    predict,
    prepare,
)
from comfyui_figura.pipelines.pose.estimators.estimate import DetectConfig, estimate
from comfyui_figura.pipelines.pose.estimators.load import (
    backend_of,
    load_estimator,
    load_person_detector,
)


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    root = tmp_path_factory.mktemp("models")
    write_models(root)
    return root / "pose_estimators"


class Peaks(torch.nn.Module):
    """Stands for a network: finds the seventeen dots that the test painted, told by their red and green."""

    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1))

    def heatmaps_and_tags(self, pixels):
        red = pixels[:, :1, ::2, ::2] * 0.229 + 0.485
        green = pixels[:, 1:2, ::2, ::2] * 0.224 + 0.456
        levels = torch.arange(1, 18).view(1, 17, 1, 1) / 18
        distance = (red - levels) ** 2 + (green - 1 + levels) ** 2
        return torch.exp(-distance / 0.02**2), torch.zeros(1, 17, *red.shape[2:])


@pytest.mark.parametrize("height, width", [(512, 512), (300, 500), (700, 410)])
def test_joints_come_back_in_pixels_of_the_picture(height, width):
    """Dots painted at known places are found there: all inside the dot, and on both axes alike."""
    picture = np.zeros((height, width, 3), np.uint8)
    places = np.array([[40 + 19 * j, 30 + (j * 67) % (height - 60)] for j in range(17)])
    for joint, (x, y) in enumerate(places):
        level = (joint + 1) / 18 * 255
        picture[y - 6 : y + 7, x - 6 : x + 7] = round(level), round(255 - level), 0
    people, _ = HigherHRNetEstimator(Peaks(), flip=False)(picture)  # pyright: ignore[reportArgumentType]
    best = people[0]
    assert np.abs(best[:, :2] - places).max() < 8.5, "inside the dot"
    assert np.abs((best[:, :2] - places).mean(0)).max() < 6


def test_udp_maps_corner_to_corner():
    """The first and last pixel centres of the short side are those of the input."""
    ramp = np.tile(np.linspace(0, 255, 300).astype(np.uint8)[:, None, None], (1, 500, 3))
    pixels, span = prepare(ramp)
    assert pixels.shape[2:] == (512, 896) and input_size(300, 500) == (512, 896)
    grey = pixels[0, 0] * 0.229 + 0.485
    assert abs(grey[0, 0]) < 1e-3 and abs(grey[-1, 0] - 1) < 1e-2
    assert np.allclose(span, [895 / 511 * 299, 299])


def test_the_mirrored_pass_makes_the_result_symmetric():
    """Seen twice, a mirrored picture gives the mirrored maps with left and right swapped; once it would
    not.
    """
    torch.manual_seed(0)
    model = higherhrnet.HigherHRNet(higherhrnet.HigherHRNetConfig(hrnet.tiny(), deconv=8, blocks=1)).eval()
    pixels = torch.randn(1, 3, 64, 64)
    heatmaps, _ = predict(model, pixels, flip=True)
    mirrored, _ = predict(model, pixels.flip(-1), flip=True)
    assert torch.allclose(mirrored.flip(-1)[torch.as_tensor(COCO_MIRROR)], heatmaps, atol=1e-5)


@pytest.mark.parametrize("prefix", ["", "mmpose_model."])
@pytest.mark.parametrize("kind", ["safetensors", "mmpose .pth"])
def test_released_layouts_load(tmp_path, prefix, kind):
    torch.manual_seed(0)
    config = higherhrnet.HigherHRNetConfig(hrnet.tiny(), deconv=8, blocks=1)
    model = higherhrnet.HigherHRNet(config).eval()
    state = {prefix + name: value for name, value in model.state_dict().items()}
    path = tmp_path / "model.pth"
    if kind == "safetensors":
        save_state_dict(path, state)
    else:
        torch.save({"meta": {"epoch": 1, "CLASSES": ["person"]}, "state_dict": state, "optimizer": {}}, path)
    loaded = higherhrnet.load(path)
    assert loaded.config == config
    pixels = torch.randn(1, 3, 64, 64)
    assert all(torch.equal(a, b) for a, b in zip(loaded(pixels), model(pixels), strict=True))


def test_sizes_are_told_from_shapes():
    for backbone, deconv in ((hrnet.w48(), 48), (hrnet.w32(), 32)):
        config = higherhrnet.HigherHRNetConfig(backbone, deconv=deconv)
        with torch.device("meta"):
            state = higherhrnet.HigherHRNet(config).state_dict()
        header = {name: (value.dtype, tuple(value.shape)) for name, value in state.items()}
        assert higherhrnet.config_of(header) == config


def test_w48_has_the_released_number_of_parameters():
    with torch.device("meta"):
        model = higherhrnet.HigherHRNet(higherhrnet.HigherHRNetConfig(hrnet.w48()))
    assert sum(parameter.numel() for parameter in model.parameters()) == 63_827_139


def test_incomplete_and_foreign_checkpoints_are_told(tmp_path, models):
    state = higherhrnet.HigherHRNet(
        higherhrnet.HigherHRNetConfig(hrnet.tiny(), deconv=8, blocks=1)
    ).state_dict()
    path = tmp_path / "model.safetensors"
    for drop in (
        "backbone.stage3.0.branches.1.0.conv2.weight",
        "backbone.stage2.0.branches.0.0.conv1.weight",
    ):
        save_state_dict(path, {name: value for name, value in state.items() if name != drop})
        with pytest.raises(FiguraWeightsError, match="model.safetensors"):
            higherhrnet.load(path)
    save_state_dict(path, {"conv.weight": torch.zeros(2)})
    with pytest.raises(FiguraWeightsError, match="HigherHRNet"):
        higherhrnet.load(path)
    (models / VITPOSE / "config.json").rename(models / "config.json")
    try:
        with pytest.raises(FiguraWeightsError, match="config.json"):
            load_estimator("vitpose", models / VITPOSE)
    finally:
        (models / "config.json").rename(models / VITPOSE / "config.json")
    with pytest.raises(FiguraWeightsError, match="rt_detr"):
        load_estimator("vitpose", models / DETECTOR)
    with pytest.raises(FiguraWeightsError, match="vitpose"):
        load_person_detector(models / VITPOSE)


def test_a_folder_with_half_its_weights_is_told(models, tmp_path):
    import shutil

    from comfyui_figura.pipelines.common.weights import load_state_dict

    folder = shutil.copytree(models / VITPOSE, tmp_path / "half")
    state = load_state_dict(folder)
    save_state_dict(folder / "model.safetensors", dict(list(state.items())[::2]))
    with pytest.raises(FiguraWeightsError, match="half"):
        load_estimator("vitpose", folder)


def test_backends_are_told_from_files(models, tmp_path):
    assert backend_of(models / VITPOSE) == "vitpose"
    assert backend_of(models / HIGHERHRNET) == "higherhrnet"
    assert backend_of(tmp_path / "x.onnx") == "rtmlib"


def test_batch_size_changes_nothing(models):
    estimator = load_estimator("auto", models / VITPOSE)
    image = torch.rand(3, 120, 90, 3, generator=torch.Generator().manual_seed(0))
    together = estimate(image, estimator, config=DetectConfig(threshold=0))
    for index, pose in enumerate(together):
        alone = estimate(image[index : index + 1], estimator, config=DetectConfig(threshold=0))[0]
        assert np.array_equal(alone.people, pose.people)


def test_fifty_boxes_are_fifty_people(models):
    estimator = load_estimator("vitpose", models / VITPOSE)
    rng = np.random.default_rng(0)
    low = rng.uniform(0, 100, (50, 2))
    boxes = np.concatenate([low, low + rng.uniform(20, 60, (50, 2))], axis=1)
    [pose] = estimate(torch.rand(1, 200, 200, 3), estimator, boxes=boxes, config=DetectConfig(threshold=0))
    assert len(pose) == 50


def test_boxes_outside_the_picture_are_nobody(models):
    estimator = load_estimator("vitpose", models / VITPOSE)
    boxes = np.array([[500, 500, 600, 600], [-50, -50, 0.2, 0.2]])
    [pose] = estimate(torch.rand(1, 64, 64, 3), estimator, boxes=boxes)
    assert len(pose) == 0 and pose.size == (64, 64)


def test_thresholds_drop_joints_and_people():
    joints = np.zeros((2, 17, 3))
    joints[..., :2] = np.arange(34).reshape(17, 2)
    joints[0, :, 2], joints[1, :2, 2] = 0.9, 0.9
    joints[0, 5, 2] = 0.3
    fake = SimpleNamespace(needs_boxes=False, modules=[])
    estimator = type(
        "Fake", (), {"__call__": lambda self, picture, boxes=None: (joints.copy(), [0.9, 0.1])}
    )()
    estimator.needs_boxes = fake.needs_boxes
    [pose] = estimate(torch.rand(1, 64, 64, 3), estimator, config=DetectConfig(threshold=0.3))
    assert len(pose) == 1, "the second has too few joints"
    assert (pose.people[0, 5] == 0).all() and pose.people[0, 6, 2] == 0.9
    [pose] = estimate(torch.rand(1, 64, 64, 3), estimator, config=DetectConfig(0.3, 0.95))
    assert len(pose) == 0


def test_detect_file_uses_the_folder_named_by_the_environment(models, tmp_path, monkeypatch):
    from PIL import Image

    Image.fromarray(np.random.default_rng(0).integers(0, 256, (80, 60, 3), np.uint8)).save(tmp_path / "p.png")
    monkeypatch.setenv(detect.FOLDER, str(models))
    detect._estimator.cache_clear(), detect._detector.cache_clear()
    config = DetectConfig(threshold=0)
    assert detect.detect_file(tmp_path / "p.png", config=config).size == (80, 60)
    monkeypatch.setenv(detect.FOLDER, str(tmp_path / "nowhere"))
    detect._estimator.cache_clear()
    with pytest.raises(FiguraInputError, match="pose estimator"):
        detect.detect_file(tmp_path / "p.png")


@pytest.mark.skipif(mmpose_import.installed(), reason="mmpose is installed here")
def test_missing_packages_name_one_command(models):
    with pytest.raises(FiguraMissingPackage) as caught:
        load_estimator("mmpose", models / HIGHERHRNET)
    assert mmpose_import.INSTALL in str(caught.value)
    assert "mmdet" not in sys.modules and "xtcocotools" not in sys.modules


def test_the_command_is_the_documented_one():
    from pathlib import Path

    text = (Path(__file__).parents[3] / "docs" / "mmpose.md").read_text()
    assert mmpose_import.INSTALL in text


class FakeRTMLib:
    """What rtmlib offers, without onnxruntime."""

    @staticmethod
    def RTMPose(path, model_input_size, to_openpose, backend, device):
        def run(bgr, bboxes):
            joints = np.array([[[x0, y0]] * 133 for x0, y0, _, _ in bboxes])
            return joints, np.full((len(bboxes), 133), float(bgr[0, 0, 2]) / 255)

        return run

    ViTPose = RTMPose


def test_rtmlib_gets_blue_first_and_local_files_only(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "rtmlib", FakeRTMLib)
    monkeypatch.setattr(rtmlib_models, "_input_size", lambda path: (192, 256))
    estimator = rtmlib_models.load(tmp_path / "rtmw.onnx")
    red = torch.zeros(1, 40, 30, 3)
    red[..., 0] = 1
    boxes = np.array([[3, 4, 20, 30]])
    [pose] = estimate(red, estimator, boxes=boxes, config=DetectConfig(threshold=0.5))
    assert pose.people[0, 0].tolist() == [3, 4, 1]
    monkeypatch.undo()
    with pytest.raises(FiguraInputError):
        rtmlib_models.load(tmp_path / "missing.onnx")
