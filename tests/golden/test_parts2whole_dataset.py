"""Parts2Whole's data read back: the reference samples as the released loader gives them, and our writer's."""

import json
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from comfyui_figura.pipelines.common.bad_samples import BadSamples, TooManyBadSamples
from comfyui_figura.pipelines.common.errors import FiguraInputError
from comfyui_figura.pipelines.mannequin import formats, parts, storage
from comfyui_figura.pipelines.mannequin.configs import demo, studio
from comfyui_figura.pipelines.mannequin.scene import render
from comfyui_figura.pipelines.parts2whole.dataset import PairDataset, collate, crop_box
from PIL import Image
from safetensors.torch import load_file

GOLDEN = Path(os.environ.get("FIGURA_GOLDEN") or Path(__file__).parent / "data") / "parts2whole_training"
BACKGROUNDS = {"rgba_gray": 0.5, "rgba_white": 1.0}


def tensors():
    path = GOLDEN / "dataset_tensors.safetensors"
    if not path.is_file():
        pytest.skip("no golden data: parts2whole_training")
    return load_file(path), json.loads((GOLDEN / "dataset_cases.json").read_text())


def close(found, golden, what):
    """Within 2/255; 4/255 at edges on at most 1 % of the pixels (README of the golden data)."""
    off = (found - golden.float()).abs() * 255
    assert off.max() <= 4.6 and (off > 2.6).float().mean() <= 0.01, (what, float(off.max()))


def cases():
    """Those whose crops are all the same: on tall pictures nothing is drawn at random."""
    path = GOLDEN / "dataset_cases.json"
    about = json.loads(path.read_text()) if path.is_file() else {}
    crops = {name: case.get("crops_top_left_height_width_in_call_order") for name, case in about.items()
             if ".row" in name}  # fmt: skip
    return sorted(name for name, drawn in crops.items() if drawn and len(set(map(tuple, drawn))) == 1)


@pytest.mark.parametrize("case", cases())
def test_reference_samples(case):
    golden, about = tensors()
    kind, row = case.split(".row")
    size = tuple(golden[f"{case}.pixel_values"].shape[1:])
    rows = "train_rgba.jsonl" if kind in BACKGROUNDS else "train.jsonl"
    data = PairDataset(GOLDEN / "dataset", rows, size, background=BACKGROUNDS.get(kind, 1.0))
    pair = data.read(int(row))
    drawn = tuple(about[case]["crops_top_left_height_width_in_call_order"][0])
    with Image.open(GOLDEN / "dataset" / data.rows[int(row)]["target"]) as image:
        left, top, right, bottom = crop_box(*image.size)
    assert (top, left, bottom - top, right - left) == drawn
    assert pair.caption == about[case]["caption"]
    fields = {"pixel_values": pair.pixels, "structure.densepose": pair.pose}
    fields |= {f"appearance.{label}": value for label, value in pair.references.items()}
    fields |= {f"mask.{label}": value for label, value in pair.masks.items()}
    expected = {name[len(case) + 1 :] for name in golden if name.startswith(case + ".")}
    assert set(fields) == expected
    for name, value in fields.items():
        wanted = golden[f"{case}.{name}"]
        signed = name.startswith(("pixel", "appearance"))
        if wanted.dtype == torch.uint8:
            wanted = wanted.float() / 255
            value = (value + 1) / 2 if signed else value
        elif signed:
            value, wanted = (value + 1) / 2, (wanted + 1) / 2
        close(value, wanted, name)


def test_the_crop_of_the_real_data_is_the_known_one():
    assert crop_box(750, 1101) == (0, 134, 750, 134 + 833)
    assert crop_box(100, 100) == (0, 0, 100, 100) and crop_box(95, 100) == (0, 0, 95, 100)
    assert crop_box(200, 100) == (50, 0, 150, 100)


