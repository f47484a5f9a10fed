"""The pose nodes in process: what they give, and what they say to bad input."""

import json

import numpy as np
import pytest
import torch

pytest.importorskip("comfy", reason="no ComfyUI: set COMFYUI_PATH")

import folder_paths  # noqa: E402
from comfyui_figura.nodes.pose import NODES, bridge  # noqa: E402
from comfyui_figura.nodes.pose.detect import FiguraPoseDetect  # noqa: E402
from comfyui_figura.nodes.pose.draw import FiguraPoseDraw, FiguraPoseOverlay  # noqa: E402
from comfyui_figura.nodes.pose.edit import (  # noqa: E402
    FiguraPoseBlend,
    FiguraPoseFitCanvas,
    FiguraPoseMerge,
    FiguraPosePick,
    FiguraPoseRetarget,
    FiguraPoseTransform,
)
from comfyui_figura.nodes.pose.files import (  # noqa: E402
    FiguraPoseLibrary,
    FiguraPoseLoad,
    FiguraPoseSave,
)
from comfyui_figura.pipelines.common.errors import FiguraInputError, FiguraMissingPackage  # noqa: E402
from comfyui_figura.pipelines.demo.pose import DETECTOR, HIGHERHRNET, VITPOSE, write_models  # noqa: E402
from comfyui_figura.pipelines.humansd.skeleton import draw_skeleton  # noqa: E402
from comfyui_figura.pipelines.pose.estimators import mmpose_import  # noqa: E402
from comfyui_figura.pipelines.pose.library import pose_names, ready_pose  # noqa: E402

EDITS = {
    "fit": lambda pose: FiguraPoseFitCanvas.execute(pose, 640, 384, "contain"),
    "transform": lambda pose: FiguraPoseTransform.execute(pose, 1.2, 10.0, 0.1, 0.0, True, "each person"),
    "blend": lambda pose: FiguraPoseBlend.execute(pose, ready("sitting"), 0.5),
    "blend, as second": lambda pose: FiguraPoseBlend.execute(ready("sitting"), pose, 0.5),
    "retarget": lambda pose: FiguraPoseRetarget.execute(pose, 1.0, 1.0, 1.0, 1.0, 1.0, 1.3),
    "reference": lambda pose: FiguraPoseRetarget.execute(
        ready("sitting"), 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, reference=pose
    ),
    "pick": lambda pose: FiguraPosePick.execute(pose, 1, "area", 0.05),
    "merge": lambda pose: FiguraPoseMerge.execute(pose, ready("walking"), "contain"),
    "draw": lambda pose: FiguraPoseDraw.execute(pose, "humansd", 0.05),
    "draw openpose": lambda pose: FiguraPoseDraw.execute(pose, "openpose18", 0.05),
    "overlay": lambda pose: FiguraPoseOverlay.execute(picture(), pose, "humansd", 0.05, "both"),
    "save": lambda pose: FiguraPoseSave.execute(pose, "poses/x", "json"),
}


@pytest.fixture(scope="module", autouse=True)
def folders(tmp_path_factory):
    """Model, input and output folders of our own, with tiny estimators."""
    root = tmp_path_factory.mktemp("comfy")
    write_models(root / "models")
    before = folder_paths.folder_names_and_paths[bridge.FOLDER]
    kept = folder_paths.get_input_directory(), folder_paths.get_output_directory()
    folder_paths.folder_names_and_paths[bridge.FOLDER] = ([str(root / "models" / bridge.FOLDER)], before[1])
    folder_paths.filename_list_cache.clear()
    setters = (("input", folder_paths.set_input_directory), ("output", folder_paths.set_output_directory))
    for name, setter in setters:
        (root / name).mkdir()
        setter(str(root / name))
    yield root
    folder_paths.folder_names_and_paths[bridge.FOLDER] = before
    folder_paths.set_input_directory(kept[0])
    folder_paths.set_output_directory(kept[1])
    folder_paths.filename_list_cache.clear()
    bridge._loaded.clear()


@pytest.fixture(autouse=True)
def as_comfyui_runs():
    with torch.inference_mode():
        yield


def ready(name="standing"):
    return FiguraPoseLibrary.execute(name).result[0]


def picture(batch=1, height=200, width=160):
    generator = torch.Generator().manual_seed(0)
    return torch.rand(batch, height, width, 3, generator=generator)


