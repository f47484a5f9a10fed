"""The data set: what it yields, and what it says about pictures that it cannot use."""

import json
import zipfile

import numpy as np
import pytest
import torch
from comfyui_figura.pipelines.common.bad_samples import TooManyBadSamples
from comfyui_figura.pipelines.common.errors import FiguraInputError
from comfyui_figura.pipelines.stylegan_human.training import image_set
from comfyui_figura.pipelines.stylegan_human.training.aligned_images import AlignedImages
from PIL import Image

from .conftest import write_pictures


def read(path):
    return torch.from_numpy(np.array(Image.open(path))).permute(2, 0, 1)


def test_pictures_in_order_of_their_names(pictures):
    data = AlignedImages(pictures)
    assert (len(data), data.size, data.label_dim) == (12, (32, 16), 0)
    batch = data.batch([3, 0])["pixels"]
    assert batch.dtype == torch.uint8
    assert torch.equal(batch[0], read(pictures / "img03.png"))
    assert torch.equal(batch[1], read(pictures / "img00.png"))
    assert data.names([3, 0]) == ["img03.png", "img00.png"]


def test_mirrored_pictures_follow_the_others(pictures):
    data = AlignedImages(pictures, mirror=True)
    assert len(data) == 24
    assert torch.equal(data.pixels([13])[0], data.pixels([1])[0].flip(2))
    assert data.names([13]) == ["img01.png"]


def test_sub_folders_and_zip_give_the_same(pictures, tmp_path):
    folder, archive = tmp_path / "deep", tmp_path / "set.zip"
    (folder / "00000").mkdir(parents=True)
    with zipfile.ZipFile(archive, "w") as file:
        for path in pictures.iterdir():
            (folder / "00000" / path.name).write_bytes(path.read_bytes())
            file.write(path, path.name)
    flat = AlignedImages(pictures).pixels(list(range(12)))
    assert torch.equal(AlignedImages(folder).pixels(list(range(12))), flat)
    assert torch.equal(AlignedImages(archive).pixels(list(range(12))), flat)


def test_large_sets_are_read_from_disk_each_time(pictures, monkeypatch):
    in_memory = AlignedImages(pictures, mirror=True).pixels([5, 17])
    monkeypatch.setattr(image_set, "IN_MEMORY", 0)
    data = AlignedImages(pictures, mirror=True)
    assert data._pixels is None
    assert torch.equal(data.pixels([5, 17]), in_memory)


def test_subset_is_chosen_by_the_seed(pictures):
    first, again = AlignedImages(pictures, subset=4, seed=1), AlignedImages(pictures, subset=4, seed=1)
    assert first.names_used == again.names_used and len(first) == 4
    assert AlignedImages(pictures, subset=4, seed=2).names_used != first.names_used


def label(folder, rows):
    (folder / "dataset.json").write_text(json.dumps({"labels": rows}))


def test_labels_as_classes(pictures):
    label(pictures, [[f"img{i:02d}.png", i % 3] for i in range(12)])
    data = AlignedImages(pictures, cond=True)
    assert data.label_dim == 3
    assert data.batch([4])["labels"].tolist() == [[0.0, 1.0, 0.0]]


def test_labels_as_vectors(pictures):
    label(pictures, [[f"img{i:02d}.png", [i / 2, 1.0]] for i in range(12)])
    assert AlignedImages(pictures, cond=True).batch([4])["labels"].tolist() == [[2.0, 1.0]]


def test_bad_labels(pictures):
    rows = [[f"img{i:02d}.png", 0] for i in range(12)]
    label(pictures, [*rows, ["img03.png", 1], ["img99.png", 0]])
    with pytest.raises(TooManyBadSamples, match=r"img03.png \(again.*img99.png: no such file"):
        AlignedImages(pictures, cond=True)
    data = AlignedImages(pictures, cond=True, max_bad=0.2)
    assert (len(data), len(data.bad)) == (12, 2)
    label(pictures, rows[:-1])
    with pytest.raises(TooManyBadSamples, match="img11.png: no label"):
        AlignedImages(pictures, cond=True)


@pytest.mark.parametrize(
    ("content", "words"),
    [(None, "dataset.json"), ("[", "JSON"), ('{"labels": null}', "list of"), ('{"other": []}', "no labels")],
)
def test_unreadable_labels(pictures, content, words):
    if content is not None:
        (pictures / "dataset.json").write_text(content)
    with pytest.raises(FiguraInputError, match=words):
        AlignedImages(pictures, cond=True)


def spoil(folder, kind):
    """Make img05.png unusable."""
    path = folder / "img05.png"
    if kind == "empty":
        path.write_bytes(b"")
    elif kind == "page":
        path.write_bytes(b"<html>not found</html>")
    elif kind == "cut off":
        path.write_bytes(path.read_bytes()[:-40])
    elif kind == "broken jpeg":
        path.unlink()
        Image.new("RGB", (16, 32), "red").save(folder / "img05.jpg")
        content = (folder / "img05.jpg").read_bytes()
        (folder / "img05.jpg").write_bytes(content[: len(content) // 2])
    elif kind == "one pixel":
        Image.new("RGB", (1, 1)).save(path)
    elif kind == "wide":
        Image.new("RGB", (32, 32)).save(path)


KINDS = ["empty", "page", "cut off", "broken jpeg", "one pixel", "wide"]


@pytest.mark.parametrize("kind", KINDS)
def test_one_bad_picture_is_counted_named_and_skipped(pictures, kind):
    spoil(pictures, kind)
    data = AlignedImages(pictures, max_bad=0.1)
    pixels = data.pixels(list(range(len(data))))
    assert list(data.bad.samples) == ["img05.jpg" if kind == "broken jpeg" else "img05.png"]
    assert pixels.shape[1:] == (3, 32, 16)


@pytest.mark.parametrize("kind", KINDS)
def test_too_many_bad_pictures_stop_the_run(pictures, kind):
    spoil(pictures, kind)
    with pytest.raises(TooManyBadSamples, match="img05"):
        data = AlignedImages(pictures, max_bad=0.01)
        data.pixels(list(range(len(data))))


def test_a_picture_that_vanishes_is_counted(pictures, monkeypatch):
    monkeypatch.setattr(image_set, "IN_MEMORY", 0)
    data = AlignedImages(pictures, max_bad=0.1)
    (pictures / "img05.png").unlink()
    assert torch.equal(data.pixels([5])[0], read(pictures / "img06.png"))
    assert data.bad.samples == {"img05.png": "damaged picture (FileNotFoundError)"}


@pytest.mark.parametrize(
    ("size", "square", "words"),
    [
        ((32, 32), False, "twice as high"),
        ((32, 16), True, "as high as wide"),
        ((24, 12), False, "power of two"),
    ],
)
def test_sizes_that_no_network_has(tmp_path, size, square, words):
    with pytest.raises(FiguraInputError, match=words):
        AlignedImages(write_pictures(tmp_path, 3, size), square=square)


def test_square_pictures(tmp_path):
    assert AlignedImages(write_pictures(tmp_path, 3, (16, 16)), square=True).size == (16, 16)


def test_nothing_to_read(tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "notes.txt").write_text("no zip")
    for name in ("empty", "absent", "notes.txt"):
        with pytest.raises(FiguraInputError):
            AlignedImages(tmp_path / name)
