"""``figura humansd``: pictures from poses, skeletons from pose files, files converted; on a tiny file."""

import json

import numpy as np
import pytest
import torch
from comfyui_figura.pipelines.common import ldm, weights
from comfyui_figura.pipelines.common.errors import FiguraInputError, FiguraWeightsError
from comfyui_figura.pipelines.demo import humansd as demo
from comfyui_figura.pipelines.humansd import checkpoint, generate, model
from comfyui_figura.pipelines.humansd.commands import COMMANDS
from comfyui_figura.pipelines.humansd.configs import (
    ConvertConfig,
    GenerateConfig,
    SampleConfig,
    SkeletonConfig,
    WidenConfig,
)
from comfyui_figura.pipelines.humansd.defaults import ADDED_PROMPT, NEGATIVE_PROMPT
from comfyui_figura.pipelines.humansd.poses import draw_all
from comfyui_figura.pipelines.humansd.skeleton import draw_skeleton
from comfyui_figura.pipelines.pose.files import load_pose, save_poses
from comfyui_figura.pipelines.pose.library import ready_pose
from PIL import Image

FEW = SampleConfig(ddim_steps=2)


@pytest.fixture(scope="module")
def models_dir(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    demo.write_models(folder)
    return folder / "checkpoints"


@pytest.fixture
def config(models_dir, tmp_path):
    """A run with changes to small defaults."""

    def make(**changes):
        given = {"prompt": "dancers", "humansd_checkpoint": models_dir / demo.CHECKPOINT, "device": "cpu"}
        small = {"save_path": tmp_path / "out", "sample": FEW, "image_H": 128, "image_W": 64}
        return GenerateConfig(**{**given, **small, **changes})

    return make


def pixels(path):
    return np.asarray(Image.open(path)).astype(int)


def test_released_defaults():
    sample = SampleConfig()
    assert (sample.ddim_steps, sample.scale, sample.strength, sample.eta) == (50, 10.0, 1.0, 0.0)
    assert ADDED_PROMPT == "detailed background, best quality, extremely detailed"
    assert NEGATIVE_PROMPT.startswith("longbody, lowres, bad anatomy") and NEGATIVE_PROMPT.endswith(
        "low quality"
    )


def test_ready_pose(config, tmp_path):
    paths = list(generate.run(config(ready_pose="two_people", num_samples=2)))
    assert [path.name for path in paths] == ["two_people_1234.png", "two_people_1235.png"]
    assert pixels(paths[0]).shape == (128, 64, 3)
    words = Image.open(paths[0]).text["parameters"]
    assert "Seed: 1234" in words and ADDED_PROMPT in words and NEGATIVE_PROMPT in words
    skeleton = pixels(tmp_path / "out" / "two_people_skeleton.png")
    assert skeleton.shape == (128, 64, 3) and skeleton.max() > 200


def test_folder_of_poses_in_two_formats(config, tmp_path):
    poses = tmp_path / "poses"
    poses.mkdir()
    save_poses(poses / "b", [ready_pose("standing"), ready_pose("dancing")], "json")
    save_poses(poses / "a", [ready_pose("running")], "npz (HumanSD)")
    names = [path.name for path in generate.run(config(pose_file=poses))]
    assert names == ["a_1234.png", "b_0000_1235.png", "b_0001_1236.png"]


def test_a_picture_depends_on_its_seed_alone(config):
    many = list(generate.run(config(ready_pose="standing", num_samples=3)))
    together = pixels(many[2])
    (alone,) = generate.run(config(ready_pose="standing", seed=1236))
    assert abs(pixels(alone) - together).max() <= 1, "one grey level: batches round otherwise"


def test_joints_follow_the_canvas(config, tmp_path):
    """The released demo drew joints of the source picture on a canvas of 512, unscaled."""
    pose = ready_pose("standing")
    large = save_poses(tmp_path / "large", [pose], "npz")[0]
    list(generate.run(config(pose_file=large, image_H=None, image_W=None)))
    drawn = pixels(tmp_path / "out" / "large_skeleton.png")
    assert drawn.shape == (768, 512, 3)
    expected = draw_skeleton(pose.people, 768, 512)
    assert np.array_equal(drawn, expected)
    list(generate.run(config(pose_file=large, image_H=192, image_W=128)))
    small = pixels(tmp_path / "out" / "large_skeleton.png")
    rows = np.flatnonzero(small.sum((1, 2)))
    assert rows[0] < 48 and rows[-1] > 150, "the whole person is on the small canvas"


def test_drawn_skeleton_and_initial_picture(config, tmp_path):
    skeleton = tmp_path / "drawn.png"
    Image.fromarray(draw_skeleton(ready_pose("standing").people, 768, 512)).save(skeleton)
    start = tmp_path / "start.png"
    Image.new("RGB", (100, 100), (200, 30, 30)).save(start)
    plain, begun = (
        pixels(next(generate.run(config(skeleton=skeleton, sample=sample, init_image=start))))
        for sample in (FEW, SampleConfig(ddim_steps=2, strength=0.5))
    )
    assert abs(plain - begun).max() > 5


@pytest.mark.parametrize(
    "change", [{"schedule": "legacy_49"}, {"eta": 1.0}, {"scale": 1.0}, {"pose_strength": 0.0}]
)
def test_settings_count(config, change):
    first = pixels(next(generate.run(config(ready_pose="standing"))))
    sample = SampleConfig(ddim_steps=2, **change)
    assert abs(pixels(next(generate.run(config(ready_pose="standing", sample=sample)))) - first).max() > 1


BAD = {
    "no pose": {},
    "two poses": {"ready_pose": "standing", "image": "x.png"},
    "no such ready pose": {"ready_pose": "flying"},
    "no such file": {"pose_file": "absent.npz"},
    "no prompt": {"ready_pose": "standing", "prompt": " "},
    "odd size": {"ready_pose": "standing", "image_H": 100},
    "no samples": {"ready_pose": "standing", "num_samples": 0},
    "negative seed": {"ready_pose": "standing", "seed": -1},
    "no estimator": {"image": "photo.png"},
    "no steps": {"ready_pose": "standing", "sample": SampleConfig(ddim_steps=0)},
    "strength without picture": {"ready_pose": "standing", "sample": SampleConfig(strength=0.5)},
    "no such device": {"ready_pose": "standing", "device": "abacus"},
    "no such checkpoint": {"ready_pose": "standing", "humansd_checkpoint": "absent.ckpt"},
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input(config, tmp_path, case):
    from pathlib import Path

    Image.new("RGB", (64, 64)).save(tmp_path / "photo.png")
    changes = dict(BAD[case])
    for key in ("pose_file", "image", "humansd_checkpoint"):
        if key in changes:
            changes[key] = tmp_path / Path(changes[key])
    with pytest.raises(FiguraInputError):
        list(generate.run(config(**changes)))
    assert not list(tmp_path.glob("out/*_1234.png"))


def test_plain_sd21_is_refused_before_poses_are_read(config, models_dir):
    with pytest.raises(FiguraWeightsError, match="Stable Diffusion 2"):
        list(generate.run(config(ready_pose="standing", humansd_checkpoint=models_dir / demo.PLAIN)))


def test_nobody_gives_an_empty_skeleton(config, tmp_path, caplog):
    path = tmp_path / "nobody.json"
    path.write_text(json.dumps([{"people": [], "canvas_width": 128, "canvas_height": 128}]))
    (picture,) = generate.run(config(pose_file=path))
    assert picture.is_file() and "nobody" in caplog.text
    assert not pixels(tmp_path / "out" / "nobody_skeleton.png").any()


def test_skeletons_of_a_folder(tmp_path):
    (tmp_path / "in").mkdir()
    save_poses(tmp_path / "in" / "one", [ready_pose("two_dancers")], "npz (HumanSD)")
    (drawn,) = draw_all(SkeletonConfig(source=tmp_path / "in", save_path=tmp_path / "out"))
    assert pixels(drawn).max() > 200
    assert len(load_pose(tmp_path / "out" / "one.npz")) == 2


def test_widen(models_dir, tmp_path):
    COMMANDS["widen"](WidenConfig(models_dir / demo.PLAIN, tmp_path / "start.safetensors"))
    parts = checkpoint.read(tmp_path / "start.safetensors")
    plain = weights.load_state_dict(models_dir / demo.PLAIN)[ldm.UNET_PREFIX + "input_blocks.0.0.weight"]
    first = parts.unet["input_blocks.0.0.weight"]
    assert torch.equal(first[:, :4], plain) and not first[:, 4:].any()
    with pytest.raises(FiguraWeightsError):
        COMMANDS["widen"](WidenConfig(models_dir / demo.CHECKPOINT, tmp_path / "no.safetensors"))
    assert not (tmp_path / "no.safetensors").exists()


def test_velocity_models_are_not_widened():
    state = {"input_blocks.0.0.weight": torch.zeros(8, 4, 3, 3)}
    state["output_blocks.11.1.transformer_blocks.0.norm1.bias"] = torch.randn(320)
    from comfyui_figura.pipelines.humansd.unet import widen

    with pytest.raises(FiguraWeightsError, match="768-pixel"):
        widen(state)


def test_convert(models_dir, tmp_path):
    COMMANDS["convert"](ConvertConfig(models_dir / demo.CHECKPOINT, tmp_path / "humansd.safetensors"))
    before, after = (
        checkpoint.read(models_dir / demo.CHECKPOINT),
        checkpoint.read(tmp_path / "humansd.safetensors"),
    )
    assert all(torch.equal(before.unet[name], after.unet[name]) for name in before.unet)
    names = weights.read_header(tmp_path / "humansd.safetensors")
    assert all(name.startswith(checkpoint.PREFIXES) for name in names), "estimator and schedule stay behind"
    assert model.load(tmp_path / "humansd.safetensors", "cpu").device.type == "cpu"
