"""Nodes that detect, convert, change and draw poses."""

from ..host import register_folder
from .bridge import FOLDER
from .detect import FiguraPoseDetect
from .draw import FiguraPoseDraw, FiguraPoseOverlay
from .edit import (
    FiguraPoseBlend,
    FiguraPoseFitCanvas,
    FiguraPoseMerge,
    FiguraPosePick,
    FiguraPoseRetarget,
    FiguraPoseTransform,
)
from .files import FiguraPoseLibrary, FiguraPoseLoad, FiguraPoseSave

register_folder(FOLDER, {".pth", ".safetensors", ".onnx", ".pt", ".bin", ".ckpt"})

NODES: list = [
    FiguraPoseDetect,
    FiguraPoseLibrary,
    FiguraPoseLoad,
    FiguraPoseSave,
    FiguraPoseDraw,
    FiguraPoseOverlay,
    FiguraPoseFitCanvas,
    FiguraPoseTransform,
    FiguraPoseBlend,
    FiguraPoseRetarget,
    FiguraPosePick,
    FiguraPoseMerge,
]
