"""What a run starts from: fresh networks, or those of a file; and the layers that are to stay as they are."""

from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from ...common.errors import FiguraInputError, FiguraWeightsError
from ...common.network_pickle import NetworkRecord, load_stylegan_pickle
from ...common.seeds import check_seed
from ...common.weights import FileKind, load_state_dict, save_state_dict, sniff
from ..checkpoint import to_metadata
from ..networks.discriminator import Block, Discriminator
from ..networks.generator import Generator, build
from .presets import Recipe

StateDict = dict[str, Tensor]
NETWORKS = ("G", "D", "G_ema")


@dataclass(frozen=True)
class Networks:
    """The two players and the generator's moving average."""

    generator: Generator
    discriminator: Discriminator
    average: Generator


def fresh_networks(recipe: Recipe, seed: int) -> Networks:
    """Networks with random weights; the average starts as a copy of the generator."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(check_seed(seed) % 2**63)
        generator, average = build(recipe.generator), build(recipe.generator)
        discriminator = Discriminator(recipe.discriminator)
    average.load_state_dict(generator.state_dict())
    return Networks(generator, discriminator, average)


def resumed_networks(recipe: Recipe, seed: int, path: Path) -> Networks:
    """Fresh networks that take every tensor of the same name and shape from ``path``.

    Raises:
        FiguraInputError: no tensor of the generator fits, so that nothing would be resumed.
    """
    networks, states = fresh_networks(recipe, seed), read_networks(path)
    generator = states.get("G") or states["G_ema"]
    taken = take(networks.generator, generator)
    take(networks.average, states.get("G_ema") or generator)
    if "D" in states:
        take(networks.discriminator, states["D"])
    if not any(name.startswith("synthesis.") and "weight" in name for name in taken):
        raise FiguraInputError(
            "--resume", f"'{path.name}', none of whose layers fit", "a network of this preset's sizes",
            "Choose the preset and --cbase, --cmax that it was trained with.",
        )  # fmt: skip
    return networks


@torch.no_grad()
def take(network: nn.Module, state: StateDict) -> list[str]:
    """Copy tensors of equal name and shape into ``network``; return their names."""
    own = network.state_dict()
    taken = [name for name, tensor in state.items() if name in own and own[name].shape == tensor.shape]
    for name in taken:
        own[name].copy_(state[name])
    return taken


def read_networks(path: Path) -> dict[str, StateDict]:
    """Tensors of G, D and G_ema in a published .pkl or one of our files; G_ema is always there."""
    if not path.is_file():
        raise FiguraWeightsError("--resume", f"no file '{path.name}'", "a network to start from")
    if sniff(path) is FileKind.PICKLE:
        records = load_stylegan_pickle(path, keys=NETWORKS)
        states = {name: r.tensors for name, r in records.items() if isinstance(r, NetworkRecord)}
    else:
        tensors = load_state_dict(path)
        states = {name: _part(tensors, f"{name}.") for name in NETWORKS}
        states = {name: state for name, state in states.items() if state} or {"G_ema": tensors}
    if "G_ema" not in states or "mapping.w_avg" not in states["G_ema"]:
        raise FiguraWeightsError(path.name, "no G_ema", "a StyleGAN2 or StyleGAN3 network")
    return states


def save_networks(path: Path, networks: Networks) -> None:
    """Write all three, for ``resumed_networks``."""
    players = zip(NETWORKS, (networks.generator, networks.discriminator, networks.average), strict=True)
    state = {
        f"{name}.{key}": tensor for name, network in players for key, tensor in network.state_dict().items()
    }
    metadata = to_metadata(networks.average.config)
    save_state_dict(
        path, state, metadata | {"figura.discriminator": str(asdict(networks.discriminator.config))}
    )


def frozen_layers(discriminator: Discriminator, count: int) -> list[nn.Parameter]:
    """Parameters of its first ``count`` layers: fromrgb, then each block's conv0, conv1 and skip (Mo et al.
    2020)."""
    blocks = [block for block in discriminator.children() if isinstance(block, Block)]
    layers = [
        layer
        for block in blocks
        for layer in (block.fromrgb, block.conv0, block.conv1, block.skip)
        if layer is not None
    ]
    if count > len(layers):
        raise FiguraInputError("--freezed", str(count), f"at most {len(layers)} layers")
    return [parameter for layer in layers[:count] for parameter in layer.parameters()]


def _part(tensors: StateDict, prefix: str) -> StateDict:
    return {name[len(prefix) :]: tensor for name, tensor in tensors.items() if name.startswith(prefix)}
