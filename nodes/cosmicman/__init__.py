"""The nodes of cosmicman."""

from .loaders import FiguraCosmicManCheckpointLoader, FiguraCosmicManLoader
from .prompts import FiguraCosmicManPrompt
from .sampler import FiguraCosmicManSampler

NODES: list = [
    FiguraCosmicManLoader,
    FiguraCosmicManCheckpointLoader,
    FiguraCosmicManSampler,
    FiguraCosmicManPrompt,
]
