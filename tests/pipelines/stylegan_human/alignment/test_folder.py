"""Folders of photos: bad ones are named and skipped, good ones go there and back; the command's verbs."""

import json
import sys

import numpy as np
import pytest
import torch
from comfyui_figura.pipelines import __main__ as figura
from comfyui_figura.pipelines.common.errors import FiguraInputError, FiguraWeightsError
from comfyui_figura.pipelines.common.images import read_image
from comfyui_figura.pipelines.pose.files import save_poses
from comfyui_figura.pipelines.pose.pose import Pose
from comfyui_figura.pipelines.stylegan_human.alignment.folder import Sources, align_folder, paste_folder
from comfyui_figura.pipelines.stylegan_human.alignment.person_mask import (
    load_segmenter,
    own_mask,
    person_classes,
    read_mask,
)
from PIL import Image

SIZE = (240, 160)


def draw(path, alpha=None):
    """A red figure on grey, with an alpha channel if asked for."""
    picture = np.full((*SIZE, 3), 120, np.uint8)
    picture[20:220, 60:100] = 200, 40, 40
    if alpha is not None:
        picture = np.dstack([picture, alpha])
    Image.fromarray(picture).save(path)


def shape():
    mask = np.zeros(SIZE, np.uint8)
    mask[20:220, 60:100] = 255
    return mask


def person(people=1, missing=()):
    joints = np.ones((people, 17, 3))
    joints[..., :2] = 80, 120
    joints[:, list(missing), 2] = 0
    return Pose(joints, SIZE)


@pytest.fixture
def folders(tmp_path):
    """Photos good and bad, with masks and poses beside them."""
    images, masks, poses = (tmp_path / name for name in ("images", "masks", "poses"))
    for folder in (images, masks, poses):
        folder.mkdir()
    for name in (
        "good",
        "two",
        "no_mask",
        "no_pose",
        "small_mask",
        "empty_mask",
        "no_hips",
        "pixel",
        "again",
    ):
        draw(images / f"{name}.png")
        Image.fromarray(shape()).save(masks / f"{name}.png")
        save_poses(poses / name, [person(2 if name == "two" else 1, (11, 12) if name == "no_hips" else ())])
    (masks / "no_mask.png").unlink()
    (poses / "no_pose.json").unlink()
    Image.fromarray(shape()[::2, ::2]).save(masks / "small_mask.png")
    Image.fromarray(shape() * 0).save(masks / "empty_mask.png")
    Image.new("RGB", (1, 1)).save(images / "pixel.png")
    (images / "text.jpg").write_text("<html>not a picture</html>")
    (images / ".hidden.png").write_bytes(b"")
    (images / "notes.txt").write_text("not even meant as one")
    draw(images / "again.jpg")
    return images, masks, poses


REASONS = {
    "two.png": "2 people", "no_mask.png": "no file of this name", "no_pose.png": "no file of this name",
    "small_mask.png": "80 x 120", "empty_mask.png": "empty mask", "no_hips.png": "hip", "pixel.png": "1 x 1",
    "text.jpg": "does not open", "again.png": "second picture",
}  # fmt: skip


def test_bad_pictures_are_named_and_skipped(folders, tmp_path):
    images, masks, poses = folders
    calls = []
    report = align_folder(
        images, tmp_path / "out", Sources(masks, poses), progress=lambda *words: calls.append(words[:2])
    )
    assert report.written == ["again", "good"] and set(report.skipped) == set(REASONS)
    for name, words in REASONS.items():
        assert words in report.skipped[name], name
    written = sorted(
        path.relative_to(tmp_path / "out").as_posix() for path in (tmp_path / "out").rglob("*.*")
    )
    assert written == ["again.png", "alignments.json", "good.png", "masks/again.png", "masks/good.png"]
    assert calls == [(i + 1, 11) for i in range(11)]


