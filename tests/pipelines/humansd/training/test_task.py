"""HumanSD's trainer on a few mannequins: it learns, resumes to the bit, and its model opens as HumanSD."""

import json
import random
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from comfyui_figura.pipelines.common.errors import FiguraInputError, FiguraWeightsError
from comfyui_figura.pipelines.common.training.configs import TrainerConfig
from comfyui_figura.pipelines.common.training.loop import train
from comfyui_figura.pipelines.common.weights import load_state_dict
from comfyui_figura.pipelines.demo import humansd as demo
from comfyui_figura.pipelines.demo import scores
from comfyui_figura.pipelines.humansd import checkpoint, unet
from comfyui_figura.pipelines.humansd.commands import train as command
from comfyui_figura.pipelines.humansd.dataset import counted
from comfyui_figura.pipelines.humansd.training.augmentation import Draws, draw, varied
from comfyui_figura.pipelines.humansd.training.configs import NEVER, Chances, TrainConfig
from comfyui_figura.pipelines.humansd.training.samples import PoseSamples, Sample, skeleton_of
from comfyui_figura.pipelines.humansd.training.task import HumanSDTask
from comfyui_figura.pipelines.mannequin import formats, storage
from comfyui_figura.pipelines.mannequin.configs import crowd
from comfyui_figura.pipelines.mannequin.configs import demo as demo_world

GOLDEN_TINY = Path(__file__).parents[3] / "golden" / "data" / "humansd" / "tiny_ckpt.safetensors"


@pytest.fixture(autouse=True)
def one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return storage.write_set(formats.HumanSD(crowd(72, 80), 9), tmp_path_factory.mktemp("data"), 20)


@pytest.fixture(scope="module")
def models_dir(tmp_path_factory):
    out = tmp_path_factory.mktemp("models")
    demo.write_models(out)
    return out / "checkpoints"


def config(folder, models_dir, out, steps=4, base=demo.PLAIN, **more):
    trainer = TrainerConfig(
        out, steps=steps, batch=4, checkpoint_every=2, log_every=1, sample_every=0, workers=1, cpu=True
    )
    settings = {"size": (64, 64), "held_out": 2, "preview_steps": 2, "lr": 1e-3, "scale_lr": False} | more
    return TrainConfig(trainer, models_dir / base, [folder], **settings)


def run(settings):
    return train(HumanSDTask(settings), settings.trainer)


