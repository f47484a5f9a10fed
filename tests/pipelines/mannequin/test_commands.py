"""The command line: writes what it says, refuses in one sentence, starts light."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from comfyui_figura.pipelines.common.errors import FiguraInputError
from comfyui_figura.pipelines.mannequin.captions import short_caption
from comfyui_figura.pipelines.mannequin.commands import SheetConfig, WriteConfig, sheet, write
from comfyui_figura.pipelines.mannequin.configs import crowd, demo, portraits
from comfyui_figura.pipelines.mannequin.reader.scores import parse_caption
from comfyui_figura.pipelines.mannequin.scene import render
from comfyui_figura.pipelines.mannequin.sheet import draw_sheet
from comfyui_figura.pipelines.parts2whole.dataset import crop_box
from PIL import Image

ROOT = Path(__file__).resolve().parents[3]


def figura(*arguments: str) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "pipelines", "mannequin", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)


@pytest.mark.parametrize("name", ["cosmicman", "humansd", "parts2whole", "stylegan"])
def test_write_makes_a_set_of_every_format(tmp_path, name):
    size = (64, 32) if name == "stylegan" else (66, 45)
    write(WriteConfig(name, tmp_path / name, 4, size=size, styles=("flat",)))
    assert (tmp_path / name / "world.json").is_file()
    assert len(list((tmp_path / name).rglob("*.[jp][pn]g"))) >= 4


@pytest.mark.parametrize("name", ["humansd", "parts2whole", "stylegan"])
def test_the_demo_world_is_written_in_every_format(tmp_path, name):
    """With its short captions; for Parts2Whole inside the band that its loader keeps."""
    write(WriteConfig(name, tmp_path / name, world="demo", count=2))
    if name == "humansd":
        (first, *_) = json.loads((tmp_path / name / "mapping_train.json").read_text()).values()
        assert first["prompt"] == short_caption(render(demo(), 0, 0))
    if name == "parts2whole":
        row = json.loads((tmp_path / name / "train.jsonl").read_text().splitlines()[0])
        assert set(parse_caption(row["caption"]).colors) == {"hair", "top", "bottom", "shoes", "wall"}
        rows = (
            np.asarray(Image.open(tmp_path / name / row["structure"]["densepose"])).any((1, 2)).nonzero()[0]
        )
        top, bottom = crop_box(375, 550)[1::2]
        assert rows[0] >= top and rows[-1] < bottom


def test_sheet_draws_a_page(tmp_path):
    sheet(SheetConfig(tmp_path / "page.png", count=6, columns=3, size=(64, 32)))
    with Image.open(tmp_path / "page.png") as page:
        assert page.size == (3 * 34 + 2, 2 * 66 + 2)


def test_truth_sheet_has_four_layers():
    plain, truth = draw_sheet(crowd(48, 48), 1, 2, 2), draw_sheet(crowd(48, 48), 1, 2, 2, truth=True)
    assert truth.shape[0] == plain.shape[0] + 3 * 48
    assert np.array_equal(plain[2:50, 2:50], truth[2:50, 2:50])


@pytest.mark.parametrize("bad", [{"count": 0}, {"columns": 0}, {"count": 5000}, {"size": (4, 4)}])
def test_bad_sheets_are_refused(tmp_path, bad):
    with pytest.raises(FiguraInputError):
        sheet(SheetConfig(tmp_path / "page.png", **bad))
    assert not (tmp_path / "page.png").exists()


def test_a_bad_command_ends_with_one_sentence_and_code_2(tmp_path):
    result = figura("write", "--format", "stylegan", "--out", str(tmp_path / "set"), "--size", "64", "64")
    assert result.returncode == 2
    assert "twice the width" in result.stderr and "Traceback" not in result.stderr
    assert not (tmp_path / "set").exists()


def test_help_names_the_verbs_and_loads_neither_torch_nor_opencv():
    code = (
        "import sys; from pipelines.mannequin import commands;"
        "heavy = {'torch', 'cv2', 'numpy', 'pyarrow'} & set(sys.modules); assert not heavy, heavy;"
        "print(sorted(commands.COMMANDS))"
    )
    result = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert result.stdout.strip() == "['read', 'sheet', 'train-reader', 'write']", result.stderr


def test_portraits_suit_stylegan():
    config = portraits()
    assert config.height == 2 * config.width and config.aligned
