"""A task of a few milliseconds that uses everything the trainer offers; run as a program by the tests."""

import copy
import json
import sys
import time
from pathlib import Path

import a_pack  # noqa: F401  (names the pack when this runs as a program)
import torch
from comfyui_figura.pipelines.common.training.averages import update_average
from comfyui_figura.pipelines.common.training.configs import TrainerConfig
from comfyui_figura.pipelines.common.training.loop import train
from comfyui_figura.pipelines.common.training.task import Task
from torch import nn


class Regression(Task):
    """Two networks with an optimiser each, dropout, noise, a schedule, an average and a state of its own."""

    length = 37  # odd, so that batches lie across epochs

    def __init__(
        self, wrapped: bool = True, pause: float = 0.0, bad: tuple[int, ...] = (), chance: bool = True
    ) -> None:
        super().__init__()
        torch.manual_seed(5)
        self.wrapped, self.pause, self.bad, self.chance = wrapped, pause, bad, chance
        self.modules = {
            "one": nn.Sequential(nn.Linear(4, 8), nn.Dropout(0.2 * chance), nn.ReLU(), nn.Linear(8, 1)),
            "two": nn.Linear(4, 1),
        }
        self.averages = {"one": copy.deepcopy(self.modules["one"])}
        self.optimizers = {
            "one": torch.optim.AdamW(self.modules["one"].parameters(), 1e-2),
            "two": torch.optim.SGD(self.modules["two"].parameters(), 1e-2, momentum=0.9),
        }
        self.schedules = {"one": torch.optim.lr_scheduler.LambdaLR(self.optimizers["one"], lambda n: 0.99**n)}
        self.mean = 0.0

    def batch(self, indices):
        return {"x": torch.stack([torch.sin(torch.arange(4.0) * (i + 1)) for i in indices])}

    def update(self, batch, step):
        time.sleep(self.pause)
        values = {}
        for part in step.parts(batch):
            x = part["x"].to(step.device)
            noise = torch.randn(x.shape, generator=step.generator("noise")).to(x)
            x, wanted = x + 0.1 * self.chance * noise, x.sum(1, keepdim=True)
            for name in ("one", "two"):
                loss = (self.modules[name](x) - wanted).square().mean() / step.rounds
                if step.number in self.bad:
                    loss = loss * float("nan")
                step.backward(loss)
                values[name] = values.get(name, 0) + loss.detach()
        if step.apply("one"):
            update_average(self.averages["one"], self.modules["one"], 0.9)
        step.apply("two")
        self.mean += 0.1 * (float(step.mean(values["one"])) - self.mean)
        return {**values, "mean": self.mean}

    def samples(self, step):
        return {"ramp": torch.linspace(0, 1, 3 * 3 * 4 * 4).reshape(3, 3, 4, 4)}

    def measure(self, step):
        return {"bias": float(self.averages["one"][0].bias.detach().sum())}

    def state(self):
        return {"mean": self.mean}

    def load_state(self, state):
        self.mean = state["mean"]

    def finish(self, out):
        (out / "finished.json").write_text(json.dumps({"mean": self.mean}))


def main() -> None:
    settings = json.loads(sys.argv[1])
    task = Regression(**settings.pop("task", {}))
    train(task, TrainerConfig(**{**settings, "out": Path(settings["out"]), "cpu": True}))


if __name__ == "__main__":
    main()
