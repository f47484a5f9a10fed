"""What one update consists of: phases, each with its own latents, gain and optimiser step.

Source: Karras et al. 2020 (StyleGAN2), section 3.1: regularisers need not be evaluated every time. A lazily
evaluated one is multiplied by its interval, and Adam, which now takes n + 1 steps in n updates, is slowed by
c = n / (n + 1): learning rate times c, betas to the power c.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Phase:
    """One step of one network's optimiser: the adversarial loss, the regulariser, or both at once."""

    name: str
    network: str
    """``G`` or ``D``."""
    main: bool
    regulariser: bool
    interval: int = 1
    """Run in every ``interval``-th update; also the factor on the loss."""

    def due(self, update: int) -> bool:
        """Whether update number ``update`` (from 0) runs this phase."""
        return update % self.interval == 0


def plan_phases(g_interval: int | None, d_interval: int | None) -> list[Phase]:
    """The phases of an update in their order. An interval of None evaluates that regulariser every time,
    together with the main loss.
    """
    phases = []
    for network, interval in (("G", g_interval), ("D", d_interval)):
        if interval is None:
            phases.append(Phase(f"{network}both", network, True, True))
        else:
            phases.append(Phase(f"{network}main", network, True, False))
            phases.append(Phase(f"{network}reg", network, False, True, interval))
    return phases


@dataclass(frozen=True)
class AdamSettings:
    """Adam's learning rate, betas and epsilon."""

    lr: float = 0.0025
    betas: tuple[float, float] = (0.0, 0.99)
    eps: float = 1e-8

    def slowed(self, interval: int | None) -> "AdamSettings":
        """The settings for a network whose regulariser runs every ``interval`` updates (None: always)."""
        if interval is None:
            return self
        c = interval / (interval + 1)
        return AdamSettings(self.lr * c, (self.betas[0] ** c, self.betas[1] ** c), self.eps)
