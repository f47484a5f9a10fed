"""The training loop: fetch, update, log, sample, measure, save; and begin again where it was cut off."""

import logging
import time
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.utils import ProjectConfiguration, broadcast_object_list, set_seed
from torch import Tensor

from ..errors import FiguraInputError
from ..progress import Progress, silent
from . import checkpoint
from .configs import TrainerConfig
from .order import indices_of, key
from .records import Records
from .step import Step
from .stop import StopRequest
from .task import Task

LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class TrainResult:
    """How a run ended.

    Attributes:
        steps: updates done in all, with those of earlier starts.
        bad_steps: updates that were skipped, or cut short, because something was not finite.
        stopped: a signal asked the run to end early; it saved a checkpoint first.
    """

    steps: int
    bad_steps: int
    stopped: bool


def train(
    task: Task, config: TrainerConfig, progress: Progress = silent, about: dict[str, Any] | None = None
) -> TrainResult:
    """Train ``task`` as ``config`` says, alone or in each process of ``accelerate launch``.

    Args:
        progress: called with (samples seen, samples in all) after each update.
        about: the task's own settings, for ``run.json``.

    Raises:
        FiguraInputError: settings that cannot work, too many bad updates, a full disk.
    """
    accelerator = _accelerator(config)
    config.check(accelerator.num_processes)
    if task.length < 1:
        raise FiguraInputError("data set", "no samples", "at least one")
    return _Run(task, config, accelerator, progress, about or {}).run()


def _accelerator(config: TrainerConfig) -> Accelerator:
    return Accelerator(
        cpu=config.cpu or None,  # type: ignore[arg-type]
        mixed_precision=config.mixed_precision,
        log_with="tensorboard",
        project_config=ProjectConfiguration(project_dir=str(config.out)),
        step_scheduler_with_optimizer=False,
    )