def detect(image=None, backend="auto", model=VITPOSE, detector="whole picture", threshold=0.0, **others):
    arguments = {"max_people": 0, "order": "area", "if_nobody": "blank"} | others
    image = picture() if image is None else image
    return FiguraPoseDetect.execute(image, backend, model, detector, threshold, **arguments).result


def check_image_output(image, count):
    assert image.dtype == torch.float32 and image.is_contiguous() and image.shape[0] == count
    assert image.shape[3] == 3 and 0 <= image.min() and image.max() <= 1


def test_combos_list_folders_and_files(folders):
    assert bridge.estimator_names() == [VITPOSE, HIGHERHRNET]
    assert bridge.detector_names() == ["whole picture", DETECTOR]


@pytest.mark.parametrize("name", pose_names())
def test_every_ready_pose_is_drawn_as_the_pipelines_do(name):
    pose, width, height = FiguraPoseLibrary.execute(name).result
    image = FiguraPoseDraw.execute(pose, "humansd", 0.05).result[0]
    check_image_output(image, 1)
    expected = draw_skeleton(ready_pose(name).people, height, width)
    assert (image[0] * 255 - torch.from_numpy(expected).float()).abs().max() < 1e-3


@pytest.mark.parametrize("edit", EDITS)
def test_nodes_take_several_frames(edit):
    frames = ready() + ready("dancing")
    if edit == "reference":
        assert len(EDITS[edit](frames).result[0]) == 1
        return
    before = json.dumps(frames)
    out = EDITS[edit](frames).result[0]
    assert len(out) == 2 and json.dumps(frames) == before, "inputs must not be written"


@pytest.mark.parametrize("edit", [name for name in EDITS if name not in ("reference",)])
def test_nodes_take_nobody(edit):
    EDITS[edit]([{"people": [], "canvas_width": 64, "canvas_height": 96}])


def test_a_reference_without_people_is_told():
    with pytest.raises(FiguraInputError, match="reference"):
        EDITS["reference"]([{"people": [], "canvas_width": 64, "canvas_height": 96}])


BAD_POSES = {
    "none": None,
    "a word": "pose",
    "empty list": [],
    "list of numbers": [1, 2],
    "people a number": [{"people": 3, "canvas_width": 9, "canvas_height": 9}],
    "person a string": [{"people": ["x"], "canvas_width": 9, "canvas_height": 9}],
    "joints a string": [{"people": [{"pose_keypoints_2d": "abc"}], "canvas_width": 9, "canvas_height": 9}],
    "not three each": [
        {"people": [{"pose_keypoints_2d": [1.0] * 50}], "canvas_width": 9, "canvas_height": 9}
    ],
    "nineteen joints": [{"people": [{"pose_keypoints_2d": [1.0] * 57}]}],
    "negative canvas": [{"people": [], "canvas_width": -9, "canvas_height": 9}],
    "huge canvas": [{"people": [], "canvas_width": 10**9, "canvas_height": 9}],
    "canvas a word": [{"people": [], "canvas_width": "wide", "canvas_height": 9}],
    "an image": torch.zeros(1, 8, 8, 3),
}


@pytest.mark.parametrize("bad", BAD_POSES)
@pytest.mark.parametrize("edit", EDITS)
def test_bad_poses_are_told(edit, bad):
    if (edit, bad) == ("reference", "none"):
        return  # an optional input left open
    with pytest.raises(FiguraInputError) as caught:
        EDITS[edit](BAD_POSES[bad])
    assert caught.value.what and caught.value.got and caught.value.wanted


@pytest.mark.parametrize("edit", [name for name in EDITS if name not in ("reference", "blend, as second")])
def test_broken_joints_are_missing_joints(edit):
    frames = ready()
    keypoints = frames[0]["people"][0]["pose_keypoints_2d"]
    keypoints[0:3] = [float("nan"), 1.0, 1.0]
    keypoints[9:12] = [1e30, -1e30, 1.0]
    keypoints[12:15] = [float("inf"), 0.0, 1.0]
    EDITS[edit](frames)


def test_fifty_people():
    people = [person for _ in range(10) for person in ready("group")[0]["people"]]
    frames = [{"people": people, "canvas_width": 768, "canvas_height": 512}]
    assert FiguraPosePick.execute(frames, 7, "area", 0.05).result[1] == 7
    assert FiguraPosePick.execute(frames, 0, "area", 0.05).result[1] == 50
    check_image_output(FiguraPoseDraw.execute(frames, "humansd", 0.05).result[0], 1)


