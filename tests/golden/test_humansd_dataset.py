"""HumanSD's data read back: the reference samples as the released loader gives them, and our writer's own."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
from comfyui_figura.pipelines.common.bad_samples import BadSamples, TooManyBadSamples
from comfyui_figura.pipelines.common.errors import FiguraInputError
from comfyui_figura.pipelines.humansd.dataset import PoseDataset, cut_to
from comfyui_figura.pipelines.humansd.skeleton import draw_skeleton
from comfyui_figura.pipelines.mannequin import captions, dataset, formats, storage
from comfyui_figura.pipelines.mannequin.configs import crowd
from comfyui_figura.pipelines.mannequin.scene import render
from PIL import Image

GOLDEN = Path(os.environ.get("FIGURA_GOLDEN") or Path(__file__).parent / "data") / "humansd_training"


def cases():
    path = GOLDEN / "dataset_cases.json"
    if not path.is_file():
        return []
    return sorted(
        name for name in json.loads(path.read_text())["cases"] if name.startswith("no_augmentation")
    )


@pytest.mark.parametrize("case", cases())
def test_reference_samples_without_augmentation(case):
    """Pictures within 2/255 (JPEG decoders differ), joints within 1e-3 of a pixel, skeletons 99.5 % equal.

    The released loader puts joints outside the source picture to its corner; ours are dropped, so those are
    left out of the comparison.
    """
    truth = json.loads((GOLDEN / "dataset_cases.json").read_text())
    about, side = truth["cases"][case], truth["image_size"]
    item = PoseDataset(GOLDEN / "dataset").read(about["index"])
    draws = {step["name"]: step["params"] for step in about["transforms"] if step["applied"]}
    start = draws["RandomCrop"]
    assert item.prompt == about["txt"] and list(item.image.shape[:2]) == about["source_size_hw"]
    image, people = cut_to(item.image, item.people, (side, side), start["h_start"], start["w_start"])
    golden = np.asarray(Image.open(GOLDEN / "dataset_out" / f"{case}_jpg.png").convert("RGB")).astype(int)
    assert np.abs(image.astype(int) - golden).max() <= 2
    with np.load(GOLDEN / "dataset_pose.npz") as file:
        joints = file[f"{case}.pose"][: len(people)]
    faulty = {tuple(place[:2]) for place in about["joints_outside_source_but_kept_at_its_corner"]}
    for n in range(len(people)):
        for k in range(17):
            if (n, k) in faulty:
                assert people[n, k, 2] == 0
            else:
                np.testing.assert_allclose(people[n, k], joints[n, k], atol=1e-3)
    assert (people[..., 2] > 0).sum() == about["joints_kept"] - len(faulty)
    drawn = draw_skeleton(people, side, side, truth["keypoint_thresh"])
    pose = np.asarray(Image.open(GOLDEN / "dataset_out" / f"{case}_pose.png").convert("RGB"))
    if not faulty:
        assert (drawn == pose).all(-1).mean() >= 0.995


@pytest.mark.parametrize("plain", [False, True])
def test_what_was_written_is_read_back(tmp_path, plain):
    config, count = crowd(64, 80), 22
    root = storage.write_set(formats.HumanSD(config, 9, plain_poses=plain), tmp_path / "set", count)
    data = PoseDataset(root)
    data.check_files()
    training = [index for index in range(count) if index % 20 < 18]
    assert len(data) == len(training) and not len(data.bad)
    by_number = {int(entry.key): place for place, entry in enumerate(data.entries)}
    for index in training:
        item, picture = data.read(by_number[index]), render(config, 9, index)
        people = dataset.scored_keypoints(picture)
        order = np.argsort(-people[..., 2].mean(1), kind="stable")  # a pose file has the best first
        edge = (people[..., :2] < 0).any(-1) | (people[..., :2] >= (80, 64)).any(-1)
        people[edge] = (-1, -1, 0)  # half a pixel outside is seen in the picture, and dropped in training
        np.testing.assert_allclose(item.people, people[order], atol=1e-4)
        assert np.abs(item.image.astype(int) - picture.image).mean() < 4  # JPEG
        assert item.prompt == captions.sentence(picture)


def test_a_mapping_that_names_absent_files_is_counted_by_name(tmp_path):
    root = storage.write_set(formats.HumanSD(crowd(32, 32), 9), tmp_path / "set", 18)
    gone = json.loads((root / "mapping_train.json").read_text())["000000000002"]
    (root / gone["img_path"]).unlink()
    with pytest.raises(TooManyBadSamples, match="000000000002.jpg"):
        PoseDataset(root).check_files()
    data = PoseDataset(root, bad=BadSamples(0.1))
    data.check_files()
    places = {entry.key: place for place, entry in enumerate(data.entries)}
    assert data.read(places["000000000002"]).index == places["000000000002"] + 1
    other = json.loads((root / "mapping_train.json").read_text())["000000003"]
    (root / other["pose_path"]).write_bytes(b"torn")
    with pytest.raises(TooManyBadSamples, match="pose file"):
        data.read(places["000000003"])


def spoil(root, how):
    """Spoil one sample of a set; its key."""
    path = root / "mapping_train.json"
    mapping = json.loads(path.read_text())
    key = "000000000002"
    entry = mapping[key]
    image = root / entry["img_path"]
    if how == "missing image":
        image.unlink()
    elif how == "missing pose":
        (root / entry["pose_path"]).unlink()
    elif how == "broken JPEG":
        image.write_bytes(image.read_bytes()[:200])
    elif how == "one pixel":
        Image.new("RGB", (1, 1)).save(image)
    elif how == "torn pose":
        (root / entry["pose_path"]).write_bytes(b"torn")
    elif how == "duplicate id":
        text = json.dumps(mapping)
        path.write_text(f'{text[:-1]}, "{key}": {json.dumps(entry)}}}')
    else:
        entry |= {"empty prompt": {"prompt": " "}, "null prompt": {"prompt": None},
                  "null path": {"img_path": None}}[how]  # fmt: skip
        path.write_text(json.dumps(mapping))
    return key


@pytest.mark.parametrize(
    "how",
    [
        "missing image", "missing pose", "broken JPEG", "one pixel", "torn pose", "duplicate id",
        "empty prompt", "null prompt", "null path",
    ],
)  # fmt: skip
def test_what_cannot_be_used_is_counted_and_another_comes(tmp_path, how):
    root = storage.write_set(formats.HumanSD(crowd(32, 32), 9), tmp_path / "set", 18)
    key = spoil(root, how)

    def all_of(limit):
        data = PoseDataset(root, bad=BadSamples(limit))
        return data, [data.read(index) for index in range(len(data))]

    data, items = all_of(0.1)
    (name,) = data.bad.samples
    assert key in name
    assert len({item.index for item in items}) == (18 if how == "duplicate id" else 17)
    assert all(item.prompt and item.prompt != "None" for item in items)
    with pytest.raises(TooManyBadSamples, match=key):
        all_of(0.01)


def test_a_folder_without_a_mapping_is_refused(tmp_path):
    with pytest.raises(FiguraInputError, match="mapping_train.json"):
        PoseDataset(tmp_path)
    with pytest.raises(FiguraInputError, match="no folder"):
        PoseDataset(tmp_path / "absent")
