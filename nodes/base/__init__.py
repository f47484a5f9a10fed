"""The nodes of base."""

from .loaders import FiguraBaseLoader

NODES: list = [FiguraBaseLoader]