@pytest.mark.parametrize(
    "model, backend",
    [(VITPOSE, "auto"), (VITPOSE, "vitpose"), (HIGHERHRNET, "higherhrnet"), (HIGHERHRNET, "auto")],
)
def test_detect_runs_every_torch_backend(model, backend):
    pose, skeleton, people = detect(picture(2), backend, model, max_people=3)
    assert len(pose) == 2 and people == sum(len(frame["people"]) for frame in pose) > 0
    assert (pose[0]["canvas_width"], pose[0]["canvas_height"]) == (160, 200)
    check_image_output(skeleton, 2)
    again = detect(picture(2), backend, model, max_people=3)
    assert again[0] == pose, "the same picture gives the same pose"


def test_a_batch_gives_what_its_pictures_give():
    batch = picture(2)
    assert detect(batch)[0][1] == detect(batch[1:])[0][0]


def test_a_detector_and_typed_boxes():
    assert detect(detector=DETECTOR)[2] >= 1
    assert detect(boxes="10 10 60 120\n80, 20, 70, 150")[2] == 2


@pytest.mark.parametrize("channels", [1, 4])
def test_grey_and_rgba_pictures(channels):
    assert detect(torch.rand(1, 64, 48, channels))[2] == 1


def test_nobody_in_the_picture():
    image = picture(2)
    pose, skeleton, people = detect(image, threshold=1.0, if_nobody="blank")
    assert people == 0 and skeleton.max() == 0 and pose[0]["people"] == []
    assert torch.equal(detect(image, threshold=1.0, if_nobody="pass through")[1], image)
    with pytest.raises(FiguraInputError, match="no person in picture 1, 2"):
        detect(image, threshold=1.0, if_nobody="error")


@pytest.mark.parametrize("style", ["humansd", "openpose18"])
def test_a_skeleton_is_passed_through(style):
    image = FiguraPoseDraw.execute(ready("two_people"), style, 0.05).result[0]
    pose, skeleton, people = detect(image, if_nobody="error")
    assert torch.equal(skeleton, image) and people == 0 and pose[0]["people"] == []


@pytest.mark.parametrize(
    "arguments, told",
    [
        ({"image": torch.zeros(0, 8, 8, 3)}, "image"),
        ({"image": torch.zeros(8, 8, 3)}, "image"),
        ({"image": torch.full((1, 8, 8, 3), float("nan"))}, "image"),
        ({"image": torch.zeros(1, 8, 8, 2)}, "image"),
        ({"model": "../../secret.pth"}, "model"),
        ({"model": "/etc/passwd"}, "model"),
        ({"model": "missing.pth"}, "model"),
        ({"model": ""}, "model"),
        ({"model": "a\0b"}, "model"),
        ({"detector": "nowhere"}, "detector"),
        ({"detector": "../x"}, "detector"),
        ({"backend": "yolo"}, "backend"),
        ({"if_nobody": "maybe"}, "if_nobody"),
        ({"order": "age"}, "order"),
        ({"boxes": "1 2 3"}, "boxes"),
        ({"boxes": "a b c d"}, "boxes"),
        ({"boxes": "1 2 -3 4"}, "boxes"),
        ({"boxes": "nan 2 3 4"}, "boxes"),
        ({"backend": "higherhrnet"}, VITPOSE),
        ({"backend": "rtmlib"}, VITPOSE),
        ({"backend": "vitpose", "model": HIGHERHRNET}, HIGHERHRNET),
    ],
)
def test_bad_detect_input_is_told(arguments, told):
    with pytest.raises(FiguraInputError) as caught:
        detect(**arguments)
    assert caught.value.what == told


def test_one_pixel_pictures_do_not_break():
    assert detect(torch.rand(1, 1, 1, 3))[2] in (0, 1)
    assert detect(torch.rand(1, 1, 1, 3), model=HIGHERHRNET, max_people=1)[2] in (0, 1)


@pytest.mark.skipif(mmpose_import.installed(), reason="mmpose is installed here")
def test_missing_mmpose_names_the_one_command():
    with pytest.raises(FiguraMissingPackage) as caught:
        detect(backend="mmpose", model=HIGHERHRNET)
    assert mmpose_import.INSTALL in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"<html>", b"\x80\x04K\x01.", b"PK\x03\x04 broken", b"{}"])
