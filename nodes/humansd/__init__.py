"""HumanSD's nodes."""

from .conditioning import FiguraHumanSDApplySkeleton
from .loaders import FiguraHumanSDFromSD21, FiguraHumanSDLoader
from .sampling import FiguraHumanSDSampler

NODES: list = [FiguraHumanSDLoader, FiguraHumanSDFromSD21, FiguraHumanSDApplySkeleton, FiguraHumanSDSampler]