@pytest.mark.parametrize("rgba", [False, True])
def test_what_was_written_is_read_back(tmp_path, rgba):
    """Every visible part comes back with its own mask, and inside what the loader keeps."""
    config, count = studio(110, 75), 6
    root = storage.write_set(formats.Parts2Whole(config, 4, rgba=rgba), tmp_path / "set", count)
    data = PairDataset(root, "train_rgba.jsonl" if rgba else "train.jsonl", (83, 75))
    assert len(data) == count and not len(data.bad)
    for index in range(count):
        pair, picture = data.read(index), render(config, 4, index)
        truth = parts.reference_parts(config, 4, index)
        assert set(pair.references) == set(pair.masks) == set(truth)
        left, top, right, bottom = crop_box(75, 110)
        kept = torch.from_numpy(picture.image[top:bottom, left:right]).permute(2, 0, 1).float() / 127.5 - 1
        assert (pair.pixels - kept).abs().mean() < 0.03  # JPEG
        iuv = torch.from_numpy(picture.iuv()[top:bottom, left:right]).permute(2, 0, 1).float() / 255
        assert torch.equal((pair.pose * 255).round(), (iuv * 255).round())
        for label, (_, mask) in truth.items():
            cut = torch.from_numpy(mask[top:bottom, left:right])
            assert ((pair.masks[label][0] > 0.5) == cut).float().mean() > 0.98
            assert mask.sum() == cut.sum(), f"the crop takes some of {label}"


def test_rows_of_the_demo_world_all_name_the_same_parts(tmp_path):
    """So that a loader with the usual collate can batch them."""
    config = replace(demo(96, 66), band=studio(96, 66).band)
    root = storage.write_set(formats.Parts2Whole(config, 4), tmp_path / "set", 12)
    rows = [json.loads(line) for line in (root / "train.jsonl").open()]
    assert {tuple(row["appearance"]) for row in rows} == {parts.LABELS}


def test_pairs_that_lack_parts_are_batched(tmp_path):
    root = storage.write_set(formats.Parts2Whole(studio(110, 75), 6), tmp_path / "set", 12)
    data = PairDataset(root, size=(64, 64))
    pairs = [data.read(index) for index in range(len(data))]
    assert len({tuple(pair.references) for pair in pairs}) > 1, "draw other figures: all have the same parts"
    batch = collate(pairs, data.labels())
    assert batch["references"].shape == (len(pairs), len(data.labels()), 3, 64, 64)
    for row, pair in enumerate(pairs):
        for column, label in enumerate(data.labels()):
            here = label in pair.references
            assert bool(batch["present"][row, column]) == here
            assert bool(batch["masks"][row, column].any()) == here
            if here:
                assert torch.equal(batch["references"][row, column], pair.references[label])
    with pytest.raises(FiguraInputError):
        collate([], data.labels())


def spoil(root, how):
    lines = (root / "train.jsonl").read_text().splitlines()
    row = json.loads(lines[3])
    first = next(iter(row["appearance"].values()))
    if how == "missing part":
        (root / first).unlink()
    elif how == "broken target":
        (root / row["target"]).write_bytes((root / row["target"]).read_bytes()[:200])
    elif how == "one pixel pose":
        Image.new("RGB", (1, 1)).save(root / row["structure"]["densepose"])
    elif how == "empty caption":
        lines[3] = json.dumps(row | {"caption": " "})
    elif how == "no parts":
        lines[3] = json.dumps(row | {"appearance": {}})
    elif how == "null path":
        lines[3] = json.dumps(row | {"target": None})
    elif how == "duplicate":
        lines[3] = lines[2]
    elif how == "not JSON":
        lines[3] = lines[3][:40]
    (root / "train.jsonl").write_text("\n".join(lines) + "\n")


@pytest.mark.parametrize(
    "how",
    [
        "missing part", "broken target", "one pixel pose", "empty caption", "no parts", "null path",
        "duplicate", "not JSON",
    ],
)  # fmt: skip
def test_a_row_that_cannot_be_used_is_counted_and_another_comes(tmp_path, how):
    root = storage.write_set(formats.Parts2Whole(studio(44, 30), 4), tmp_path / "set", 8)
    spoil(root, how)

    def all_of(limit):
        data = PairDataset(root, size=(16, 16), bad=BadSamples(limit))
        return data, [data.read(index) for index in range(len(data))]

    data, pairs = all_of(0.2)
    assert len(data.bad) == 1
    targets = {data.rows[pair.index]["target_id"] for pair in pairs}
    assert len(targets) == 7 and np.isfinite([float(pair.pixels.mean()) for pair in pairs]).all()
    with pytest.raises(TooManyBadSamples):
        all_of(0.01)