def test_broken_estimator_files_are_named(folders, content):
    path = folders / "models" / bridge.FOLDER / "broken.pth"
    path.write_bytes(content)
    folder_paths.filename_list_cache.clear()
    with pytest.raises(FiguraInputError, match="broken.pth"):
        detect(model="broken.pth")
    path.unlink()
    folder_paths.filename_list_cache.clear()
    assert detect()[2] == 1, "the next run is unharmed"


@pytest.mark.parametrize("kind", ["json", "npz", "npz (HumanSD)"])
def test_saved_poses_load_again(folders, kind):
    frames = ready("two_people")
    FiguraPoseSave.execute(frames, "poses/two", kind)
    name = next(name for name in bridge.pose_files() if name.startswith("poses/two"))
    assert name.endswith(" [output]")
    width, height = (768, 512) if kind == "npz (HumanSD)" else (0, 0)
    loaded = FiguraPoseLoad.execute(name, width, height).result[0]
    first, second = (FiguraPoseDraw.execute(pose, "humansd", 0.05).result[0] for pose in (frames, loaded))
    assert torch.equal(first, second)
    bridge.pose_path(name).unlink()


def test_saving_never_overwrites(folders):
    for _ in range(2):
        FiguraPoseSave.execute(ready(), "twice/[a]*b", "npz")
    assert len(list((folders / "output" / "twice").glob("*.npz"))) == 2
    assert not list((folders / "output").rglob("*.tmp"))


ESCAPES = ["../out", "/tmp/x", "a/../../b", "", " ", "a\0b"]


@pytest.mark.parametrize("prefix", ESCAPES)
def test_saving_stays_in_the_output_folder(folders, prefix):
    before = sorted((folders).rglob("*"))
    with pytest.raises(FiguraInputError, match="filename prefix"):
        FiguraPoseSave.execute(ready(), prefix, "json")
    assert sorted((folders).rglob("*")) == before


@pytest.mark.parametrize("name", [*ESCAPES, "../models/x.npz", "C:\\x.npz", "x" * 4096, "%2e%2e/x.npz"])
def test_loading_stays_in_the_folders(name):
    with pytest.raises(FiguraInputError, match="pose file"):
        FiguraPoseLoad.execute(name, 0, 0)


def test_unknown_choices_are_told():
    cases = {
        "style": lambda: FiguraPoseDraw.execute(ready(), "manga", 0.05),
        "layout": lambda: FiguraPoseOverlay.execute(picture(), ready(), "humansd", 0.05, "under"),
        "fit": lambda: FiguraPoseFitCanvas.execute(ready(), 64, 64, "squash"),
        "order": lambda: FiguraPosePick.execute(ready(), 1, "age", 0.05),
        "format": lambda: FiguraPoseSave.execute(ready(), "poses/y", "xml"),
        "pose": lambda: FiguraPoseLibrary.execute("levitating"),
        "amount": lambda: FiguraPoseBlend.execute(ready(), ready(), float("nan")),
        "legs": lambda: FiguraPoseRetarget.execute(ready(), 1, 1, 1, 1, 1, float("nan")),
        "scale": lambda: FiguraPoseTransform.execute(ready(), 0.0, 0, 0, 0, False, "canvas"),
        "canvas": lambda: FiguraPoseFitCanvas.execute(ready(), 64, 0, "contain"),
    }
    for what, case in cases.items():
        with pytest.raises(FiguraInputError) as caught:
            case()
        assert caught.value.what == what


@pytest.mark.parametrize("layout, times", [("over", 1), ("beside", 2), ("both", 3)])
def test_overlay_shows_picture_and_skeleton(layout, times):
    image = torch.full((2, 96, 64, 3), 0.5)
    out = FiguraPoseOverlay.execute(image, ready(), "humansd", 0.05, layout, 1.0).result[0]
    check_image_output(out, 2)
    assert out.shape[1:3] == (96, 64 * times)
    assert (out == 0.5).any() and (out.amax(-1) > 0.8).any()


def test_interrupt_stops_detection():
    import comfy.model_management as management

    management.interrupt_current_processing(True)
    with pytest.raises(management.InterruptProcessingException):
        detect(picture(3))
    management.interrupt_current_processing(False)
    assert detect()[2] == 1


def test_core_reads_what_we_write():
    """ComfyUI's own drawing node of 2026 reads these keys with exactly 18 joints."""
    person = ready()[0]["people"][0]
    assert np.array(person["pose_keypoints_2d"], np.float32).reshape(18, 3)[1, 2] == 1


def test_all_nodes_are_listed():
    assert len(NODES) == 12
