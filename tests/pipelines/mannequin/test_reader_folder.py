"""``figura mannequin read --images``: a folder read, scored against captions, what is unusable named."""

import json
from dataclasses import replace

import pytest
from comfyui_figura.pipelines.common.bad_samples import BadSamples, TooManyBadSamples
from comfyui_figura.pipelines.common.errors import FiguraInputError
from comfyui_figura.pipelines.mannequin import captions, configs
from comfyui_figura.pipelines.mannequin.reader import commands, folder
from comfyui_figura.pipelines.mannequin.reader.configs import HELD_OUT_SEED
from comfyui_figura.pipelines.mannequin.reader.reading import load_reader
from comfyui_figura.pipelines.mannequin.scene import render
from PIL import Image


@pytest.fixture(scope="module")
def shipped():
    return load_reader()


def test_a_folder_is_read_and_scored_against_its_captions(tmp_path, shipped, capsys):
    lines = []
    for index in range(6):
        picture = render(configs.demo(), HELD_OUT_SEED, index)
        Image.fromarray(picture.image).save(tmp_path / f"{index}.png")
        lines.append(json.dumps({"file": f"{index}.png", "caption": captions.short_caption(picture)}))
    (tmp_path / "captions.jsonl").write_text("\n".join(lines))
    commands.read(commands.ReadConfig(tmp_path, tmp_path / "captions.jsonl", out=tmp_path / "o.json"))
    found = json.loads((tmp_path / "o.json").read_text())
    assert found == json.loads(capsys.readouterr().out)
    assert list(found["pictures"]) == [f"{index}.png" for index in range(6)]
    assert found["scores"]["clothes_colors"] >= 0.9 and len(found["pictures"]["0.png"]["keypoints"]) == 17


def test_pictures_of_another_shape_and_broken_ones_are_left_out_and_named(tmp_path, capsys):
    for index in range(4):
        picture = render(configs.demo(), HELD_OUT_SEED, index)
        Image.fromarray(picture.image).save(tmp_path / f"{index}.png")
    captioned = [f"{index}.png" for index in range(4)] + ["wide.png"]
    lines = [
        json.dumps(
            {"file": name, "caption": captions.short_caption(render(configs.demo(), HELD_OUT_SEED, i))}
        )
        for i, name in enumerate(captioned)
    ]
    (tmp_path / "captions.jsonl").write_text("\n".join(lines))
    clean = commands.ReadConfig(tmp_path, tmp_path / "captions.jsonl", bad_limit=0.5)
    commands.read(clean)
    alone = json.loads(capsys.readouterr().out)
    assert alone["skipped"] == {}
    Image.new("RGB", (128, 64)).save(tmp_path / "wide.png")
    (tmp_path / "broken.png").write_text("no picture")
    Image.new("RGB", (1, 2)).save(tmp_path / "dot.png")
    commands.read(clean)
    found = json.loads(capsys.readouterr().out)
    assert list(found["skipped"]) == ["broken.png", "dot.png", "wide.png"]
    assert "128 x 64 pixels" in found["skipped"]["wide.png"]
    assert found["pictures"] == alone["pictures"] and found["scores"] == alone["scores"]
    with pytest.raises(TooManyBadSamples, match="3 unusable of 7.*broken.png.*dot.png.*wide.png"):
        commands.read(replace(clean, bad_limit=0.4))


def test_a_folder_with_too_many_broken_pictures_is_refused(tmp_path, shipped):
    with pytest.raises(FiguraInputError, match="without pictures"):
        folder.read_folder(shipped, tmp_path)
    with pytest.raises(FiguraInputError, match="absent"):
        folder.read_folder(shipped, tmp_path / "absent")
    for index in range(5):
        Image.fromarray(render(configs.demo(), 1, index).image).save(tmp_path / f"{index}.png")
    (tmp_path / "5.png").write_bytes(b"")
    with pytest.raises(FiguraInputError, match="5.png"):
        folder.read_folder(shipped, tmp_path)
    assert len(folder.read_folder(shipped, tmp_path, BadSamples(0.2))) == 5
    (tmp_path / "c.jsonl").write_text('{"file": "other.png", "caption": "x"}\n')
    with pytest.raises(FiguraInputError, match="other files"):
        folder.read_captions(tmp_path / "c.jsonl", ["0.png"])


def test_captions_that_cannot_be_used_are_counted(tmp_path):
    rows = [{"file": f"{n}.png", "caption": f"a man {n}"} for n in range(20)]
    rows[3]["caption"], rows[4]["caption"] = " ", None
    lines = [json.dumps(row) for row in [*rows, rows[5]]]
    (tmp_path / "c.jsonl").write_text("\n".join([*lines, "no JSON"]))
    names = [row["file"] for row in rows]
    found = folder.read_captions(tmp_path / "c.jsonl", names, limit=0.2)
    assert list(found) == [name for name in names if name not in ("3.png", "4.png")]
    with pytest.raises(TooManyBadSamples) as caught:
        folder.read_captions(tmp_path / "c.jsonl", names, limit=0.15)
    assert len(caught.value.samples) == 4 and {"3.png", "4.png"} < set(caught.value.samples)
