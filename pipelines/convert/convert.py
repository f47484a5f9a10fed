"""Any released weight file or folder -> one .safetensors with metadata that says where it came from."""

import json
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from ..common.errors import FiguraInputError
from ..common.files import check_file
from ..common.identify import Architecture, identify
from ..common.manifest import sha256
from ..common.network_pickle import NetworkRecord, load_stylegan_pickle
from ..common.weights import StateDict, load_state_dict, read_metadata, save_state_dict, weight_files
from .commands import ConvertConfig


@dataclass(frozen=True)
class Written:
    """What ``run`` wrote."""

    path: Path
    tensors: int
    title: str


def run(config: ConvertConfig) -> Written:
    """Convert as ``config`` says. The target appears whole or not at all; an earlier one stays until then.

    Raises:
        FiguraInputError: a target that exists, or is no .safetensors name.
        FiguraWeightsError: a source that cannot be used.
    """
    if config.target.suffix != ".safetensors":
        raise FiguraInputError("target", config.target.name, "a name that ends in .safetensors")
    if config.target.exists() and not config.overwrite:
        raise FiguraInputError("target", f"{config.target.name}, which exists", "a new name, or --overwrite")
    check_file(config.target, "target")
    found = identify(config.source)
    state, metadata = _read(config, found)
    if config.half:
        state = {
            name: tensor.half() if tensor.is_floating_point() else tensor for name, tensor in state.items()
        }
    save_state_dict(config.target, state, {"format": "pt", **metadata, **provenance(config.source, found)})
    return Written(config.target, len(state), found.title)


def provenance(source: Path, found: Architecture) -> dict[str, str]:
    """Return the metadata that tells a file's origin: name, SHA-256 (of each part), and architecture."""
    files = weight_files(source) if source.is_dir() else [source]
    config = source / "config.json"
    return {
        "figura.source": source.name,
        "figura.sha256": " ".join(sha256(file) for file in files),
        "figura.architecture": found.kind,
        **({"figura.config": config.read_text(encoding="utf-8")} if config.is_file() else {}),
    }


def _read(config: ConvertConfig, found: Architecture) -> tuple[StateDict, dict[str, str]]:
    networks = ("stylegan1", "stylegan2", "stylegan3", "stylegan.discriminator")
    if found.kind not in networks or config.source.is_dir() or read_metadata(config.source):
        kept = {} if config.source.is_dir() else read_metadata(config.source)
        return load_state_dict(config.source), kept
    if config.network == "D":
        return _discriminator(config.source)
    from ..stylegan_human.checkpoint import to_metadata
    from ..stylegan_human.loading import read_generator

    generator = read_generator(config.source, config.network)
    return generator.state, to_metadata(generator.config)


def _discriminator(source: Path) -> tuple[StateDict, dict[str, str]]:
    records = load_stylegan_pickle(source, keys=("D",))
    if "D" not in records:
        raise FiguraInputError("network", "D, which the file does not have", "G_ema or G")
    record = records["D"]
    if isinstance(record, NetworkRecord):
        settings = {"class_name": record.class_name, "init_args": record.init_args, **record.init_kwargs}
        return record.tensors, {"figura.network": json.dumps(settings, default=str)}
    tensors: dict[str, Tensor] = {name: torch.from_numpy(array) for name, array in record.flat().items()}
    return tensors, {"figura.network": json.dumps(record.static_kwargs, default=str)}