def test_any_failure_of_one_picture_leaves_the_others(folders, tmp_path):
    """Even one that is no sentence of ours."""
    images, masks, _ = folders

    def find_pose(image):
        raise ZeroDivisionError("deep inside")

    report = align_folder(images, tmp_path / "out", Sources(masks, find_pose=find_pose))
    assert not report.written and "ZeroDivisionError" in report.skipped["good.png"]
    assert not (tmp_path / "out").exists()


def test_interrupted_it_keeps_what_was_done(folders, tmp_path):
    images, masks, poses = folders

    def stop(done, total, preview=None):
        if done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        align_folder(images, tmp_path / "out", Sources(masks, poses), progress=stop)
    records = json.loads((tmp_path / "out/alignments.json").read_text())
    assert list(records) == ["again"] and (tmp_path / "out/again.png").is_file()


def test_transparency_is_a_mask_and_bystanders_are_whitened_away(tmp_path):
    (tmp_path / "images").mkdir()
    draw(tmp_path / "images/cut_out.png", shape())
    seen = []

    def find_pose(image):
        seen.append(image)
        return person()

    report = align_folder(tmp_path / "images", tmp_path / "out", Sources(find_pose=find_pose))
    assert report.written == ["cut_out"]
    assert seen[0][0, 0, 0].eq(1).all() and seen[0][0, 120, 80, 0] > 0.7
    draw(tmp_path / "images/cut_out.png")
    report = align_folder(tmp_path / "images", tmp_path / "out2", Sources(find_pose=find_pose))
    assert "--masks" in report.skipped["cut_out.png"]


def test_masks_in_every_kind_of_file(tmp_path):
    """Grey, coloured, opaque with an alpha channel, and the alpha channel itself."""
    grey = Image.fromarray(shape())
    opaque = Image.merge("RGBA", [grey, grey, grey, Image.new("L", grey.size, 255)])
    cut_out = Image.merge("RGBA", [Image.new("L", grey.size, 77)] * 3 + [grey])
    for name, picture in {
        "grey": grey,
        "colours": grey.convert("RGB"),
        "opaque": opaque,
        "cut": cut_out,
    }.items():
        picture.save(tmp_path / f"{name}.png")
        assert torch.equal(read_mask(tmp_path / f"{name}.png")[0], torch.from_numpy(shape() / 255).float()), (
            name
        )
    assert own_mask(tmp_path / "grey.png") is None and own_mask(tmp_path / "opaque.png") is None


def test_there_and_back(folders, tmp_path):
    """Edited people return to their photos; names say which; others are skipped."""
    images, masks, poses = folders
    out, edited = tmp_path / "out", tmp_path / "edited"
    align_folder(images, out, Sources(masks, poses))
    edited.mkdir()
    picture = np.asarray(Image.open(out / "good.png")).copy()
    Image.fromarray(picture).save(edited / "good.png")
    picture[(picture < 240).any(axis=-1)] = 10, 10, 200
    Image.fromarray(picture).save(edited / "good_blue.png")
    Image.fromarray(picture).save(edited / "stranger.png")
    report = paste_folder(images, out, edited, tmp_path / "back")
    assert report.written == ["good", "good_blue"] and "no aligned photo" in report.skipped["stranger.png"]
    back = tmp_path / "back"
    places = images / "good.png", back / "good.png", back / "good_blue.png"
    photo, same, blue = (read_image(path)[0] for path in places)
    assert (same - photo).abs().max() < 0.35 and (same - photo).abs()[30:210, 66:94].max() < 3 / 255
    assert blue[120, 80, 2] > 0.7 and torch.equal(blue[:, :50], photo[:, :50])


@pytest.mark.parametrize("content", ["{", "[]", '{"good": {"box": [1]}}', '{"good": 3}'])
def test_damaged_records_are_refused(folders, tmp_path, content):
    images, masks, poses = folders
    out = tmp_path / "out"
    align_folder(images, out, Sources(masks, poses))
    (out / "alignments.json").write_text(content)
    try:
        report = paste_folder(images, out, out, tmp_path / "back")
    except FiguraInputError as error:
        assert "alignments.json" in str(error)
    else:
        assert "damaged record" in report.skipped["good.png"] and not report.written


