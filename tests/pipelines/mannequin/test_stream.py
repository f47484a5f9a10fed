"""The world in memory, where trainers expect a folder: the same samples, and training that cannot tell."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from comfyui_figura.pipelines.common.bad_samples import TooManyBadSamples
from comfyui_figura.pipelines.common.errors import FiguraInputError
from comfyui_figura.pipelines.common.named_function import source_named
from comfyui_figura.pipelines.common.people_dataset import open_records, open_set, open_sets
from comfyui_figura.pipelines.mannequin import stream
from comfyui_figura.pipelines.mannequin.configs import catalogue, demo, portraits
from comfyui_figura.pipelines.mannequin.formats import CosmicMan, StyleGAN
from comfyui_figura.pipelines.mannequin.storage import write_set
from comfyui_figura.pipelines.stylegan_human.training.aligned_images import AlignedImages, open_images
from comfyui_figura.pipelines.stylegan_human.training.image_set import DrawnImages

SIZE = (64, 32)
PEOPLE = Path(".mannequin.stream:people,count=7,seed=5")
PORTRAITS = Path(".mannequin.stream:portraits,count=9,seed=3,height=32")


@pytest.mark.parametrize(("world", "make"), [("demo", demo), ("cosmicman", catalogue)])
def test_people_are_those_that_are_written(world, make, tmp_path):
    on_disk = open_set(write_set(CosmicMan(make(*SIZE), 5), tmp_path / "set", 7), SIZE)
    drawn = open_set(Path(f"{PEOPLE},world={world}"), SIZE)
    assert len(drawn) == 7 and drawn.size == SIZE
    assert list(drawn.records) == list(on_disk.records)
    for index in (6, 0, 3):
        for one, other in zip(drawn.read(index), on_disk.read(index), strict=True):
            assert np.array_equal(one, other)
        assert np.array_equal(drawn.parts(index), on_disk.parts(index))
    assert open_records(PEOPLE)[-2:] == [open_records(PEOPLE)[5], open_records(PEOPLE)[-1]]


def test_each_picture_is_drawn_once(monkeypatch):
    drawn, people = [], stream.people(SIZE, count=3)
    real = people.layout.draw
    monkeypatch.setattr(people.layout, "draw", lambda index: drawn.append(index) or real(index))
    people.draw = stream.lru_cache(stream.RECENT)(people.layout.draw)
    assert people.records[1].caption and people.read(1)[0] == 1 and people.parts(1).any()
    assert people.records[1] == people.records[-2] and drawn == [1]


def test_portraits_are_those_that_are_written(tmp_path):
    folder = write_set(StyleGAN(portraits(32, 16), 3), tmp_path / "set", 9)
    for settings in ({}, {"mirror": True}, {"subset": 4, "seed": 2}):
        on_disk, drawn = AlignedImages(folder, **settings), open_images(PORTRAITS, **settings)
        assert isinstance(drawn, DrawnImages) and drawn.size == on_disk.size == (32, 16)
        assert len(drawn) == len(on_disk) and drawn.count == on_disk.count
        everything = list(range(len(drawn)))
        assert torch.equal(drawn.pixels(everything), on_disk.pixels(everything))
        assert torch.equal(drawn.pixels(everything[::-1]), on_disk.pixels(everything[::-1]))
    assert drawn.names([0])[0].endswith("of seed 3") and drawn.label_dim == 0


@pytest.mark.parametrize(
    ("spelling", "message"),
    [
        (".mannequin.stream:people,cout=4", "cout"),
        (".mannequin.stream:people,size=4", "size"),
        (".mannequin.stream:nobody", "nobody"),
        (".nothing.here:people", "nothing"),
        (".mannequin.stream:people,count=0", "1 or more"),
        (".mannequin.stream:people,count=many", "1 or more"),
        (".mannequin.stream:people,world=mars", "mars"),
        (".mannequin.stream:people,seed=-1", "seed"),
        (".mannequin.stream:people,seed=x", "seed"),
    ],
)
def test_what_cannot_be_drawn_is_named(spelling, message):
    with pytest.raises(FiguraInputError, match=message):
        open_sets([Path(spelling)], SIZE, 0.01)


def test_portraits_that_no_network_has():
    with pytest.raises(FiguraInputError, match="power of two"):
        open_images(Path(".mannequin.stream:portraits,height=48"))
    with pytest.raises(FiguraInputError, match="as high as wide"):
        open_images(PORTRAITS, square=True)
    with pytest.raises(FiguraInputError, match="labels"):
        open_images(PORTRAITS, cond=True)


def test_a_folder_of_such_a_name_is_a_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("a.b:c").mkdir()
    assert source_named(Path("a.b:c")) is None
    assert source_named(Path("C:/pictures")) is None and source_named(Path("runs/data")) is None
    with pytest.raises((FiguraInputError, TooManyBadSamples)):
        open_set(Path("a.b:c"), SIZE)


def test_stylegan_trains_as_on_the_folder(tmp_path):
    from comfyui_figura.pipelines.common.weights import load_state_dict
    from comfyui_figura.pipelines.stylegan_human.training.configs import TrainConfig
    from comfyui_figura.pipelines.stylegan_human.training.run import run

    folder = write_set(StyleGAN(portraits(32, 16), 3), tmp_path / "set", 9)
    config = TrainConfig(folder, tmp_path / "disk", "tiny", kimg=0.016, batch=4, snap=1, tick=1)
    run(replace(config, trainer=replace(config.trainer, cpu=True)))
    run(replace(config, data=PORTRAITS, outdir=tmp_path / "drawn", trainer=replace(config.trainer, cpu=True)))
    one, other = (
        load_state_dict(next((tmp_path / name / "snapshots").glob("*0.016*"))) for name in ("disk", "drawn")
    )
    assert all(torch.equal(one[name], other[name]) for name in one)