class _Run:
    """One call of ``train``."""

    def __init__(
        self, task: Task, config: TrainerConfig, accelerator: Accelerator, progress: Progress, about: dict
    ) -> None:
        self.task, self.config, self.accelerator, self.progress = task, config, accelerator, progress
        self.records = Records(config, accelerator, about)
        self.folder = config.out / "checkpoints"
        self.bad_steps = 0
        self.window: list[dict[str, Tensor | float]] = []  # values since the last line of the log
        self.saving: Future | None = None

    def run(self) -> TrainResult:
        _prepare(self.task, self.accelerator)
        first = self._resume()
        self.records.open(first)
        done, stop = first, StopRequest(self.accelerator.num_processes == 1)
        self.logged = first
        with ThreadPoolExecutor(1) as self.saver, stop:
            if first == 0:
                self._sample(0)
                self._measure(0, self.task.measured_untrained)
            self.clock = time.perf_counter()  # when the update whose time is next written began
            for step, batch in self._batches(first):
                self._update(step, batch)
                done = step + 1
                self._after(done, stop.asked)
                self.progress(done * self.config.batch, self.config.steps * self.config.batch)
                if stop.asked:
                    break
            self._wait_for_saving()
        self.records.close()
        if done >= self.config.steps and self.accelerator.is_main_process:
            self.task.finish(self.config.out)
        self.accelerator.wait_for_everyone()
        return TrainResult(done, self.bad_steps, stop.asked)

    def _resume(self) -> int:
        """Restore the newest whole checkpoint; return the number of updates it holds."""
        found = [None]
        if self.accelerator.is_main_process and self.config.resume:
            found = [checkpoint.newest(self.folder)]
        path = broadcast_object_list(found)[0] if self.accelerator.num_processes > 1 else found[0]
        if path is None:
            return 0
        state = checkpoint.restore(path, self.task, self.accelerator)
        if state["processes"] != self.accelerator.num_processes:
            LOG.warning("The run had %s processes; it goes on, but with other noise.", state["processes"])
        self.bad_steps, self.window = state["bad_steps"], state["window"]
        return state["step"]

    def _batches(self, first: int) -> Iterator[tuple[int, Any]]:
        """(step, this process's samples) of every update left, fetched ahead."""
        rank, processes = self.accelerator.process_index, self.accelerator.num_processes
        waiting: deque[tuple[int, Future]] = deque()
        with ThreadPoolExecutor(max(self.config.workers, 1)) as pool:
            try:
                for step in range(first, self.config.steps):
                    indices = self._indices(step, rank, processes)
                    waiting.append((step, pool.submit(self.task.batch_at, indices, step)))
                    if len(waiting) > self.config.workers:
                        yield _fetched(*waiting.popleft())
                while waiting:
                    yield _fetched(*waiting.popleft())
            finally:
                pool.shutdown(wait=False, cancel_futures=True)

    def _indices(self, step: int, rank: int = 0, processes: int = 1) -> list[int]:
        """What update ``step`` sees in one of several processes; without them in all together."""
        config = self.config
        return indices_of(config.seed, step, config.batch, self.task.length, rank, processes)

    def _update(self, number: int, batch: Any) -> None:
        set_seed(key(self.config.seed, number, self.accelerator.process_index, "global"))
        step = Step(number, self.task, self.config, self.accelerator)
        values = self.task.update(batch, step)
        step.settle()
        if not step.bad:
            self.window.append({name: _detached(value) for name, value in values.items()})
            return
        self.bad_steps += 1
        names = self.task.names(self._indices(number))
        self.records.bad_batch(number, names, step.applied, step.skipped)
        how = f"cut short (steps that stay: {', '.join(step.applied)})" if step.applied else "skipped"
        LOG.warning("Update %d %s: not finite. Its samples: %s", number, how, ", ".join(names[:8]))
        if self.bad_steps > self.config.max_bad_steps:
            raise FiguraInputError(
                "training", f"{self.bad_steps} updates with a loss or gradient that is not finite",
                f"at most {self.config.max_bad_steps}",
                "bad_batches.jsonl names their samples; look at those, or lower the learning rate.",
            )  # fmt: skip

    def _after(self, done: int, stopping: bool) -> None:
        """Whatever is due after ``done`` updates."""
        last = done == self.config.steps
        if done % self.config.log_every == 0 or last:
            self._log(done)
        began = time.perf_counter()
        self._measure(done, last or _due(done, self.config.measure_every))
        if _due(done, self.config.sample_every) or (last and self.config.sample_every):
            self._sample(done)
        if done % self.config.checkpoint_every == 0 or last or stopping:
            self._save(done)
        self.clock += time.perf_counter() - began  # the speed is that of updates alone

    def _log(self, done: int) -> None:
        window, self.window = self.window, []
        means = {}
        for name in sorted({name for values in window for name in values}):
            given = [float(values[name]) for values in window if name in values]
            means[name] = self._over_processes(sum(given) / len(given))
        self.records.line(done, means)
        now = time.perf_counter()
        self.records.speed(done, now - self.clock, (done - self.logged) * self.config.batch)
        self.clock, self.logged = now, done

    def _over_processes(self, value: Tensor | float) -> float:
        if self.accelerator.num_processes == 1:
            return float(value)
        number = torch.tensor(float(value), dtype=torch.float64, device=self.accelerator.device)
        return self.accelerator.reduce(number, "mean").item()  # type: ignore[union-attr]

    def _sample(self, done: int) -> None:
        if self.config.sample_every:
            with torch.no_grad():
                self.records.pictures(done, self.task.samples(done))

    def _measure(self, done: int, due: bool) -> None:
        if due and self.config.measure_every:
            self.records.line(done, self.task.measure(done))

    def _save(self, done: int) -> None:
        """Copy the state to memory now, write it while training goes on."""
        self._wait_for_saving()
        self.window = [{n: self._over_processes(v) for n, v in values.items()} for values in self.window]
        more = {"bad_steps": self.bad_steps, "window": list(self.window)}  # a copy: training goes on
        tensors, state = checkpoint.collect(self.task, self.accelerator, more)
        if self.accelerator.is_main_process:
            self.saving = self.saver.submit(self._write, done, tensors, state)

    def _write(self, done: int, tensors: dict[str, dict[str, Tensor]], state: dict) -> None:
        checkpoint.write(self.folder, done, tensors, state)
        checkpoint.prune(self.folder, self.config.keep)

    def _wait_for_saving(self) -> None:
        if self.saving is not None:
            waiting, self.saving = self.saving, None
            waiting.result()


def _prepare(task: Task, accelerator: Accelerator) -> None:
    """Move everything to its device, and wrap what is trained."""
    for module in [*task.averages.values(), *task.frozen.values()]:
        module.to(accelerator.device)
    if not task.wrapped:
        for module in task.modules.values():
            module.to(accelerator.device)
        return
    for name, module in task.modules.items():  # one by one: FSDP2 takes a single module at a time
        own = {id(parameter) for parameter in module.parameters()}
        theirs = [n for n, o in task.optimizers.items() if id(o.param_groups[0]["params"][0]) in own]
        prepared = accelerator.prepare(module, *(task.optimizers[n] for n in theirs))
        task.modules[name], *optimizers = prepared if theirs else (prepared,)
        task.optimizers.update(zip(theirs, optimizers, strict=True))


def _due(done: int, every: int) -> bool:
    return every > 0 and done % every == 0


def _fetched(step: int, batch: Future) -> tuple[int, Any]:
    return step, batch.result()


def _detached(value: Tensor | float) -> Tensor | float:
    return value.detach().float().mean() if isinstance(value, Tensor) else float(value)
