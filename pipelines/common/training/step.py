"""One update as a task sees it: its randomness, its rounds, and how gradients reach the weights."""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.optimizer import AcceleratedOptimizer
from torch import Tensor

from ..seeds import generator
from .configs import TrainerConfig
from .order import key
from .task import Task


class Step:
    """Handed to ``Task.update``.

    Attributes:
        number: updates done before this one.
        samples_seen: samples seen before this update, over all processes.
        rounds: parts into which ``parts`` splits a batch.
        bad: whether a loss or a gradient of this update was not finite.
        applied: optimisers that stepped, in order; one of several steps may stay though a later one is bad.
        skipped: optimisers that were asked to step and did not.
    """

    def __init__(self, number: int, task: Task, config: TrainerConfig, accelerator: Accelerator) -> None:
        self.number, self.samples_seen = number, number * config.batch
        self.accelerator, self.device = accelerator, accelerator.device
        self.rounds, self.bad = config.accumulate, False
        self.applied: list[str] = []
        self.skipped: list[str] = []
        self._task, self._config = task, config
        self._finite = torch.ones((), device=self.device)
        self._unscaled: set[str] = set()

    def generator(self, name: str) -> torch.Generator:
        """A CPU generator of (seed, step, process, name): where all noise of an update comes from."""
        return generator(key(self._config.seed, self.number, self.accelerator.process_index, name))

    def parts(self, batch: Any) -> Iterator[Any]:
        """The batch in ``rounds`` equal parts; processes exchange gradients in the last round only.

        Divide the loss of each part by ``rounds`` where the mean over the batch is wanted.
        """
        for index in range(self.rounds):
            with ExitStack() as stack:
                if self._task.wrapped and index < self.rounds - 1:
                    for module in self._task.modules.values():
                        stack.enter_context(self.accelerator.no_sync(module))
                yield part_of(batch, index, self.rounds)

    def backward(self, loss: Tensor) -> None:
        """Add the gradients of a scalar ``loss``; notes whether it is finite, without waiting for it."""
        self._finite = self._finite * torch.isfinite(loss.detach()).to(self._finite)
        if self._task.wrapped:
            self.accelerator.backward(loss)
        else:
            loss.backward()

    def apply(self, optimizer: str) -> bool:
        """Step an optimiser and its schedule, and clear its gradients.

        Returns:
            False if a loss of this update so far, or a gradient of this optimiser, was not finite: the
            weights are then as they were. Steps of this update before it stay.
        """
        chosen = self._task.optimizers[optimizer]
        parameters = [p for group in chosen.param_groups for p in group["params"] if p.grad is not None]
        if not self._task.wrapped:
            self._average(parameters)
        self._unscale(optimizer)
        good = self._all_finite(self._clip(parameters))
        if good:
            self._plain(optimizer).step()
        if good and optimizer in self._task.schedules:
            self._task.schedules[optimizer].step()
        chosen.zero_grad(set_to_none=True)
        (self.applied if good else self.skipped).append(optimizer)
        return good

    def settle(self) -> None:
        """End the update: let fp16's gradient scaler choose its next scale, from what all optimisers saw.

        Not after each optimiser's step, as accelerate does: the others' gradients bear the old scale.
        """
        if self._unscaled and self.accelerator.scaler is not None:
            self.accelerator.scaler.update()
        self._unscaled.clear()

    def mean(self, value: Tensor) -> Tensor:
        """The mean of a number over processes: for whatever a task keeps from update to update."""
        if self.accelerator.num_processes == 1:
            return value.detach()
        return self.accelerator.reduce(value.detach().clone(), "mean")  # type: ignore[return-value]

    def _average(self, parameters: list[Tensor]) -> None:
        """Average gradients over processes, in one exchange."""
        if self.accelerator.num_processes == 1 or not parameters:
            return
        gradients = [p.grad for p in parameters if p.grad is not None]
        flat = torch.cat([gradient.reshape(-1) for gradient in gradients])
        flat = self.accelerator.reduce(flat, "mean")
        for gradient, part in zip(gradients, flat.split([g.numel() for g in gradients]), strict=True):  # type: ignore[union-attr]
            gradient.copy_(part.view_as(gradient))

    def _plain(self, optimizer: str) -> Any:
        """The optimiser to step: without accelerate's shell where that would update the scale."""
        chosen: Any = self._task.optimizers[optimizer]
        return chosen.optimizer if _scaled(chosen) else chosen

    def _unscale(self, optimizer: str) -> None:
        """Take fp16's scale off the gradients; accelerate's own clipping would unscale others' too."""
        chosen = self._task.optimizers[optimizer]
        if not _scaled(chosen):
            return
        if optimizer in self._unscaled:  # its second step in one update
            self.settle()
        self.accelerator.unscale_gradients(chosen)
        self._unscaled.add(optimizer)

    def _clip(self, parameters: list[Tensor]) -> Tensor:
        """Clip where the configuration says so; return the gradients' norm before it."""
        norm = torch.nn.utils.clip_grad_norm_(parameters, self._config.clip_norm or float("inf"))
        norm = torch.as_tensor(norm, device=self.device)
        return norm.full_tensor() if hasattr(norm, "full_tensor") else norm  # type: ignore[operator]

    def _all_finite(self, norm: Tensor) -> bool:
        """Whether losses and gradients are finite in every process: all must take the same decision."""
        finite_loss, finite_norm = self._finite, torch.isfinite(norm).to(self._finite)
        flags = torch.stack([finite_loss, finite_norm])
        if self.accelerator.num_processes > 1:
            flags = self.accelerator.reduce(flags, "sum") / self.accelerator.num_processes  # type: ignore[operator]
        loss_good, norm_good = (flag == 1 for flag in flags.tolist())
        # an overflow of half precision under a finite loss is the scaler's daily business
        self.bad |= not loss_good or not (norm_good or self._config.mixed_precision == "fp16")
        return loss_good and norm_good


def _scaled(optimizer: Any) -> bool:
    return isinstance(optimizer, AcceleratedOptimizer) and optimizer.scaler is not None


def part_of(batch: Any, index: int, count: int) -> Any:
    """Part ``index`` of ``count`` equal parts of a tensor or list, or of a dictionary of them."""
    if count == 1:
        return batch
    if isinstance(batch, Mapping):
        return {name: part_of(value, index, count) for name, value in batch.items()}
    size = len(batch) // count
    return batch[index * size : (index + 1) * size]
