"""What the three synthesis networks have in common: ws -> styles -> a chain of steps -> pixels.

A style is what one layer reads from its row of ws (one value or more per channel); edits in style space
change styles, edits in w change ws. A step is what may run between two looks at the progress bar, and what
can be re-used: two pictures whose styles agree up to a step share everything before it.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ...common.progress import Progress, silent
from .noise import NoiseSource, noise_source


@dataclass(frozen=True)
class StyleSlot:
    """One style: the layer that reads it, the row of ws it comes from, the step that uses it, torgb or
    not.
    """

    name: str
    row: int
    step: int
    to_rgb: bool = False


@dataclass(frozen=True)
class State:
    """What flows from step to step: feature maps ``x`` and, in v2, the picture ``img`` built so far."""

    x: Tensor
    img: Tensor | None = None


@dataclass(frozen=True)
class Context:
    """What every step may ask for."""

    styles: Sequence[Tensor]
    noise: NoiseSource
    force_fp32: bool = False
    update_emas: bool = False


class Synthesis(nn.Module, ABC):
    """ws [N, num_ws, w_dim] -> pixels [N, 3, H, W], nominally in [-1, 1]."""

    num_ws: int
    num_steps: int
    slots: list[StyleSlot]
    image_size: tuple[int, int]
    """Height and width."""

    @abstractmethod
    def style(self, slot: StyleSlot, w: Tensor) -> Tensor:
        """The style [N, …] that ``slot``'s layer makes of its row [N, w_dim]."""

    @abstractmethod
    def start(self, context: Context) -> State:
        """The state before the first step."""

    @abstractmethod
    def step(self, index: int, state: State, context: Context) -> State:
        """Run one step; never writes into ``state``."""

    @abstractmethod
    def finish(self, state: State) -> Tensor:
        """Pixels float32 from the last state."""

    def styles(self, ws: Tensor) -> list[Tensor]:
        """The style of every slot, in the order of ``slots``."""
        return [self.style(slot, ws[:, slot.row]) for slot in self.slots]

    def forward(
        self,
        ws: Tensor,
        noise_mode: str = "const",
        noise_seeds: Sequence[int] | None = None,
        force_fp32: bool = False,
        update_emas: bool = False,
        progress: Progress = silent,
    ) -> Tensor:
        """Synthesise. ``noise_seeds`` (one per sample) make ``random`` noise repeatable; see
        ``noise_source``.
        """
        context = Context(self.styles(ws), noise_source(noise_mode, noise_seeds), force_fp32, update_emas)
        return self.render(context, progress)

    def render(self, context: Context, progress: Progress = silent) -> Tensor:
        """Pixels from styles."""
        state = self.start(context)
        for index in range(self.num_steps - 1):
            state = self.step(index, state, context)
            progress(index + 1, self.num_steps, None if state.img is None else state.img[0].detach())
        pixels = self.finish(self.step(self.num_steps - 1, state, context))
        progress(self.num_steps, self.num_steps, pixels[0].detach())
        return pixels


class PrefixCache:
    """Re-uses the states before the first step whose styles differ from the previous picture's.

    For sweeps and mixing grids: change late rows and only late steps run again. One noise source for all
    pictures. Nothing is kept of pictures that record gradients.
    """

    def __init__(self, synthesis: Synthesis) -> None:
        self.synthesis = synthesis
        self._styles: Sequence[Tensor] = []
        self._states: list[State] = []
        self.steps_run = 0

    def render(self, context: Context, progress: Progress = silent) -> Tensor:
        """Pixels from styles, as ``Synthesis.render`` gives them."""
        first = self._first_changed_step(context.styles) if self._states else 0
        states = self._states[: first + 1] if first else [self.synthesis.start(context)]
        self._styles, self._states = [], []  # an interrupted render leaves nothing behind
        for index in range(first, self.synthesis.num_steps):
            states.append(self.synthesis.step(index, states[-1], context))
            self.steps_run += 1
            if index + 1 < self.synthesis.num_steps:
                img = states[-1].img
                progress(index + 1, self.synthesis.num_steps, None if img is None else img[0].detach())
        pixels = self.synthesis.finish(states[-1])
        self._styles, self._states = context.styles, states
        progress(self.synthesis.num_steps, self.synthesis.num_steps, pixels[0].detach())
        return pixels

    def _first_changed_step(self, styles: Sequence[Tensor]) -> int:
        pairs = zip(self.synthesis.slots, styles, self._styles, strict=True)
        changed = [slot.step for slot, new, old in pairs if not torch.equal(new, old)]
        return min(changed, default=self.synthesis.num_steps)
