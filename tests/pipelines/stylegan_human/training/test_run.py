"""Whole runs of the trainer: every preset's phases, resuming bit for bit, files that open elsewhere."""

import json
import random
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from comfyui_figura.pipelines.common.errors import FiguraInputError
from comfyui_figura.pipelines.common.training.logs import read_run
from comfyui_figura.pipelines.common.training.loop import train
from comfyui_figura.pipelines.common.training.report import page_of
from comfyui_figura.pipelines.demo.network_pickle import write_network
from comfyui_figura.pipelines.stylegan_human.configs import V2Config
from comfyui_figura.pipelines.stylegan_human.generate import sample_ws, synthesize
from comfyui_figura.pipelines.stylegan_human.loading import load_generator
from comfyui_figura.pipelines.stylegan_human.networks.discriminator import Discriminator
from comfyui_figura.pipelines.stylegan_human.networks.generator import build
from comfyui_figura.pipelines.stylegan_human.training import run as running
from comfyui_figura.pipelines.stylegan_human.training.aligned_images import AlignedImages
from comfyui_figura.pipelines.stylegan_human.training.configs import trainer_config
from comfyui_figura.pipelines.stylegan_human.training.measuring import Measuring
from comfyui_figura.pipelines.stylegan_human.training.presets import recipe
from comfyui_figura.pipelines.stylegan_human.training.starting import (
    fresh_networks,
    frozen_layers,
    resumed_networks,
)
from comfyui_figura.pipelines.stylegan_human.training.task import GanTask
from safetensors.torch import load_file
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from .conftest import small_config, write_pictures

EVERYTHING = dict(cfg="shhq", aug="ada", augpipe="bgcfnc", mirror=True, batch_gpu=2, mbstd_group=2, cbase=128,
                  cmax=8, style_mixing=0.9)  # fmt: skip


class Stop(Exception):
    """Ends a run at once, as a kill does."""


def run_until(config, stop: int | None = None):
    """``run``, without its bar; ends with Stop after ``stop`` updates."""
    data = AlignedImages(config.data, cond=config.cond, mirror=config.mirror)
    settled = recipe(config, data.size[0], data.label_dim)
    trainer = trainer_config(config, settled.batch, settled.kimg, 1)

    def progress(done, total, preview=None):
        if stop is not None and done >= stop * settled.batch:
            raise Stop

    task = GanTask(settled, fresh_networks(settled, config.seed), data, config.seed)
    return train(task, trainer, progress)


def log(out: Path) -> list[dict]:
    return [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]


def label(folder: Path) -> None:
    names = sorted(path.name for path in folder.glob("*.png"))
    rows = [[name, index % 3] for index, name in enumerate(names)]
    (folder / "dataset.json").write_text(json.dumps({"labels": rows}))


def test_interrupted_runs_end_bit_identically(pictures, tmp_path):
    """Lazy phases, two rounds, all augmentations with moving p, path lengths, mixing, labels."""
    label(pictures)
    settings = EVERYTHING | dict(kimg=0.032, cond=True)
    whole = small_config(pictures, tmp_path / "whole", **settings)
    run_until(whole)
    cut = replace(whole, outdir=tmp_path / "cut")
    chance = random.Random(1)
    for _ in range(2):
        with pytest.raises(Stop):
            run_until(cut, chance.randint(3, 7))
    run_until(cut)
    folders = [config.outdir / "checkpoints" / "step_00000008" for config in (whole, cut)]
    for path in sorted(folders[0].iterdir()):
        assert path.read_bytes() == (folders[1] / path.name).read_bytes(), path.name
    assert (whole.outdir / "log.jsonl").read_bytes() == (cut.outdir / "log.jsonl").read_bytes()
    state = json.loads((folders[0] / "state.json").read_text())["task"]
    assert state["path_mean"] > 0 and state["count"] == 0  # the last update moved p


