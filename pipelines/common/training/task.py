"""What a system writes to be trained."""

from abc import ABC, abstractmethod
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

if TYPE_CHECKING:
    from .step import Step

Value = Tensor | float


class Task(ABC):
    """One run's modules, optimisers, data and update.

    The trainer puts the modules on their device and replaces them in ``modules`` by what accelerate makes of
    them (data parallel, sharded …): ``update`` must therefore take them from there.

    Attributes:
        modules: what is trained, by name. Saved and resumed.
        optimizers: by name; each over parameters of ``modules``. Saved and resumed.
        averages: modules that are not trained but change (EMA copies). Moved to the device, saved and
            resumed.
        frozen: modules that never change (a VAE in front of a UNet). Moved to the device.
        schedules: learning rates, by the name of their optimiser. Stepped, saved and resumed.
        length: samples in the data set.
        wrapped: False keeps accelerate's wrappers away from the modules; gradients are then averaged over
            processes by ``Step.apply``. For losses with gradients of gradients, which DDP cannot carry.
        measured_untrained: True measures before the first update too, where curves begin.
    """

    length: int
    wrapped: bool = True
    measured_untrained: bool = False

    def __init__(self) -> None:
        self.modules: dict[str, nn.Module] = {}
        self.optimizers: dict[str, Optimizer] = {}
        self.averages: dict[str, nn.Module] = {}
        self.frozen: dict[str, nn.Module] = {}
        self.schedules: dict[str, LRScheduler] = {}

    @abstractmethod
    def batch(self, indices: list[int]) -> Any:
        """The samples of ``indices``: tensors, or dictionaries and lists of them, whose first axis (or
        length) counts samples. A function of the indices alone: it runs ahead, in another thread."""

    def batch_at(self, indices: list[int], step: int) -> Any:
        """``batch`` for update ``step``: for samples that are varied anew each time they are seen. A function
        of both alone."""
        return self.batch(indices)

    @abstractmethod
    def update(self, batch: Any, step: "Step") -> dict[str, Value]:
        """Run one update: losses, ``step.backward``, ``step.apply``. Returns scalars for the log."""

    def names(self, indices: list[int]) -> list[str]:
        """What to call samples when a batch must be reported."""
        return [str(index) for index in indices]

    def samples(self, step: int) -> dict[str, Tensor]:
        """Pictures to look at, by name: float [B, 3, H, W] in [0, 1]."""
        return {}

    def measure(self, step: int) -> dict[str, float]:
        """Figures that take their time (FID …), by name."""
        return {}

    def state(self) -> dict[str, Any]:
        """Whatever else must survive a resume, as JSON: numbers come back exactly. The main process's is kept
        for all, so it must be the same in each (``Step.mean``)."""
        return {}

    def load_state(self, state: dict[str, Any]) -> None:  # noqa: B027 (most tasks have none)
        """Take back what ``state`` gave."""

    def finish(self, out: Path) -> None:  # noqa: B027 (a study may want nothing but its figures)
        """Write the user's files, in the released layout. Called once, by the main process, at the end."""
