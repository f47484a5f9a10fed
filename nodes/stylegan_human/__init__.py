"""The nodes of stylegan_human."""

from ..host import register_folder
from .generate import FiguraStyleGANSampler, FiguraStyleGANSeedGrid
from .latents import FiguraStyleGANBlend, FiguraStyleGANLoadLatent, FiguraStyleGANSaveLatent
from .loaders import FOLDER, FiguraStyleGANLoader

register_folder(FOLDER, {".pkl", ".safetensors"})

NODES: list = [
    FiguraStyleGANLoader,
    FiguraStyleGANSampler,
    FiguraStyleGANSeedGrid,
    FiguraStyleGANSaveLatent,
    FiguraStyleGANLoadLatent,
    FiguraStyleGANBlend,
]
