"""The smallest picture that a network can take.

A network halves the picture from level to level. Where a level is left with one value per channel, and a
group norm there has one channel per group, nothing remains to take a deviation of, and torch raises. Released
networks have many channels per group and never meet this; tiny ones do.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from .errors import FiguraInputError


@dataclass(frozen=True)
class Levels:
    """A UNet's or an autoencoder's levels, from the widest picture to the smallest."""

    widths: Sequence[int]
    """Channels per level."""
    factor: int = 1
    """Pixels of the picture per value at the first level: 1 for an autoencoder, 8 for latents."""
    groups: int = 32
    """Groups of its group norms."""

    def largest_refused(self) -> int:
        """Pixels of the longer side up to which the picture is too small; 0 where none is."""
        pairs = zip(
            [self.widths[0], *self.widths], self.widths, strict=False
        )  # a level begins as wide as the
        narrow = [level for level, pair in enumerate(pairs) if self.groups in pair]  # one before it ended
        return self.factor * 2 ** narrow[-1] if narrow else 0


def levels_of(network: Any, factor: int = 1) -> Levels:
    """The levels of diffusers' UNet or autoencoder."""
    config = network.config
    return Levels(config.block_out_channels, factor, config.norm_num_groups)


def check_least(width: int, height: int, networks: Iterable[Levels], multiple: int = 8) -> None:
    """Refuse a picture that is too small for one of the networks.

    Args:
        width, height: pixels. multiple: what the sides must be multiples of anyway, for the message.

    Raises: FiguraInputError.
    """
    refused = max((levels.largest_refused() for levels in networks), default=0)
    if max(width, height) > refused:
        return
    least = (refused // multiple + 1) * multiple
    raise FiguraInputError(
        "size", f"{width} x {height} pixels (width x height)", f"a longer side of at least {least} pixels",
        "This small model's deepest level would hold a single value: raise the width or the height.",
    )  # fmt: skip
