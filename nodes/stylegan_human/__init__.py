"""The nodes of stylegan_human."""

from ..host import register_folder
from .align import FiguraStyleGANAlign, FiguraStyleGANPasteBack
from .edit import (
    FiguraStyleGANEdit,
    FiguraStyleGANEditSweep,
    FiguraStyleGANLoadDirection,
    FiguraStyleGANSeFa,
)
from .explore import FiguraStyleGANMixMatrix, FiguraStyleGANTruncate, FiguraStyleGANWalk
from .folders import DIRECTIONS, FOLDER
from .generate import FiguraStyleGANSampler, FiguraStyleGANSeedGrid
from .inset import FiguraStyleGANInset
from .latents import FiguraStyleGANBlend, FiguraStyleGANLoadLatent, FiguraStyleGANSaveLatent
from .loaders import FiguraStyleGANLoader

register_folder(FOLDER, {".pkl", ".safetensors"})
register_folder(DIRECTIONS, {".pkl", ".pt", ".npy", ".safetensors"})

NODES: list = [
    FiguraStyleGANLoader,
    FiguraStyleGANSampler,
    FiguraStyleGANSeedGrid,
    FiguraStyleGANSaveLatent,
    FiguraStyleGANLoadLatent,
    FiguraStyleGANBlend,
    FiguraStyleGANTruncate,
    FiguraStyleGANWalk,
    FiguraStyleGANMixMatrix,
    FiguraStyleGANLoadDirection,
    FiguraStyleGANSeFa,
    FiguraStyleGANEdit,
    FiguraStyleGANEditSweep,
    FiguraStyleGANAlign,
    FiguraStyleGANPasteBack,
    FiguraStyleGANInset,
]
