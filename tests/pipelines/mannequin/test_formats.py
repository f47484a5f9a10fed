"""What the writers wrote, read back with pyarrow, numpy and PIL alone, as the specifications say."""

import io
import json

import numpy as np
import pyarrow.parquet as pq
import pytest
from comfyui_figura.pipelines.common.dense_captions import SHOTS
from comfyui_figura.pipelines.common.errors import FiguraInputError
from comfyui_figura.pipelines.mannequin import formats, parts, storage
from comfyui_figura.pipelines.mannequin.configs import WorldConfig, catalogue, crowd, portraits, studio
from comfyui_figura.pipelines.mannequin.scene import render
from PIL import Image

COUNT = 24


@pytest.fixture(scope="module")
def cosmicman(tmp_path_factory):
    out = tmp_path_factory.mktemp("cosmicman")
    return storage.write_set(formats.CosmicMan(catalogue(80, 64), 3), out, COUNT)


@pytest.fixture(scope="module")
def humansd(tmp_path_factory):
    out = tmp_path_factory.mktemp("humansd")
    return storage.write_set(formats.HumanSD(crowd(72, 96), 3), out, COUNT)


@pytest.fixture(scope="module")
def parts2whole(tmp_path_factory):
    out = tmp_path_factory.mktemp("parts2whole")
    return storage.write_set(formats.Parts2Whole(studio(110, 75), 3, rgba=True), out, COUNT)


def test_cosmicman_rows_name_pictures_and_maps_that_agree(cosmicman):
    (shard,) = (cosmicman / "label").iterdir()
    rows = pq.read_table(shard).to_pylist()
    assert len(rows) == COUNT and len({row["path"] for row in rows}) == COUNT
    assert (
        int(shard.name.split("_")[1]) == 0
    )  # the reader sorts files by the number after the first underscore
    for index, row in enumerate(rows):
        with (
            Image.open(cosmicman / "data" / row["path"]) as image,
            Image.open(cosmicman / "data" / row["segm_path"]) as labels,
        ):
            assert image.size == labels.size == (int(float(row["width"])), int(float(row["height"])))
            assert image.mode == "RGB" and labels.mode == "P"
            picture = render(catalogue(80, 64), 3, index)
            assert np.array_equal(np.asarray(image), picture.image)
            assert np.array_equal(np.asarray(labels), picture.parts)
        texts, ids = json.loads(row["aa_text"]), json.loads(row["aa_ids"])
        assert len(texts) == len(ids) == 20
        assert all(value is None or all(0 <= label <= 17 for label in value) for value in ids)
        assert row["person_type"] in SHOTS


def test_cosmicman_shards_are_complete_whatever_the_flush(tmp_path, monkeypatch):
    monkeypatch.setattr(formats.CosmicMan, "SHARD", 5)
    monkeypatch.setattr(storage, "FLUSH", 3)
    storage.write_set(formats.CosmicMan(catalogue(16, 16), 1), tmp_path / "set", 13)
    tables = [pq.read_table(path) for path in sorted((tmp_path / "set/label").iterdir())]
    assert [len(table) for table in tables] == [5, 5, 3]
    assert len({path for table in tables for path in table["path"].to_pylist()}) == 13


def test_humansd_mappings_name_pictures_and_poses(humansd):
    merged = json.loads((humansd / "mapping_train.json").read_text())
    single = {}
    for base in ("HumanArt", "Laion/Aesthetics_Human"):
        for split in ("training", "validation"):
            entries = json.loads((humansd / base / f"mapping_file_{split}.json").read_text())
            assert entries, (base, split)
            single |= entries
            if split == "training":
                assert all(merged[key] == entry for key, entry in entries.items())
            else:
                assert not set(entries) & set(merged)
    assert len(single) == COUNT
    for entry in single.values():
        assert set(entry) == {"img_path", "pose_path", "prompt"} and entry["prompt"]
        assert (humansd / entry["img_path"]).is_file() and (humansd / entry["pose_path"]).is_file()


def test_humansd_names_have_the_released_widths(humansd):
    for path in (humansd / "HumanArt/images").rglob("*.jpg"):
        assert len(path.stem) == 12 and path.stem.isdigit()
        assert (
            (humansd / "HumanArt/pose" / path.relative_to(humansd / "HumanArt/images"))
            .with_suffix(".npz")
            .is_file()
        )
    laion = humansd / "Laion/Aesthetics_Human"
    keys = pq.read_table(laion / "images/00000.parquet")
    assert keys.column_names == ["url", "key"]
    assert {path.stem for path in (laion / "images/00000").iterdir()} == set(keys["key"].to_pylist())
    assert all(len(key) == 9 for key in keys["key"].to_pylist())


def test_humansd_poses_are_object_arrays_of_people_best_first(humansd):
    entries = json.loads((humansd / "mapping_train.json").read_text())
    people = 0
    for key, entry in entries.items():
        with np.load(humansd / entry["pose_path"], allow_pickle=True) as file:  # our own file, just written
            assert file.files == ["arr_0"] and file["arr_0"].dtype == object
            persons = list(file["arr_0"])
        truth = render(crowd(72, 96), 3, int(key))
        assert len(persons) == len(truth.people)
        scores = [person["score"] for person in persons]
        assert scores == sorted(scores, reverse=True)
        for person in persons:
            people += 1
            assert set(person) == {"keypoints", "score", "area"}
            keypoints = person["keypoints"]
            assert keypoints.shape == (17, 3) and keypoints.dtype == np.float32
            assert person["score"].dtype == person["area"].dtype == np.float32
            missing = keypoints[:, 2] == 0
            assert (keypoints[missing] == (-1, -1, 0)).all()
            assert (keypoints[~missing, :2] >= -0.5).all() and (keypoints[~missing, 0] < 96).all()
    assert people > len(entries)