def test_starts_from_sd21_and_comes_out_as_humansd(folder, models_dir, tmp_path):
    settings = config(folder, models_dir, tmp_path / "run", ema=0.9)
    start = HumanSDTask(settings).modules["unet"].conv_in.weight
    assert start.shape[1] == 8 and start[:, :4].any() and not start[:, 4:].any()
    command(settings)
    lines = [json.loads(line) for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [1, 2, 3, 4] and all(line["loss"] > 0 for line in lines)
    opened = checkpoint.read(tmp_path / "run" / "model")
    assert opened.unet_config["in_channels"] == unet.CHANNELS
    assert opened.unet["input_blocks.0.0.weight"][:, 4:].any()  # the skeleton counts now
    again = config(folder, models_dir, tmp_path / "second", steps=1)
    run(replace(again, base_path=tmp_path / "run" / "model"))  # and training goes on from it


def test_learns_four_samples_by_heart(folder, models_dir, tmp_path):
    settings = config(folder, models_dir, tmp_path, steps=40, base=demo.CHECKPOINT, chances=NEVER, lr=2e-3)
    task = HumanSDTask(settings)
    task.data.places, task.length = task.data.places[:4], 4
    train(task, settings.trainer)
    losses = [json.loads(line)["loss"] for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert np.mean(losses[-10:]) < 0.9 * np.mean(losses[:10])


def test_a_run_that_was_cut_off_ends_the_same(folder, models_dir, tmp_path):
    whole, cut = (config(folder, models_dir, tmp_path / name, ema=0.9, drop_text=0.3) for name in ("a", "b"))
    run(whole)

    def stop(done, total, preview=None):
        if done >= 12:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(HumanSDTask(cut), cut.trainer, stop)
    run(cut)
    one, other = (load_state_dict(tmp_path / name / "model" / "unet") for name in ("a", "b"))
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_samples_vary_from_update_to_update_and_not_with_their_batch(folder, models_dir, tmp_path):
    task = HumanSDTask(config(folder, models_dir, tmp_path, chances=Chances(0.5, 0.5, 0.5, 1, 1)))
    first, again, later = task.batch_at([0, 1], 3), task.batch_at([1], 3), task.batch_at([0, 1], 4)
    assert torch.equal(first["pixels"][1:], again["pixels"]) and first["prompts"][1:] == again["prompts"]
    assert not torch.equal(first["pixels"], later["pixels"])
    assert torch.equal(task.batch([0])["pixels"], task.batch([0])["pixels"])
    assert first["pixels"].shape == first["skeletons"].shape == (2, 3, 64, 64)


@pytest.mark.parametrize("loss", ["heatmap_released", "heatmap_paper"])
def test_the_weighted_losses_run(loss, folder, models_dir, tmp_path):
    settings = config(
        folder, models_dir, tmp_path, steps=1, loss=loss, estimator=GOLDEN_TINY, heatmap_weight=0.5
    )
    run(settings)
    (line,) = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert line["weighted"] != line["loss"] and line["weighted"] > 0


def test_mirrored_people_keep_their_joints_on_their_bodies():
    """A disc is painted at every joint; after any change it lies where the joint says."""
    import cv2

    rng = random.Random(5)
    for _ in range(40):
        joint = np.array([rng.uniform(30, 110), rng.uniform(30, 70)], np.float32)
        image = np.zeros((100, 140, 3), np.uint8)
        cv2.circle(image, tuple(int(v + 0.5) for v in joint), 4, (255, 255, 255), cv2.FILLED)
        people = np.zeros((1, 17, 3), np.float32)
        people[..., :2] = -1
        people[0, 7] = (*np.round(joint), 1)
        picture, moved = varied(image, people, (64, 64), draw(rng, Chances(0.5, 0.5, 0.7, 0, 0)))
        x, y, score = moved[0, 7]
        if score and 4 < x < 60 and 4 < y < 60:
            assert picture[round(float(y)), round(float(x))].mean() > 128
        assert not moved[0, :7, 2].any() and (moved[0, :7, :2] == -1).all()


def test_one_chance_does_not_move_the_others():
    never, always = (draw(random.Random(3), Chances(*[share] * 5)) for share in (0, 1))
    assert (never.top, never.left) == (always.top, always.left)
    assert never == Draws(never.top, never.left) and always.mirror and always.turn is not None
    assert (always.shift is None) != (always.tint is None)


def test_fine_skeletons_for_small_pictures():
    people = np.zeros((1, 17, 3), np.float32)
    people[0, 5], people[0, 7] = (10, 10, 1), (50, 50, 1)
    thick, fine = skeleton_of(people, (64, 64)), skeleton_of(people, (64, 64), scale=4)
    assert fine.shape == thick.shape == (64, 64, 3)
    assert 0 < (fine.sum(-1) > 100).sum() < 0.5 * (thick.sum(-1) > 100).sum()
    assert fine[30, 30].any() and not fine[10, 50].any()


def test_the_reader_sees_who_stands_as_asked(tmp_path):
    root = storage.write_set(formats.HumanSD(demo_world(128, 64), 3), tmp_path / "set", 16)
    data = PoseSamples([root], "mapping_train.json", (128, 64))
    samples = [data.plain(place) for place in data.places]
    asked = scores.poses(np.stack([sample.image for sample in samples]), samples)
    assert asked["pck"] > 0.95 and asked["clothes_colors"] > 0.9
    wrong = [Sample(s.image, s.skeleton, s.people + np.float32((20, 0, 0)), s.prompt) for s in samples]
    assert scores.poses(np.stack([sample.image for sample in samples]), wrong)["pck"] < 0.1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"data": []}, "mapping file"),
        ({"data": [Path("nowhere")]}, "nowhere"),
        ({"mapping": "none.json"}, "none.json"),
        ({"size": (100, 64)}, "64"),
        ({"lr": float("nan")}, "lr"),
        ({"ema": 1.0}, "ema"),
        ({"heatmap_weight": float("inf")}, "heatmap_weight"),
        ({"guidance": -1.0}, "guidance"),
        ({"trainer": TrainerConfig(Path(__file__))}, "trainer.out"),
        ({"drop_text": 2.0}, "0 to 1"),
        ({"chances": Chances(mirror=-1)}, "0 to 1"),
        ({"base_path": Path("nothing.ckpt")}, "nothing.ckpt"),
        ({"loss": "heatmap_released"}, "HigherHRNet"),
        ({"score": "no:where"}, "score"),
    ],
)
def test_what_cannot_be_trained_is_told(change, message, folder, models_dir, tmp_path):
    settings = replace(config(folder, models_dir, tmp_path), **change)
    with pytest.raises((FiguraInputError, FiguraWeightsError), match=message):
        HumanSDTask(settings)


def test_mannequins_drawn_in_memory_are_those_on_disk(folder, models_dir, tmp_path):
    on_disk = PoseSamples([folder], "mapping_train.json", (64, 64))
    drawn = PoseSamples([Path(".mannequin.stream:poses,world=humansd,count=20,seed=9")], "", (72, 80))
    by_number = {int(Path(on_disk.name(place)).stem): place for place in on_disk.places}
    for number, place in by_number.items():
        one, other = on_disk.sets[0].read(place[1]), drawn.sets[0].read(number)
        assert one.prompt == other.prompt and np.abs(one.image.astype(int) - other.image).mean() < 4  # JPEG
        np.testing.assert_allclose(one.people, counted(other.people, (72, 80)), atol=1e-4)
    settings = config(Path(".mannequin.stream:poses,count=8"), models_dir, tmp_path, steps=1, size=(128, 64))
    run(settings)
    assert (tmp_path / "model" / "model_index.json").is_file()