@pytest.mark.parametrize("folder", ["missing", "empty"])
def test_folders_without_pictures_are_refused(tmp_path, folder):
    (tmp_path / "empty").mkdir()
    with pytest.raises(FiguraInputError, match="images"):
        align_folder(tmp_path / folder, tmp_path / "out", Sources())


def figura_stylegan(monkeypatch, *words):
    monkeypatch.setattr(sys, "argv", ["figura", "stylegan", *map(str, words)])
    figura.main()


def test_command_align_and_paste(folders, tmp_path, monkeypatch, capsys):
    images, masks, poses = folders
    out = tmp_path / "aligned"
    figura_stylegan(monkeypatch, "align", "--images", images, "--masks", masks, "--poses", poses,
                    "--outdir", out, "--height", 512)  # fmt: skip
    said = capsys.readouterr().out
    assert "2 picture(s)" in said and "skipped two.png" in said
    assert Image.open(out / "good.png").size == (256, 512)
    figura_stylegan(monkeypatch, "paste", "--photos", images, "--aligned", out, "--edited", out,
                    "--outdir", tmp_path / "back")  # fmt: skip
    assert Image.open(tmp_path / "back/good.png").size == SIZE[::-1]


def test_command_fails_when_nothing_was_written(folders, tmp_path, monkeypatch):
    images, masks, poses = folders
    with pytest.raises(SystemExit) as stop:
        figura_stylegan(monkeypatch, "align", "--images", images, "--masks", poses, "--poses", poses,
                        "--outdir", tmp_path / "out")  # fmt: skip
    assert stop.value.code == 2


def test_command_bg_white(tmp_path, monkeypatch):
    for name in ("raw", "seg"):
        (tmp_path / name).mkdir()
    draw(tmp_path / "raw/a.png")
    draw(tmp_path / "raw/b.png")
    Image.fromarray(np.dstack([shape()] * 3)).save(tmp_path / "seg/a.png")
    figura_stylegan(
        monkeypatch, "bg-white", "--raw_img_dir", tmp_path / "raw", "--raw_seg_dir", tmp_path / "seg",
        "--outdir", tmp_path / "out",
    )  # fmt: skip
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["a.png"]
    white = np.asarray(Image.open(tmp_path / "out/a.png"))
    assert (white[:5, :5] > 240).all() and (np.abs(white[120, 80].astype(int) - [200, 40, 40]) <= 1).all()


@pytest.fixture(scope="module")
def segformer(tmp_path_factory):
    from safetensors.torch import save_file
    from transformers import SegformerConfig, SegformerForSemanticSegmentation

    folder = tmp_path_factory.mktemp("segformer")
    config = SegformerConfig(
        hidden_sizes=[8, 8, 8, 8], depths=[1] * 4, num_attention_heads=[1] * 4, decoder_hidden_size=8,
        id2label={0: "background", 1: "hat", 2: "pants"}, label2id={"background": 0, "hat": 1, "pants": 2},
    )  # fmt: skip
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = SegformerForSemanticSegmentation(config)
    save_file(model.state_dict(), folder / "model.safetensors")
    (folder / "config.json").write_text(config.to_json_string())
    return folder


def test_segmenter(segformer):
    mask = load_segmenter(segformer)(torch.rand(1, 60, 40, 3))
    assert mask.shape == (1, 60, 40) and 0 <= mask.min() <= mask.max() <= 1


def test_classes_by_name():
    assert person_classes({0: "wall", 12: "person"}) == [12]
    assert person_classes({0: "Background", 1: "Hat", 2: "Pants"}) == [1, 2]
    with pytest.raises(FiguraWeightsError, match="wall"):
        person_classes({0: "wall", 1: "sky"})


@pytest.mark.parametrize("content", [None, "{", "[]", '{"model_type": "vit"}'])
def test_segmenter_refuses(tmp_path, content):
    if content is not None:
        (tmp_path / "config.json").write_text(content)
    with pytest.raises(FiguraWeightsError):
        load_segmenter(tmp_path)
