"""The shared trainer: order, logs, bad steps, and resuming bit for bit."""

import copy
import json
import logging
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from accelerate.state import AcceleratorState
from comfyui_figura.pipelines.common.errors import FiguraInputError
from comfyui_figura.pipelines.common.training import checkpoint, loop
from comfyui_figura.pipelines.common.training.averages import update_average
from comfyui_figura.pipelines.common.training.configs import TrainerConfig
from comfyui_figura.pipelines.common.training.loop import train
from comfyui_figura.pipelines.common.training.order import indices_of
from comfyui_figura.pipelines.common.weights import load_state_dict
from regression import Regression
from torch import nn

RUN = dict(
    steps=20, batch=8, checkpoint_every=6, keep=3, sample_every=10, log_every=4, measure_every=5, cpu=True
)


def run(out: Path, **changes) -> tuple[Regression, TrainerConfig]:
    task = Regression(**changes.pop("task", {}))
    config = TrainerConfig(out=out, **{**RUN, **changes})
    train(task, config)
    return task, config


def last(out: Path) -> dict:
    return {
        file.name: file.read_bytes()
        for file in sorted((out / "checkpoints" / "step_00000020").iterdir())
        if file.suffix == ".safetensors"
    }


def test_a_run_leaves_what_its_readers_need(tmp_path):
    seen = []
    task = Regression()
    result = train(
        task, TrainerConfig(out=tmp_path, **RUN), lambda done, total, preview=None: seen.append((done, total))
    )
    assert (result.steps, result.bad_steps, result.stopped) == (20, 0, False)
    assert seen[-1] == (160, 160) and len(seen) == 20
    names = sorted(path.name for path in tmp_path.iterdir())
    assert {"run.json", "log.jsonl", "speed.jsonl", "samples", "checkpoints", "finished.json"} <= set(names)
    assert sorted(p.name for p in (tmp_path / "samples").iterdir()) == [
        f"ramp_{step:08d}.png" for step in (0, 10, 20)
    ]
    lines = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines if "one" in line] == [4, 8, 12, 16, 20]
    assert [line["step"] for line in lines if "bias" in line] == [5, 10, 15, 20]
    losses = [line["two"] for line in lines if "two" in line]
    assert losses[-1] < 0.5 * losses[0]
    assert len(list((tmp_path / "checkpoints").iterdir())) == 3, "older checkpoints were not removed"
    assert list((tmp_path / "tensorboard").rglob("events*")) or list(tmp_path.rglob("events*"))


@pytest.mark.parametrize("wrapped", [True, False])
@pytest.mark.parametrize("cut", [6, 7, 12, 19])
def test_a_run_that_was_cut_off_ends_as_if_it_had_not_been(tmp_path, cut, wrapped):
    run(tmp_path / "whole", task={"wrapped": wrapped})
    run(tmp_path / "cut", steps=cut, checkpoint_every=6, task={"wrapped": wrapped})
    run(tmp_path / "cut", task={"wrapped": wrapped})
    assert last(tmp_path / "cut") == last(tmp_path / "whole")


def test_workers_and_folders_change_nothing(tmp_path):
    run(tmp_path / "a", workers=0)
    run(tmp_path / "b", workers=3)
    assert last(tmp_path / "a") == last(tmp_path / "b")


def test_another_seed_is_another_run(tmp_path):
    run(tmp_path / "a")
    run(tmp_path / "b", seed=1)
    assert last(tmp_path / "a") != last(tmp_path / "b")


@pytest.mark.parametrize("wrapped", [True, False])
def test_rounds_sum_to_the_same_gradient(tmp_path, wrapped):
    """Without dropout and noise, which are drawn per round, only the order of the sums differs: 1e-5."""
    quiet = {"wrapped": wrapped, "chance": False}
    whole, _ = run(tmp_path / "whole", task=quiet)
    rounds, _ = run(tmp_path / "rounds", accumulate=4, task=quiet)
    for name, module in whole.modules.items():
        for a, b in zip(module.parameters(), rounds.modules[name].parameters(), strict=True):
            assert torch.allclose(a, b, atol=1e-5), name


