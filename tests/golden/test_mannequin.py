"""The writers' files have the structure of the reference samples: columns, keys, types, modes, names."""

import io
import json
import os
import re
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from comfyui_figura.pipelines.mannequin import formats, storage
from comfyui_figura.pipelines.mannequin.configs import catalogue, crowd, studio
from PIL import Image

GOLDEN = Path(os.environ.get("FIGURA_GOLDEN") or Path(__file__).parent / "data")


def sample(folder: str) -> Path:
    path = GOLDEN / folder / "dataset"
    if not path.is_dir():
        pytest.skip(f"no golden data: {folder}")
    return path


def test_cosmicman_files(tmp_path):
    golden = sample("cosmicman")
    out = storage.write_set(formats.CosmicMan(catalogue(32, 32)), tmp_path / "set", 3)
    theirs = pq.read_table(next((golden / "label").glob("*.parquet")))
    ours = pq.read_table(next((out / "label").glob("*.parquet")))
    assert ours.column_names == theirs.column_names
    for column in theirs.column_names:
        ok = (pa.types.is_string, pa.types.is_large_string)
        assert any(test(ours.schema.field(column).type) for test in ok), column
        assert ours.schema.field(column).type == theirs.schema.field(column).type
    row, reference = ours.to_pylist()[0], theirs.to_pylist()[0]
    for column in ("aa_text", "aa_ids"):
        assert len(json.loads(row[column])) == len(json.loads(reference[column]))
    kinds = {type(value) for value in json.loads(reference["aa_text"])}
    assert {type(value) for value in json.loads(row["aa_text"])} <= kinds
    palettes = [p for p in (golden / "data/segm").iterdir() if Image.open(p).mode == "P"]
    our_map = Image.open(out / "data" / row["segm_path"])
    assert our_map.mode == "P"
    assert our_map.getpalette()[: 18 * 3] == Image.open(palettes[0]).getpalette()[: 18 * 3]


def test_humansd_files(tmp_path):
    golden = sample("humansd_training")
    out = storage.write_set(formats.HumanSD(crowd(32, 40), plain_poses=True), tmp_path / "set", 20)
    theirs, ours = (json.loads((base / "mapping_train.json").read_text()) for base in (golden, out))
    assert {frozenset(entry) for entry in ours.values()} == {frozenset(entry) for entry in theirs.values()}
    pattern = {
        re.sub(r"\d+", lambda m: str(len(m.group())), Path(e["img_path"]).name) for e in theirs.values()
    }
    assert {
        re.sub(r"\d+", lambda m: str(len(m.group())), Path(e["img_path"]).name) for e in ours.values()
    } <= pattern
    tops = {tuple(Path(entry["img_path"]).parts[:2]) for entry in theirs.values()}
    assert {tuple(Path(entry["img_path"]).parts[:2]) for entry in ours.values()} == tops
    their_entry = next(iter(theirs.values()))
    with (
        np.load(golden / their_entry["pose_path"]) as one,
        np.load(out / next(iter(ours.values()))["pose_path"]) as two,
    ):
        assert set(one.files) == set(two.files)
        for name in one.files:
            assert one[name].dtype == two[name].dtype and one[name].shape[1:] == two[name].shape[1:]
        with Image.open(golden / their_entry["img_path"]) as image:
            assert tuple(one["size"]) == image.size[::-1]  # height first
        assert tuple(two["size"]) == (32, 40)


def test_humansd_object_form_has_the_documented_fields():
    from comfyui_figura.pipelines.mannequin.scene import render

    data = formats.pose_file(render(crowd(48, 64), 1, 2), plain=False)
    with np.load(io.BytesIO(data), allow_pickle=True) as file:  # our own bytes
        person = file["arr_0"][0]
    assert {name: value.dtype for name, value in person.items()} == dict.fromkeys(
        ("keypoints", "score", "area"), np.dtype(np.float32)
    )


def test_parts2whole_files(tmp_path):
    golden = sample("parts2whole_training")
    out = storage.write_set(formats.Parts2Whole(studio(44, 30), rgba=True), tmp_path / "set", 3)
    for name in ("train.jsonl", "train_rgba.jsonl"):
        theirs, ours = ([json.loads(line) for line in (base / name).open()] for base in (golden, out))
        assert set(ours[0]) == set(theirs[0])
        for key in theirs[0]:
            assert type(ours[0][key]) is type(theirs[0][key]), key
        for label, path in theirs[0]["appearance"].items():
            if label in ours[0]["appearance"]:
                mine = ours[0]["appearance"][label]
                assert Path(mine).parent == Path(path).parent and mine.split("_")[-1] == path.split("_")[-1]
                assert Image.open(out / mine).mode == Image.open(golden / path).mode
        pose = theirs[0]["structure"]["densepose"]
        assert Image.open(out / ours[0]["structure"]["densepose"]).mode == Image.open(golden / pose).mode
