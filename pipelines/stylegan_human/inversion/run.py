"""Long optimisations: step by step, shown, stopped between steps, continued to the bit."""

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence

import torch
from torch import Tensor

from ...common.errors import FiguraInputError
from ...common.progress import Progress, silent
from .state_file import StateFile


class Optimisation(ABC):
    """Variables that an Adam moves, and one step of it. Steps draw randomness from their number alone."""

    columns: tuple[str, ...]
    """Names of the figures that every step notes."""
    optimizer: torch.optim.Optimizer
    picture: Tensor | None = None
    """What the last step drew [1, 3, H, W]."""

    def __init__(self, steps: int) -> None:
        self.steps, self.done = steps, 0
        self.curve: list[list[float]] = []
        self.finished = False

    @abstractmethod
    def step(self) -> bool:
        """One step; False when there is nothing more to do."""

    @abstractmethod
    def variables(self) -> dict[str, Tensor]:
        """What the optimizer moves, by name, in its order."""

    def note(self, figures: Sequence[Tensor | float]) -> None:
        """Keep a step's figures; what is no number ends the work before any variable is touched."""
        row = [figure.item() if isinstance(figure, Tensor) else figure for figure in figures]
        if not all(math.isfinite(figure) for figure in row):
            raise FiguraInputError(
                "inversion", f"a loss of {row[0]} at step {self.done + 1}", "a number",
                "Lower the learning rate. If it is the first step, the network draws broken pictures.",
            )  # fmt: skip
        self.curve.append(row)

    def tensors(self) -> dict[str, Tensor]:
        """Variables and what Adam remembers of each."""
        state = self.variables()
        kept = {f"variable.{name}": tensor for name, tensor in state.items()}
        for name, tensor in state.items():
            for key, value in self.optimizer.state.get(tensor, {}).items():
                kept[f"adam.{key}.{name}"] = torch.as_tensor(value)
        return kept

    @torch.no_grad()
    def restore(self, kept: dict[str, Tensor], done: int, curve: list[list[float]]) -> None:
        """Go on from what ``tensors`` gave."""
        for name, tensor in self.variables().items():
            tensor.copy_(kept[f"variable.{name}"])
            remembered = {
                key: kept[f"adam.{key}.{name}"]
                for key in ("step", "exp_avg", "exp_avg_sq")
                if f"adam.{key}.{name}" in kept
            }
            if remembered:
                self.optimizer.state[tensor] = {
                    key: _like(value, tensor) if key != "step" else value.clone()
                    for key, value in remembered.items()
                }
        self.done, self.curve = done, [list(row) for row in curve]


def _like(value: Tensor, tensor: Tensor) -> Tensor:
    return torch.empty_like(tensor, requires_grad=False).copy_(value)


def run(
    work: Optimisation,
    progress: Progress = silent,
    preview_every: int = 10,
    state: StateFile | None = None,
) -> None:
    """Take all steps. ``progress`` may raise between two steps: what is done so far is then kept in
    ``state``, from which the same call goes on as if nothing had happened.
    """
    if state is not None:
        state.resume(work)
    while work.done < work.steps and not work.finished:
        work.finished = not work.step()
        work.done += not work.finished
        shown = work.picture if work.done % preview_every == 0 or work.done == work.steps else None
        try:
            progress(work.done, work.steps, None if shown is None else shown[0])
        except BaseException:  # ComfyUI's interrupt among them
            if state is not None:
                state.write(work)
            raise
        if state is not None and not work.finished and work.done % state.every == 0:
            state.write(work)
    if work.done < work.steps:  # close enough early
        progress(work.steps, work.steps, None if work.picture is None else work.picture[0])
    work.finished = True