@pytest.fixture
def half_precision(monkeypatch):
    """accelerate keeps one precision per process, and scales fp16's losses where it finds a GPU."""
    made = loop._accelerator

    def accelerator(config):
        AcceleratorState._reset_state()
        found = made(config)
        if config.mixed_precision == "fp16":
            found.scaler, found.native_amp = torch.amp.GradScaler("cpu"), True
        return found

    monkeypatch.setattr(loop, "_accelerator", accelerator)
    yield
    AcceleratorState._reset_state()


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_half_precision_learns_as_full_does(tmp_path, half_precision, precision):
    """fp16 scales losses, and each optimiser's gradients must be unscaled once: twice, and the second network
    stays where it was. The first steps of fp16 overflow and lower the scale, so it comes a little less far.
    """
    start = Regression(chance=False)
    full, _ = run(tmp_path / "full", clip_norm=1.0, task={"chance": False})
    half, _ = run(tmp_path / "half", clip_norm=1.0, mixed_precision=precision, task={"chance": False})
    for name in ("one", "two"):
        a, b, begin = (next(task.modules[name].parameters()) for task in (full, half, start))
        assert (a - b).norm() < (0.1 if precision == "bf16" else 0.3) * (a - begin).norm(), name


class Noted(torch.optim.SGD):
    """Notes the gradients that it steps with."""

    def __init__(self, parameters):
        super().__init__(parameters, 1e-2)
        self.seen: list[torch.Tensor] = []

    def step(self, closure=None):
        self.seen.append(torch.cat([p.grad.flatten().clone() for p in self.param_groups[0]["params"]]))
        return super().step(closure)


@pytest.mark.parametrize("change", ["falls", "rises"])
def test_all_optimisers_of_an_update_have_the_same_scale(tmp_path, half_precision, monkeypatch, change):
    """The scale falls when the first network overflows (a finite loss times 1e35), or rises after every
    update; the second's gradients were scaled before that. They are those of full precision, to 2 % (float16
    holds 3 digits), and not twice or half of them.
    """

    class Overflowing(Regression):
        def __init__(self):
            super().__init__(chance=False)
            self.optimizers["two"] = Noted(self.modules["two"].parameters())

        def update(self, batch, step):
            part = batch["x"].to(step.device)
            much = 1e35 if change == "falls" and step.accelerator.mixed_precision == "fp16" else 1
            for name, factor in (("one", much), ("two", 1)):
                loss = (self.modules[name](part).float() - part.sum(1, keepdim=True)).square().mean()
                step.backward(loss * factor)
            return {"one": step.apply("one"), "two": step.apply("two")}

    made, scalers = loop._accelerator, []

    def accelerator(config):
        found = made(config)
        if config.mixed_precision == "fp16":
            found.scaler = torch.amp.GradScaler("cpu", init_scale=64.0, growth_interval=1)
            scalers.append(found.scaler)
        return found

    monkeypatch.setattr(loop, "_accelerator", accelerator)
    seen = {}
    for precision in ("no", "fp16"):
        task = Overflowing()
        optimizer = task.optimizers["two"]
        config = TrainerConfig(out=tmp_path / precision, **RUN | {"steps": 1, "mixed_precision": precision})
        assert train(task, config).bad_steps == 0
        (seen[precision],) = optimizer.seen
    assert torch.allclose(seen["fp16"], seen["no"], rtol=0.02, atol=1e-3 * seen["no"].abs().max())
    assert scalers[0].get_scale() == (32 if change == "falls" else 128), "it moves once in an update"


def test_a_damaged_newest_checkpoint_is_passed_over(tmp_path, caplog):
    run(tmp_path)
    whole = last(tmp_path)
    damaged = tmp_path / "checkpoints" / "step_00000020" / "weights.safetensors"
    data = bytearray(damaged.read_bytes())
    data[-3] ^= 1
    damaged.write_bytes(data)
    with caplog.at_level(logging.WARNING):
        assert checkpoint.newest(tmp_path / "checkpoints").name == "step_00000018"
    assert "step_00000020" in caplog.text
    run(tmp_path)
    assert last(tmp_path) == whole


