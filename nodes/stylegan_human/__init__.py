"""The nodes of stylegan_human."""

from ..host import register_folder
from .align import FiguraStyleGANAlign, FiguraStyleGANPasteBack
from .edit import (
    FiguraStyleGANEdit,
    FiguraStyleGANEditSweep,
    FiguraStyleGANLoadDirection,
    FiguraStyleGANSaveDirection,
    FiguraStyleGANSeFa,
)
from .explore import (
    FiguraStyleGANLatentGrid,
    FiguraStyleGANMixMatrix,
    FiguraStyleGANRandomWalk,
    FiguraStyleGANTruncate,
    FiguraStyleGANWalk,
)
from .films import FiguraStyleGANFilm, FiguraStyleGANInterpolate, FiguraStyleGANMixVideo
from .find import (
    FiguraStyleGANFitDirection,
    FiguraStyleGANLatentDirection,
    FiguraStyleGANStyleChannels,
    FiguraStyleGANTextDirection,
)
from .folders import DIRECTIONS, ENCODERS, FOLDER, PERCEPTUAL
from .generate import FiguraStyleGANSampler, FiguraStyleGANSeedGrid
from .inset import FiguraStyleGANInset
from .invert import (
    FiguraStyleGANEncoderLoader,
    FiguraStyleGANInvert,
    FiguraStyleGANPerceptualLoader,
    FiguraStyleGANSaveNetwork,
    FiguraStyleGANTune,
)
from .latents import (
    FiguraStyleGANBlend,
    FiguraStyleGANLatentMath,
    FiguraStyleGANLoadLatent,
    FiguraStyleGANSaveLatent,
)
from .loaders import FiguraStyleGANLoader

register_folder(FOLDER, {".pkl", ".safetensors"}, saved=True)
register_folder(PERCEPTUAL, {".pth", ".pt", ".safetensors"})
register_folder(ENCODERS, {".pt", ".pth", ".safetensors"})
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
    FiguraStyleGANSaveDirection,
    FiguraStyleGANLatentMath,
    FiguraStyleGANRandomWalk,
    FiguraStyleGANLatentGrid,
    FiguraStyleGANInterpolate,
    FiguraStyleGANMixVideo,
    FiguraStyleGANFilm,
    FiguraStyleGANFitDirection,
    FiguraStyleGANStyleChannels,
    FiguraStyleGANTextDirection,
    FiguraStyleGANLatentDirection,
    FiguraStyleGANAlign,
    FiguraStyleGANPasteBack,
    FiguraStyleGANInset,
    FiguraStyleGANPerceptualLoader,
    FiguraStyleGANEncoderLoader,
    FiguraStyleGANInvert,
    FiguraStyleGANTune,
    FiguraStyleGANSaveNetwork,
]
