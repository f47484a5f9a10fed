"""Files whole or not at all: kills, full disks, foreign folders."""

import errno
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from comfyui_figura.pipelines.common.errors import FiguraInputError
from comfyui_figura.pipelines.mannequin import formats, storage
from comfyui_figura.pipelines.mannequin.configs import catalogue, portraits
from PIL import Image

ROOT = Path(__file__).resolve().parents[3]


def tree(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def write(folder: Path, count: int = 6, seed: int = 1) -> Path:
    return storage.write_set(formats.CosmicMan(catalogue(32, 32), seed), folder, count)


@pytest.mark.parametrize("moment", [0.15, 0.6])
def test_a_killed_write_leaves_whole_files_and_the_same_command_completes_it(tmp_path, moment):
    out = tmp_path / "set"
    command = [
        "mannequin",
        "write",
        "--format",
        "cosmicman",
        "--out",
        str(out),
        "--count",
        "600",
        "--size",
        "48",
        "48",
    ]
    process = subprocess.Popen([sys.executable, "-m", "pipelines", *command], cwd=ROOT, stdout=-3, stderr=-3)
    deadline = time.monotonic() + 60
    while not list(out.glob("data/img/*/*.png")) and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.01)
    time.sleep(moment)
    process.send_signal(signal.SIGKILL)
    process.wait()
    visible = [path for path in out.rglob("*.png") if not path.name.startswith(".")]
    assert visible
    for path in visible:
        with Image.open(path) as image:
            image.load()  # a torn file raises
    for path in out.glob("label/mannequin*.parquet"):
        for row in pq.read_table(path).to_pylist():
            assert (out / "data" / row["path"]).is_file() and (out / "data" / row["segm_path"]).is_file()
    layout = formats.CosmicMan(catalogue(48, 48), 0)
    if moment == 0.15:
        storage.write_set(layout, out, 600)
        (shard,) = out.glob("label/mannequin*.parquet")
        assert len(pq.read_table(shard)) == 600


def test_the_same_command_twice_gives_the_same_bytes(tmp_path):
    first = tree(write(tmp_path / "set"))
    assert tree(write(tmp_path / "set")) == first
    assert tree(write(tmp_path / "other")) == first


def test_a_folder_of_another_set_is_refused_and_left_alone(tmp_path):
    before = tree(write(tmp_path / "set"))
    for change in ({"seed": 2}, {"count": 7}):
        with pytest.raises(FiguraInputError, match="another set"):
            write(tmp_path / "set", **change)
    assert tree(tmp_path / "set") == before


def test_a_foreign_folder_or_file_is_refused_and_left_alone(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(FiguraInputError, match="not empty"):
        write(tmp_path)
    with pytest.raises(FiguraInputError, match="a folder"):
        write(tmp_path / "notes.txt")
    assert tree(tmp_path) == {"notes.txt": b"mine"}


def test_too_little_space_is_said_before_anything_is_written(tmp_path, monkeypatch):
    usage = storage.shutil.disk_usage(tmp_path)
    monkeypatch.setattr(
        storage.shutil, "disk_usage", lambda path: usage._replace(free=storage.RESERVE + 9000)
    )
    with pytest.raises(FiguraInputError, match="MiB free"):
        write(tmp_path / "set", count=10)
    assert not list((tmp_path / "set").rglob("*.png"))


def test_a_disk_that_fills_up_leaves_whole_files_and_a_sentence(tmp_path, monkeypatch):
    real, calls = os.replace, []

    def full(source, target):
        calls.append(target)
        if len(calls) == 8:
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(source, target)

    monkeypatch.setattr(storage.os, "replace", full)
    with pytest.raises(FiguraInputError, match="no space left"):
        write(tmp_path / "set")
    monkeypatch.undo()
    assert not [path for path in (tmp_path / "set").rglob("*") if path.name.endswith(".tmp")]
    for path in (tmp_path / "set").rglob("*.png"):
        Image.open(path).load()
    assert tree(write(tmp_path / "set")) == tree(write(tmp_path / "fresh"))


def test_an_interrupt_leaves_no_temporary_files(tmp_path):
    def stop(done, total, preview=None):
        if done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        storage.write_set(formats.StyleGAN(portraits(32, 16), 1), tmp_path / "set", 9, stop)
    files = list((tmp_path / "set").rglob("*.png"))
    assert len(files) == 3 and not list((tmp_path / "set").rglob("*.tmp"))


def test_progress_counts_every_picture(tmp_path):
    seen = []
    storage.write_set(
        formats.StyleGAN(portraits(32, 16), 1), tmp_path / "set", 4, lambda d, t, p=None: seen.append((d, t))
    )
    assert seen == [(1, 4), (2, 4), (3, 4), (4, 4)]


@pytest.mark.parametrize("count", [0, -1, 2.5, True, 10**8])
def test_bad_counts_are_refused(tmp_path, count):
    with pytest.raises(FiguraInputError, match="count"):
        write(tmp_path / "set", count=count)
    assert not (tmp_path / "set").exists()


def test_world_json_says_what_the_set_is(tmp_path):
    world = json.loads((write(tmp_path / "set") / "world.json").read_text())
    assert world["format"] == "cosmicman" and world["seed"] == 1 and world["config"]["height"] == 32