def test_parts2whole_rows_name_pairs_that_exist(parts2whole):
    rows = [json.loads(line) for name in ("train", "test") for line in (parts2whole / f"{name}.jsonl").open()]
    assert len(rows) == COUNT
    for row in rows:
        assert set(row["appearance"]) == set(row["mask"]) <= set(parts.LABELS) and row["appearance"]
        with Image.open(parts2whole / row["target"]) as target:
            size = target.size
        assert size == (75, 110)
        for label, path in row["appearance"].items():
            assert path == f"{parts.FOLDERS[label]}/{row['reference_id']}_rgb.jpg"
            with (
                Image.open(parts2whole / path) as image,
                Image.open(parts2whole / row["mask"][label]) as mask,
            ):
                assert image.size == mask.size == size and (image.mode, mask.mode) == ("RGB", "L")
                share = (np.asarray(mask) > 127).mean()
                assert 0.005 < share < 0.8, (label, share)
        with Image.open(parts2whole / row["structure"]["densepose"]) as pose:
            iuv = np.asarray(pose)
        with Image.open(parts2whole / row["structure"]["openpose"]) as pose:
            drawn = np.asarray(pose).any(-1)
        assert drawn.shape == (110, 75) and (drawn & (iuv[..., 2] > 0)).sum() > 0.5 * drawn.sum()
        assert iuv.shape == (110, 75, 3) and 10 < len(np.unique(iuv[..., 2])) and iuv[..., 2].max() <= 24


def test_parts_survive_the_loaders_fixed_crop(parts2whole):
    """750 x 1101 loses 134 rows above and below; in the same proportion nothing of a mask may lie there."""
    cut = int((110 - 75 / 0.9) / 2)
    lost = total = 0
    for path in parts2whole.rglob("*_mask.jpg"):
        mask = np.asarray(Image.open(path)) > 127
        lost += mask[:cut].sum() + mask[110 - cut :].sum()
        total += mask.sum()
    assert lost / total < 0.002  # neighbours of the measured box, seen closer


def test_parts2whole_rgba_rows_have_alpha_for_mask(parts2whole):
    plain = [json.loads(line) for line in (parts2whole / "train.jsonl").open()]
    rows = [json.loads(line) for line in (parts2whole / "train_rgba.jsonl").open()]
    assert [row["target_id"] for row in rows] == [row["target_id"] for row in plain]
    for row, other in zip(rows, plain, strict=True):
        assert "mask" not in row
        for label, path in row["appearance"].items():
            alpha = np.asarray(Image.open(parts2whole / path).getchannel("A"))
            mask = np.asarray(Image.open(parts2whole / other["mask"][label]))
            assert ((alpha > 127) == (mask > 127)).mean() > 0.99  # the mask went through JPEG


def test_references_wear_the_targets_clothes_in_another_pose():
    config = studio(110, 75)
    target, reference = render(config, 3, 5), render(config, 3, 5, take=parts.REFERENCE_TAKE)
    assert target.people[0].look == reference.people[0].look
    assert target.people[0].pose != reference.people[0].pose


def test_a_dress_has_no_halves():
    labels = np.zeros((10, 10), np.uint8)
    labels[:8] = 7
    labels[8] = 4
    assert not parts.part_mask(labels, "upper body clothes").any()
    assert parts.part_mask(labels, "whole body clothes").sum() == 90
    labels[:6] = 4
    assert parts.part_mask(labels, "upper body clothes").sum() == 70


def test_stylegan_pictures_are_twice_as_high_as_wide(tmp_path):
    out = storage.write_set(formats.StyleGAN(portraits(64, 32), 3), tmp_path / "set", 5)
    files = sorted(out.rglob("*.png"))
    assert [file.name for file in files] == [f"img{index:08d}.png" for index in range(5)]
    for index, file in enumerate(files):
        with Image.open(file) as image:
            assert image.size == (32, 64) and image.mode == "RGB"
            assert np.array_equal(np.asarray(image), render(portraits(64, 32), 3, index).image)


def test_pose_file_of_plain_arrays_has_the_safe_form():
    picture = render(crowd(72, 96), 3, 1)
    with np.load(io.BytesIO(formats.pose_file(picture, plain=True))) as file:  # loads without pickle
        assert file["keypoints"].shape == (len(picture.people), 17, 3)
        assert file["size"].tolist() == [72, 96]  # height, width, as in the golden samples


@pytest.mark.parametrize(
    ("name", "config", "variant"),
    [
        ("stylegan", WorldConfig(64, 64), False),
        ("cosmicman", crowd(), False),
        ("parts2whole", crowd(), False),
        ("coco", portraits(), False),
        ("stylegan", portraits(), True),
    ],
)
def test_worlds_that_do_not_fit_a_format_are_refused(name, config, variant):
    with pytest.raises(FiguraInputError, match="wanted"):
        formats.open_format(name, config, 0, variant)
