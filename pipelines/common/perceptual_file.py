"""Files of perceptual weights: torchvision's AlexNet and VGG16, LPIPS's weights, or both in one file.

What people have: ``alexnet-owt-7be5be79.pth`` and ``vgg16-397923af.pth`` (torchvision), ``alex.pth`` and
``vgg.pth`` (LPIPS's own few kilobytes), and whole LPIPS models, whose names begin with ``net.slice``. The
``vgg16.pt`` of NVIDIA's metrics is a program (TorchScript) and is refused.
"""

import re
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor, nn

from .errors import FiguraWeightsError
from .identify import require
from .perceptual import DeepFeatures, Perceptual, Stage
from .weights import load_state_dict

CONVOLUTION = re.compile(r"^(?:net\.)?(?:features|slice\d+)\.(\d+)\.(weight|bias)$")
LINEAR = re.compile(r"^(?:lpips\.)?lins?\.?(\d+)\.model\.1\.weight$")


@dataclass(frozen=True)
class Network:
    """Where a classifier's convolutions stand in torchvision's ``features``, stage by stage."""

    name: str
    stages: tuple[tuple[int, ...], ...]
    pools: tuple[int, ...]
    first: tuple[int, int]
    """Stride and padding of the first convolution; the others have stride 1 and keep the size."""
    smallest: int
    """Shortest side, in pixels, that reaches the last stage."""


ALEX = Network("alex", ((0,), (3,), (6,), (8,), (10,)), (0, 3, 3, 0, 0), (4, 2), 31)
VGG = Network("vgg", ((0, 2), (5, 7), (10, 12, 14), (17, 19, 21), (24, 26, 28)), (0, 2, 2, 2, 2), (1, 1), 16)
WANTED = "torchvision's alexnet or vgg16 (.pth), with LPIPS's alex.pth or vgg.pth, or a whole LPIPS model"


def load_perceptual(*paths: str | Path) -> Perceptual:
    """The measure in one file or two: a classifier, LPIPS's weights for it, or both in one.

    Raises FiguraWeightsError, naming what a file is, when they do not make one.
    """
    state: dict[str, Tensor] = {}
    for path in paths:
        state |= _read(Path(path))
    name = " and ".join(Path(path).name for path in paths)
    convolutions, linear = _sorted(state)
    weight = convolutions.get("0.weight")
    if weight is None:
        raise FiguraWeightsError(
            name, "LPIPS's own weights without the network they weigh", WANTED,
            "Choose torchvision's alexnet or vgg16 as the network and this file as its LPIPS weights.",
        )  # fmt: skip
    network = ALEX if weight.shape[-1] > 3 else VGG
    stages = [_stage(network, i, convolutions, name) for i in range(len(network.stages))]
    return DeepFeatures(stages, _weights(linear, stages, network, name), network.name, network.smallest)


def _read(path: Path) -> dict[str, Tensor]:
    try:
        require(path, "alexnet", "vgg16", "lpips")
    except FiguraWeightsError as error:
        if "TorchScript" not in error.got:
            raise
        raise FiguraWeightsError(
            path.name, "a TorchScript program, such as the vgg16.pt of NVIDIA's metrics", WANTED,
            "Programs are not run. torchvision's vgg16 with LPIPS's vgg.pth measures the same.",
        ) from error  # fmt: skip
    return load_state_dict(path)


def _sorted(state: dict[str, Tensor]) -> tuple[dict[str, Tensor], dict[int, Tensor]]:
    """Convolutions by ``number.weight|bias``, LPIPS's weights by stage."""
    convolutions, linear = {}, {}
    for key, tensor in state.items():
        if match := CONVOLUTION.match(key):
            convolutions[f"{match[1]}.{match[2]}"] = tensor.float()
        elif match := LINEAR.match(key):
            linear[int(match[1])] = tensor.float().flatten()
    return convolutions, linear


def _stage(network: Network, index: int, convolutions: dict[str, Tensor], name: str) -> Stage:
    layers = []
    for number in network.stages[index]:
        weight, bias = convolutions.get(f"{number}.weight"), convolutions.get(f"{number}.bias")
        if weight is None or bias is None or weight.ndim != 4:
            raise FiguraWeightsError(name, f"no convolution features.{number}", WANTED)
        stride, padding = network.first if number == 0 else (1, weight.shape[-1] // 2)
        layer = nn.Conv2d(weight.shape[1], weight.shape[0], weight.shape[-1], stride, padding)
        layer.weight, layer.bias = nn.Parameter(weight.clone()), nn.Parameter(bias.clone())
        layers.append(layer)
    return Stage(layers, network.pools[index])


def _weights(
    linear: dict[int, Tensor], stages: list[Stage], network: Network, name: str
) -> list[Tensor] | None:
    if not linear:
        return None
    widths = [stage.channels for stage in stages]
    came = [len(linear[i]) if i in linear else 0 for i in range(len(widths))]
    if came != widths:
        raise FiguraWeightsError(
            name, f"LPIPS weights for {came} channels", f"{widths}, as this {network.name} network has",
            "alex.pth belongs to AlexNet, vgg.pth to VGG16.",
        )  # fmt: skip
    return [linear[i].clone() for i in range(len(widths))]
