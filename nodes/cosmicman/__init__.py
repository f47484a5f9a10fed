"""The nodes of cosmicman."""

from .attention import FiguraCosmicManAttentionMap, FiguraCosmicManRefocus
from .loaders import FiguraCosmicManCheckpointLoader, FiguraCosmicManLoader
from .prompts import FiguraCosmicManPrompt
from .sampler import FiguraCosmicManSampler

NODES: list = [
    FiguraCosmicManLoader,
    FiguraCosmicManCheckpointLoader,
    FiguraCosmicManSampler,
    FiguraCosmicManPrompt,
    FiguraCosmicManAttentionMap,
    FiguraCosmicManRefocus,
]