@pytest.mark.parametrize("cfg", ["tiny", "shhq", "stylegan3-t", "stylegan3-r"])
def test_each_family_trains_and_its_network_opens(tmp_path, cfg):
    data = write_pictures(tmp_path / "pictures", 8, (16, 8) if cfg.startswith("stylegan3") else (32, 16))
    config = small_config(data, tmp_path / "run", cfg=cfg, mbstd_group=2)
    result = running.run(config)
    assert result is not None and (result.steps, result.bad_steps) == (4, 0)
    lines = log(config.outdir)
    assert {"G_loss", "D_loss_fake", "D_loss_real", "r1_penalty"} <= set(lines[0])
    generator = load_generator(config.outdir / "network.safetensors")
    pixels = synthesize(generator, sample_ws(generator, [1, 2], 0.7))
    height = 16 if cfg.startswith("stylegan3") else 32
    assert pixels.shape == (2, 3, height, height // 2) and pixels.isfinite().all()
    snapshots = sorted(path.name for path in (config.outdir / "snapshots").iterdir())
    assert len(snapshots) == 2
    last = load_file(config.outdir / "snapshots" / snapshots[-1])
    assert all(
        torch.equal(last[name], value)
        for name, value in load_file(config.outdir / "network.safetensors").items()
    )
    assert (config.outdir / "samples" / "samples_00000004.png").is_file()


def test_weights_move_and_the_average_follows(pictures, tmp_path):
    config = small_config(pictures, tmp_path / "run", kimg=0.064)
    settled = recipe(config, 32, 0)
    start = fresh_networks(settled, 0)
    running.run(config)
    end = load_file(config.outdir / "training.safetensors")
    for prefix, network in (("G.", start.generator), ("D.", start.discriminator), ("G_ema.", start.average)):
        for name, parameter in network.named_parameters():
            assert not torch.equal(end[prefix + name], parameter), prefix + name
    ema, fast = end["G_ema.synthesis.b8.conv0.weight"], end["G.synthesis.b8.conv0.weight"]
    before = start.generator.get_parameter("synthesis.b8.conv0.weight")
    assert (ema - before).norm() < (fast - before).norm()
    assert torch.equal(end["G_ema.mapping.w_avg"], end["G.mapping.w_avg"])


def test_a_picture_learned_by_heart(tmp_path):
    """Trained on one colour, the pictures' mean moves to it: gradients have the right sign end to end."""
    from PIL import Image

    folder = tmp_path / "red"
    folder.mkdir()
    for index in range(4):
        Image.new("RGB", (8, 16), (230, 30, 30)).save(folder / f"{index}.png")
    config = small_config(folder, tmp_path / "run", kimg=0.24, tick=0.24, ema_kimg=0.01, mbstd_group=2)
    running.run(config)
    generator = load_generator(config.outdir / "network.safetensors")
    red, green, blue = synthesize(generator, sample_ws(generator, range(8))).mean(dim=(0, 2, 3)).tolist()
    assert red > green + 0.5 and red > blue + 0.5, (red, green, blue)


def test_resume_from_networks(pictures, tmp_path):
    first = small_config(pictures, tmp_path / "first")
    running.run(first)
    settled = recipe(first, 32, 0)
    saved = load_file(first.outdir / "training.safetensors")
    for file in (first.outdir / "training.safetensors", first.outdir / "network.safetensors"):
        networks = resumed_networks(settled, 7, file)
        assert torch.equal(
            networks.average.synthesis.b8.conv0.weight, saved["G_ema.synthesis.b8.conv0.weight"]
        )
    networks = resumed_networks(settled, 7, first.outdir / "training.safetensors")
    assert torch.equal(networks.discriminator.b4.fc.weight, saved["D.b4.fc.weight"])
    assert torch.equal(networks.generator.mapping.w_avg, saved["G.mapping.w_avg"])
    second = replace(
        first, outdir=tmp_path / "second", resume=first.outdir / "training.safetensors", freezed=3
    )
    running.run(second)
    end = load_file(second.outdir / "training.safetensors")
    assert torch.equal(end["D.b32.conv1.weight"], saved["D.b32.conv1.weight"])
    assert not torch.equal(end["D.b16.conv1.weight"], saved["D.b16.conv1.weight"])
    assert recipe(second, 32, 0).ema_rampup is None


def test_resume_from_a_published_pickle(pictures, tmp_path):
    config = V2Config(32, z_dim=8, w_dim=8, mapping_layers=1, channel_base=128, channel_max=8)
    generator = build(config)
    write_network(tmp_path / "network.pkl", generator)
    networks = resumed_networks(recipe(small_config(pictures, tmp_path), 32, 0), 0, tmp_path / "network.pkl")
    for player in (networks.generator, networks.average):
        assert all(
            torch.equal(a, b) for a, b in zip(player.parameters(), generator.parameters(), strict=True)
        )


def test_resume_from_something_else(pictures, tmp_path):
    config = small_config(pictures, tmp_path)
    other = build(V2Config(32, z_dim=16, w_dim=16, mapping_layers=1, channel_base=64, channel_max=4))
    write_network(tmp_path / "other.pkl", other)
    (tmp_path / "page.pkl").write_bytes(b"<html>")
    for name, words in (
        ("other.pkl", "none of whose layers fit"),
        ("absent.pkl", "no file"),
        ("page.pkl", "page"),
    ):
        with pytest.raises(FiguraInputError, match=words):
            resumed_networks(recipe(config, 32, 0), 0, tmp_path / name)


def test_frozen_layers():
    discriminator = Discriminator(recipe(small_config(Path(), Path()), 32, 0).discriminator)
    blocks = [discriminator.b32.fromrgb, discriminator.b32.conv0, discriminator.b32.conv1,
              discriminator.b32.skip, discriminator.b16.conv0]  # fmt: skip
    wanted = {id(parameter) for layer in blocks for parameter in layer.parameters()}
    assert {id(parameter) for parameter in frozen_layers(discriminator, 5)} == wanted
    assert frozen_layers(discriminator, 0) == []
    with pytest.raises(FiguraInputError, match="at most"):
        frozen_layers(discriminator, 99)


def test_a_loss_that_is_not_finite_is_skipped_and_counted(pictures, tmp_path):
    config = small_config(pictures, tmp_path / "run")
    settled = recipe(config, 32, 0)
    networks = fresh_networks(settled, 0)
    with torch.no_grad():
        networks.discriminator.b4.out.bias.fill_(float("nan"))
    task = GanTask(settled, networks, AlignedImages(pictures))
    before = networks.generator.synthesis.b4.const.clone()
    result = train(task, replace(trainer_config(config, 4, 0.016, 1), max_bad_steps=9))
    assert result.bad_steps == 4
    assert torch.equal(networks.generator.synthesis.b4.const, before)
    named = json.loads((config.outdir / "bad_batches.jsonl").read_text().splitlines()[0])["names"]
    assert len(named) == 4 and all(name.startswith("img") for name in named)


def test_an_update_that_turns_bad_halfway_keeps_what_was_sound(pictures, tmp_path, monkeypatch, caplog):
    """Reals that are not finite: the generator has stepped before they are seen, and its average follows it;
    the discriminator, and every mean, stay. The log says which.
    """
    config = small_config(pictures, tmp_path / "run", kimg=0.012)
    settled = recipe(config, 32, 0)
    task = GanTask(settled, fresh_networks(settled, 0), AlignedImages(pictures))
    states, make = [], task._inputs

    def state():
        networks = (task.modules["G"], task.modules["D"], task.average)
        return [[value.clone() for value in network.state_dict().values()] for network in networks]

    def inputs(batch, draws, device):
        states.append(state())
        found = make(batch, draws, device)
        return found | ({"real": found["real"] * torch.nan} if len(states) == 2 else {})

    monkeypatch.setattr(task, "_inputs", inputs)
    with caplog.at_level("WARNING"):
        result = train(task, trainer_config(config, 4, 0.012, 1))
    assert (result.steps, result.bad_steps) == (3, 1)
    same = [
        all(torch.equal(a, b) for a, b in zip(before, after, strict=True))
        for before, after in zip(states[1], states[2], strict=True)
    ]
    assert same == [False, True, False]
    assert torch.equal(task.average.mapping.w_avg, task.modules["G"].generator.mapping.w_avg)
    (line,) = [json.loads(text) for text in (config.outdir / "bad_batches.jsonl").read_text().splitlines()]
    assert (line["step"], line["applied"], line["skipped"]) == (1, ["G"], ["D"])
    assert "Update 1 cut short (steps that stay: G)" in caplog.text
    page = page_of(read_run(config.outdir))
    assert "updates cut short" in page and "updates skipped" not in page


def test_one_bad_update_poisons_no_running_mean(pictures, tmp_path, monkeypatch):
    """NaN in w and in the verdicts of one update: w_avg, path length and ADA's signs are as before it."""
    config = small_config(pictures, tmp_path / "run", **EVERYTHING | {"kimg": 0.032})
    settled = recipe(config, 32, 0)
    task = GanTask(settled, fresh_networks(settled, 0), AlignedImages(pictures))
    draw, seen = task.draws, []

    def draws(step):
        found = draw(step)
        if step.number == 4:  # path lengths are due, and p moves after it was last moved
            found.latents = lambda count, width: torch.full((count, width), torch.nan)
        seen.append((task.average.mapping.w_avg.clone(), task.adversary.path.mean, task.control.signs))
        return found

    monkeypatch.setattr(task, "draws", draws)
    result = train(task, replace(trainer_config(config, settled.batch, settled.kimg, 1)))
    assert (result.steps, result.bad_steps) == (8, 1)
    (w_before, *before), (w_after, *after) = seen[4:6]
    assert before == after and before[0] > 0 and torch.equal(w_before, w_after)
    assert task.average.mapping.w_avg.isfinite().all() and not torch.equal(
        w_after, task.average.mapping.w_avg
    )
    assert 0 <= task.control.p < 1 and task.adversary.path.mean > 0


def test_dry_run_writes_nothing(pictures, tmp_path, capsys):
    config = small_config(pictures, tmp_path / "run", dry_run=True)
    assert running.run(config) is None
    shown = json.loads(capsys.readouterr().out)
    assert shown["recipe"]["batch"] == 4 and shown["trainer"]["steps"] == 4
    assert not config.outdir.exists()


class Colours:
    """A stand-in for a feature network: the mean colour and its spread."""

    def features(self, pixels):
        return torch.cat([pixels.mean(dim=(2, 3)), pixels.std(dim=(2, 3))], dim=1)


def test_metrics_are_logged_with_snapshots(pictures, tmp_path):
    place = "comfyui_figura.tests_have_no_package:Colours"
    config = small_config(
        pictures, tmp_path / "run", metrics=("fid", "kid"), metric_samples=16, detector=place
    )
    with pytest.raises(FiguraInputError, match="--detector"):
        running.run(config)
    running.run(replace(config, detector=f"{__name__}:Colours"))
    measured = [line for line in log(config.outdir) if "fid" in line]
    assert [line["step"] for line in measured] == [0, 2, 4]
    assert all(line["fid"] > 0 and line["kid"] == line["kid"] for line in measured)
    fid = next(curve for curve in read_run(config.outdir).curves if curve.name == "fid")
    assert fid.values == tuple(line["fid"] for line in measured)
    assert "fid" in page_of(read_run(config.outdir))
    board = EventAccumulator(str(next((config.outdir / "tensorboard").rglob("events*")).parent)).Reload()
    assert [event.step for event in board.Scalars("fid")] == [0, 2, 4]
    assert [event.value for event in board.Scalars("fid")] == pytest.approx(fid.values, rel=1e-6)  # float32


@pytest.mark.parametrize("values, best", [((5, 3, 4), 1), ((5, 6, 2), 2), ((float("nan"), 1, 9), 1)])
def test_the_best_snapshot_is_kept_through_a_resume(pictures, tmp_path, values, best):
    """``best.safetensors`` is the snapshot of the least figure, also when that was before the resume."""

    def start(kimg):
        config = small_config(pictures, tmp_path / "run", kimg=kimg)
        settled, data = recipe(config, 32, 0), AlignedImages(pictures)
        left = iter(values if kimg < 0.01 else values[2:])
        measuring = Measuring(config.outdir, True, lambda average: {"fid": float(next(left)), "kid": 1.0})
        task = GanTask(settled, fresh_networks(settled, 0), data, measuring=measuring)
        train(task, trainer_config(config, 4, kimg, 1))
        return config.outdir, measuring.best

    start(0.008)
    out, found = start(0.016)
    assert found == ("fid", float(values[best]), best * 8)
    snapshots = sorted((out / "snapshots").iterdir())
    assert len(snapshots) == 3
    kept = load_file(out / "best.safetensors")
    for index, path in enumerate(snapshots):  # compared as tensors: the headers' order is not fixed
        same = all(torch.equal(kept[name], value) for name, value in load_file(path).items())
        assert same == (index == best), path.name