def test_bad_updates_are_skipped_and_counted(tmp_path):
    task = Regression(bad=(3, 4))
    before = {}

    def watch(done, total, preview=None):
        before[done // 8] = task.modules["two"].weight.detach().clone()

    assert train(task, TrainerConfig(out=tmp_path, **RUN), watch).bad_steps == 2
    assert torch.equal(before[3], before[5]), "a bad update moved the weights"
    assert not torch.equal(before[5], before[6])
    lines = [json.loads(line) for line in (tmp_path / "bad_batches.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [3, 4]
    assert lines[0]["names"] == [str(i) for i in indices_of(0, 3, 8, Regression.length)]
    assert (lines[0]["applied"], lines[0]["skipped"]) == ([], ["one", "two"])


def test_too_many_bad_updates_stop_the_run(tmp_path):
    with pytest.raises(FiguraInputError, match="not finite") as error:
        run(tmp_path, max_bad_steps=2, task={"bad": tuple(range(5, 20))})
    assert "bad_batches.jsonl" in error.value.hint
    assert len((tmp_path / "bad_batches.jsonl").read_text().splitlines()) == 3


def test_a_full_disk_leaves_the_earlier_checkpoint(tmp_path, monkeypatch):
    run(tmp_path, steps=6)

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(checkpoint, "save_file", full)
    with pytest.raises(FiguraInputError, match="No space left"):
        run(tmp_path)
    assert [p.name for p in (tmp_path / "checkpoints").iterdir()] == ["step_00000006"]
    assert checkpoint.newest(tmp_path / "checkpoints") is not None


def test_a_resumed_run_must_keep_its_settings(tmp_path):
    run(tmp_path, steps=6)
    with pytest.raises(FiguraInputError, match=r"trainer.batch 4.*8"):
        run(tmp_path, batch=4)


def test_a_checkpoint_of_other_networks_is_refused(tmp_path):
    run(tmp_path, steps=6)
    task = Regression()
    task.modules["two"] = nn.Linear(4, 3)
    task.optimizers["two"] = torch.optim.SGD(task.modules["two"].parameters(), 1e-2)
    with pytest.raises(FiguraInputError, match="other names or sizes"):
        train(task, TrainerConfig(out=tmp_path, **RUN))


def test_changed_settings_of_the_task_are_said(tmp_path, caplog):
    before = {"recipe": {"gamma": 1.0, "path": Path("a")}, "trainer": {"steps": 6}}
    now = {"recipe": {"gamma": 2.0, "path": Path("a")}, "trainer": {"steps": 20}}
    train(Regression(), TrainerConfig(out=tmp_path, **RUN | {"steps": 6}), about=before)
    with caplog.at_level(logging.WARNING):
        train(Regression(), TrainerConfig(out=tmp_path, **RUN), about=now)
    assert [r.getMessage() for r in caplog.records if "goes on" in r.getMessage()] == [
        "The run goes on with recipe.gamma 2.0; so far it was 1.0."
    ]


@pytest.mark.parametrize(
    "changes",
    [
        {"steps": 0},
        {"batch": 0},
        {"log_every": 0},
        {"clip_norm": float("nan")},
        {"batch": 9, "accumulate": 2},
    ],
)
def test_settings_that_cannot_work(tmp_path, changes):
    with pytest.raises(FiguraInputError, match="trainer"):
        run(tmp_path, **changes)


def test_order_is_a_permutation_of_each_epoch_shared_by_processes():
    seen = [i for step in range(37) for i in indices_of(3, step, 4, 37)]
    assert all(sorted(seen[e * 37 : (e + 1) * 37]) == list(range(37)) for e in range(4))
    assert seen[:37] != seen[37:74]
    for step in range(5):
        shares = [indices_of(3, step, 4, 37, rank, 2) for rank in range(2)]
        assert sorted(shares[0] + shares[1]) == sorted(indices_of(3, step, 4, 37))


def test_speed_counts_the_updates_since_the_last_line(tmp_path, monkeypatch):
    """Also on a last line that comes early, and after a resume between two lines; without measurements: by
    a clock on which an update takes 1 second and a measurement 100.
    """
    now = [0.0]
    monkeypatch.setattr(loop, "time", SimpleNamespace(perf_counter=lambda: now[0]))

    class Slow(Regression):
        def update(self, batch, step):
            now[0] += 1
            return super().update(batch, step)

        def measure(self, step):
            now[0] += 100
            return super().measure(step)

    train(Slow(), TrainerConfig(out=tmp_path, **RUN | {"steps": 6, "measure_every": 3}))
    train(Slow(), TrainerConfig(out=tmp_path, **RUN | {"steps": 9, "measure_every": 3}))
    speed = [json.loads(line) for line in (tmp_path / "speed.jsonl").read_text().splitlines()]
    assert [(line["step"], line["seconds"]) for line in speed] == [(4, 4), (6, 2), (8, 2), (9, 1)]
    assert [line["samples_per_second"] for line in speed] == [8] * 4


def test_averages_follow_compiled_networks():
    network = nn.Linear(2, 2)
    average = copy.deepcopy(network)
    with torch.no_grad():
        network.weight += 1
    update_average(average, torch.compile(network), 0.5)
    assert torch.allclose(average.weight, network.weight - 0.5, atol=1e-6)


def test_averages_hold_what_the_checkpoint_holds(tmp_path):
    task, _ = run(tmp_path)
    saved = load_state_dict(tmp_path / "checkpoints" / "step_00000020" / "averages.safetensors")
    assert torch.equal(saved["one.0.weight"], task.averages["one"][0].weight)
    assert not torch.equal(saved["one.0.weight"], task.modules["one"][0].weight)
