"""How strong augmentation is (Karras et al. 2020, StyleGAN2-ada, section 3.1).

The discriminator overfits when it is too sure of the real pictures: r = mean sign of its logits on them.
Every few updates p moves by a fixed amount towards where r meets its target.
"""

from dataclasses import dataclass

from torch import Tensor


@dataclass
class AugmentControl:
    """Collects signs and moves p. ``kimg``: thousands of pictures in which p may go from 0 to 1."""

    target: float | None
    kimg: float = 500.0
    interval: int = 4
    p: float = 0.0
    signs: float = 0.0
    count: float = 0.0

    def report(self, logits: Tensor) -> None:
        """Note the discriminator's verdict on real pictures; each evaluation counts."""
        self.signs += logits.sign().sum().item()
        self.count += logits.numel()

    def due(self, updates: int) -> bool:
        """Whether p moves after so many updates."""
        return self.target is not None and updates % self.interval == 0

    def adjust(self, batch: int) -> None:
        """Move p after ``interval`` updates of ``batch`` pictures, and begin to collect anew.

        p has no upper end, as published; no verdict at all leaves it.
        """
        if self.target is None or not self.count:
            return
        error = self.signs / self.count - self.target
        direction = (error > 0) - (error < 0)
        if error != error:
            self.p = float("nan")
        else:
            self.p = max(self.p + direction * batch * self.interval / (self.kimg * 1000), 0.0)
        self.signs = self.count = 0.0
