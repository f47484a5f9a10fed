"""The nodes of parts2whole."""

from .apply import FiguraParts2WholeApply, FiguraParts2WholeDensePose, FiguraParts2WholeEncode
from .loaders import FiguraParts2WholeLoader
from .parts import FiguraParts2WholeBoard, FiguraParts2WholePartMasks, FiguraParts2WholeReference

NODES: list = [
    FiguraParts2WholeLoader,
    FiguraParts2WholeReference,
    FiguraParts2WholeBoard,
    FiguraParts2WholePartMasks,
    FiguraParts2WholeEncode,
    FiguraParts2WholeApply,
    FiguraParts2WholeDensePose,
]
