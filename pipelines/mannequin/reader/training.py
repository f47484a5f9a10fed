"""The reader's own training, as a task of the shared trainer."""

from __future__ import annotations

from copy import deepcopy
from math import cos, pi
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim.lr_scheduler import LambdaLR

from ...common.training.averages import update_average
from ...common.training.task import Task, Value
from .configs import HELD_OUT_SEED, ReaderConfig
from .data import Batch, Figures, mirrored
from .networks import CELL, AttributeNet, BodyNet
from .reading import Reader, draw_reading, load_reader, save_reader
from .softening import soften
from .targets import IGNORED, KINDS, PARTS

if TYPE_CHECKING:
    from ...common.training.step import Step

WARM_UP = 50
SPREAD = 0.8  # of a joint's target, in cells


class ReaderTask(Task):
    """Trains BodyNet on softened figures, so that it reads what a generator makes, and AttributeNet on sharp
    ones, so that its features show when pictures are soft. Both see figures mirrored in half of the cases."""

    def __init__(self, config: ReaderConfig) -> None:
        super().__init__()
        config.check()
        self.config, self.length = config, config.pictures
        self.figures = Figures(config.world_seed)
        body, attributes = BodyNet(), AttributeNet()
        if config.start is not None:
            begun = load_reader(config.start)
            body, attributes = begun.body.train(), begun.attributes.train()
        if config.only != "body":
            _measure_spread(attributes, self.figures, min(600, config.pictures))
        nets: dict[str, nn.Module] = {"body": body, "attributes": attributes}
        self.averages = {name: deepcopy(net).requires_grad_(False) for name, net in nets.items()}
        self.modules = {name: net for name, net in nets.items() if config.only in ("both", name)}
        steps = config.trainer.steps
        for name, net in self.modules.items():
            optimizer = torch.optim.AdamW(net.parameters(), config.lr, (0.9, 0.99), weight_decay=0.01)
            self.optimizers[name] = optimizer
            self.schedules[name] = LambdaLR(optimizer, lambda step: _rate(step, steps))

    def batch(self, indices: list[int]) -> Batch:
        """Figures and their truth."""
        return self.figures.batch(indices)

    def update(self, batch: Any, step: Step) -> dict[str, Value]:
        """One update of the networks on one batch."""
        losses: dict[str, Tensor] = {}
        for part in step.parts(self._drawn(batch, step)):
            losses = self._losses(part)
            total = sum(losses.values(), torch.zeros((), device=step.device))
            step.backward(total / step.rounds)
        for name in self.optimizers:
            step.apply(name)
        beta = min(self.config.average, (1 + step.number) / (10 + step.number))
        for name, net in self.modules.items():
            update_average(self.averages[name], net, beta)
        return {name: value.detach() for name, value in losses.items()}

    def _drawn(self, batch: Batch, step: Step) -> Batch:
        """Some figures mirrored, and their softened pictures as ``soft``; drawn on the CPU."""
        draw = step.generator("softening")
        batch = {name: tensor.cpu() for name, tensor in batch.items()}
        batch = mirrored(batch, torch.rand(len(batch["pixels"]), generator=draw) < 0.5)
        if "body" in self.modules:
            batch["soft"] = soften(batch["pixels"], draw)
        return {name: tensor.to(step.device) for name, tensor in batch.items()}

    def _losses(self, batch: Batch) -> dict[str, Tensor]:
        losses: dict[str, Tensor] = {}
        if "body" in self.modules:
            losses |= body_losses(self.modules["body"](batch["soft"]), batch)
        if "attributes" in self.modules:
            found = self.modules["attributes"](batch["pixels"])
            losses["attributes"] = attribute_loss(found, batch["attributes"], self.averages["attributes"])
        return losses

    def _reader(self) -> Reader:
        nets = {name: deepcopy(net).cpu().float() for name, net in self.averages.items()}
        return Reader(nets["body"], nets["attributes"])  # type: ignore[arg-type]

    def samples(self, step: int) -> dict[str, Tensor]:
        """Held-out figures, sharp and soft, with what is read from them."""
        figures = Figures(HELD_OUT_SEED)
        pixels = figures.batch(list(range(12)))["pixels"]
        soft = soften(pixels, torch.Generator().manual_seed(0))
        reader = self._reader()
        shown = [draw_reading(p, reader.read(p)) for p in (pixels, soft)]
        return {"readings": torch.cat(shown)}

    def measure(self, step: int) -> dict[str, float]:
        """Accuracy on held-out figures of the demo world, sharp and blurred."""
        from .scores import accuracy

        return accuracy(self._reader(), self.config.held_out)

    def finish(self, out: Path) -> None:
        """Write ``reader.safetensors`` in float16."""
        save_reader(self._reader(), out / "reader.safetensors")


def _rate(step: int, steps: int) -> float:
    return min(1.0, (step + 1) / WARM_UP) * 0.5 * (1 + cos(pi * min(1.0, step / max(1, steps))))


def _measure_spread(net: AttributeNet, figures: Figures, count: int) -> None:
    """Mean and deviation of the attributes, so that each counts alike in the loss."""
    values = figures.batch(list(range(count)))["attributes"]
    net.mean.copy_(values.mean(0))
    net.deviation.copy_(values.std(0).clamp(min=0.02))


def body_losses(found: tuple[Tensor, Tensor, dict[str, Tensor]], batch: Batch) -> dict[str, Tensor]:
    """Cross entropies of the part map, of where each joint is, and of the kinds."""
    parts, points, kinds = found
    truth = F.one_hot(batch["parts"], len(PARTS)).movedim(3, 1).to(parts.dtype)
    shares = F.avg_pool2d(truth, CELL)  # a cell on an edge holds a share of each of its classes
    part = -(shares * parts.float().log_softmax(1)).sum(1).mean()
    inside = batch["points"][..., 2] > 0
    target = joint_target(batch["points"], points.shape[2], points.shape[3])
    joint = -(target.flatten(2) * points.float().flatten(2).log_softmax(2)).sum(2)
    losses = {"parts": 3 * part, "joints": 0.5 * (joint * inside).sum() / inside.sum().clamp(min=1)}
    for index, name in enumerate(KINDS):
        wanted = batch["kinds"][:, index]
        known = (wanted != IGNORED).sum().clamp(min=1)
        total = F.cross_entropy(kinds[name].float(), wanted, ignore_index=IGNORED, reduction="sum")
        losses[f"kind_{name}"] = 0.3 * total / known
    return losses


def joint_target(points: Tensor, height: int, width: int) -> Tensor:
    """A small Gaussian [B, K, h, w] of sum 1 on the cell of each joint [B, K, 3]."""
    cells = (points[..., :2] - (CELL - 1) / 2) / CELL
    x = torch.arange(width, device=points.device)
    y = torch.arange(height, device=points.device)
    across = (-0.5 * ((x - cells[..., :1]) / SPREAD) ** 2).softmax(2)
    down = (-0.5 * ((y - cells[..., 1:]) / SPREAD) ** 2).softmax(2)
    return down[..., :, None] * across[..., None, :]


def attribute_loss(found: Tensor, wanted: Tensor, net: Any) -> Tensor:
    """Mean squared error in units of each attribute's spread."""
    return F.mse_loss(found.float(), (wanted - net.mean) / net.deviation)
