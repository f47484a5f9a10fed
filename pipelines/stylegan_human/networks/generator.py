"""A generator of any of the three families: mapping and synthesis behind one interface."""

import torch
from torch import Tensor, nn

from ..configs import Config, V1Config, V2Config, version
from .mapping import Mapping
from .synthesis import Synthesis
from .synthesis_v1 import SynthesisV1
from .synthesis_v2 import SynthesisV2
from .synthesis_v3 import SynthesisV3


class Generator(nn.Module):
    """``generator(z)`` is ``generator.synthesis(generator.mapping(z))``."""

    mapping: Mapping
    synthesis: Synthesis

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        self.mapping = Mapping(config)
        self.synthesis = _synthesis(config)
        self.eval()

    @property
    def version(self) -> int:
        """1, 2 or 3."""
        return version(self.config)

    @property
    def image_size(self) -> tuple[int, int]:
        """Height and width of its pictures."""
        return self.synthesis.image_size

    def forward(self, z: Tensor, c: Tensor | None = None, truncation_psi: float = 1.0, **synthesis) -> Tensor:
        """z [N, z_dim] -> pixels [N, 3, H, W]; further arguments go to ``synthesis``."""
        return self.synthesis(self.mapping(z, c, truncation_psi), **synthesis)


def _synthesis(config: Config) -> Synthesis:
    if isinstance(config, V1Config):
        return SynthesisV1(config)
    return SynthesisV2(config) if isinstance(config, V2Config) else SynthesisV3(config)


def build(config: Config) -> Generator:
    """A generator with random weights, as training starts."""
    return Generator(config)


def device_of(generator: Generator) -> torch.device:
    """Where the generator's weights are."""
    return generator.mapping.w_avg.device
