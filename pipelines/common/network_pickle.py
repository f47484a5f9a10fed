"""StyleGAN network pickles as records of names, constructor arguments and tensors.

Two layouts: the PyTorch one of StyleGAN2-ada and 3 (a dict with G, D, G_ema; each module carries its own
Python source, which is never looked at), and the TensorFlow one of StyleGAN1 (a tuple G, D, Gs of networks).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from .door import StateDict, opened
from .errors import FiguraWeightsError
from .inert import BadPickle, Builder, Global, Span, StandIn, Stream
from .rebuild import (
    ARRAYS,
    CONTAINERS,
    HEAD,
    PLAIN,
    ArrayShell,
    Blob,
    DType,
    LazyTensor,
    Storage,
    is_legacy,
)  # fmt: skip
from .torch_file import torch_root
from .unpickle import Machine

MAX_DEPTH = 12  # modules within modules; a StyleGAN generator has four levels
NETWORKS = ("G", "D", "G_ema")


@dataclass(frozen=True)
class NetworkRecord:
    """One network of a PyTorch-era pickle.

    Attributes:
        class_name: of the module, e.g. ``Generator``.
        init_args, init_kwargs: what it was constructed with, as plain Python values.
        tensors: parameters and buffers under their flat names, e.g. ``synthesis.b4.const``; empty when only
            the header was asked for.
        shapes: the same names with their shapes.
        classes: class name of every module by its path, e.g. ``{"synthesis.input": "SynthesisInput"}``; the
            network itself is under ``""``.
        attributes: plain numbers, words and lists of the network object (``z_dim``, ``img_resolution``, …),
            by path, e.g. ``synthesis.img_resolution``.
    """

    class_name: str
    init_args: tuple
    init_kwargs: dict[str, Any]
    tensors: StateDict
    shapes: dict[str, tuple[int, ...]]
    classes: dict[str, str]
    attributes: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class TFNetworkRecord:
    """One network of a TensorFlow-era pickle, with its components under ``components``.

    ``variables`` are float arrays under the names in the file (``4x4/Const/const``, ``dlatent_avg``, …), in
    TensorFlow's layouts (HWIO convolutions, [in, out] dense); those of components are listed there only.
    """

    name: str
    static_kwargs: dict[str, Any]
    variables: dict[str, np.ndarray]
    components: dict[str, "TFNetworkRecord"]

    def flat(self) -> dict[str, np.ndarray]:
        """All variables; those of components are named like ``G_synthesis/4x4/Const/const``."""
        inner = {
            f"{part.name}/{name}": array
            for part in self.components.values()
            for name, array in part.flat().items()
        }
        return self.variables | inner


class _Persistent:
    """A module as the pickle describes it; its source text is dropped here, unread."""

    def __init__(self, meta: Any) -> None:
        if (
            not isinstance(meta, dict)
            or meta.get("type") != "class"
            or not isinstance(meta.get("class_name"), str)
        ):
            raise BadPickle("a module record that is not one")
        if not isinstance(meta.get("state"), dict):
            raise BadPickle(f"a {meta['class_name'][:40]} without state")
        self.class_name: str = meta["class_name"]
        self.state: dict = meta["state"]


class _TFNetwork:
    state: dict = {}

    def set_state(self, state: Any) -> None:
        if not isinstance(state, dict):
            raise BadPickle("a TensorFlow network without state")
        self.state = state


_TORCH_TABLE = PLAIN | {
    ("torch_utils.persistence", "_reconstruct_persistent_obj"): Builder(_Persistent),
    ("dnnlib.util", "EasyDict"): Builder(lambda *args: {}),
    ("dnnlib", "EasyDict"): Builder(lambda *args: {}),
}
_TF_TABLE = CONTAINERS | ARRAYS | {("numpy", "ndarray"): PLAIN["numpy", "ndarray"]} | {
    ("dnnlib.tflib.network", "Network"): Builder(lambda *args: _TFNetwork()),
    ("dnnlib.util", "EasyDict"): Builder(lambda *args: {}),
    ("dnnlib", "EasyDict"): Builder(lambda *args: {}),
}  # fmt: skip


def load_stylegan_pickle(
    path: str | Path, keys: tuple[str, ...] = NETWORKS, header_only: bool = False
) -> dict[str, NetworkRecord] | dict[str, TFNetworkRecord]:
    """Read a StyleGAN network pickle without executing anything of it.

    Args:
        keys: which networks to read; others, and their weights, are skipped.
        header_only: leave ``tensors`` and ``variables`` empty; ``shapes`` are given.

    Returns:
        ``{"G": …, "D": …, "G_ema": …}`` with the networks that are there. A TensorFlow file's third network,
        Gs, is its moving average and so stands under ``G_ema``.

    Raises:
        FiguraWeightsError: damaged, hostile, or no StyleGAN pickle.
    """
    with opened(path, "a StyleGAN network .pkl") as file:
        root = Machine(Stream(file), _TORCH_TABLE | _TF_TABLE).run()
        records = (
            _torch_records(root, keys, header_only)
            if isinstance(root, dict)
            else _tf_records(root, keys, header_only)
        )
        if not records:
            raise FiguraWeightsError(
                Path(path).name, f"a pickle without any of {', '.join(keys)}", "a StyleGAN network .pkl"
            )
        return records


def _torch_records(root: dict, keys: tuple[str, ...], header_only: bool) -> dict[str, NetworkRecord]:
    records = {}
    for key, network in ((key, root.get(key)) for key in keys):
        if isinstance(network, _Persistent):
            records[key] = _record(network, header_only)
        elif network is not None:
            raise BadPickle(f"its {key} is a {type(network).__name__}, not a network")
    return records


def _record(network: _Persistent, header_only: bool) -> NetworkRecord:
    lazy: dict[str, LazyTensor] = {}
    classes: dict[str, str] = {}
    attributes: dict[str, Any] = {}
    _walk(network, "", lazy, classes, attributes)
    if not lazy:
        raise BadPickle(f"its {network.class_name[:40]} has no weights")
    storages: dict[int, torch.Tensor] = {}
    return NetworkRecord(
        class_name=network.class_name,
        init_args=tuple(plain(network.state.get("_init_args", ()))),
        init_kwargs=plain(network.state.get("_init_kwargs", {})),
        tensors={} if header_only else {name: tensor.materialise(storages) for name, tensor in lazy.items()},
        shapes={name: tensor.size for name, tensor in lazy.items()},
        classes=classes,
        attributes=attributes,
    )


def _walk(
    module: _Persistent, path: str, tensors: dict[str, LazyTensor], classes: dict[str, str],
    attributes: dict[str, Any],
) -> None:  # fmt: skip
    """Collect the tensors of a module and of those inside it, as ``Module.state_dict`` would name them."""
    if path.count(".") > MAX_DEPTH:
        raise BadPickle("modules nested without end")
    classes[path.rstrip(".")] = module.class_name
    for group in ("_parameters", "_buffers"):
        for name, tensor in _entries(module, group):
            if isinstance(tensor, LazyTensor):
                tensors[path + name] = tensor
            elif tensor is not None:
                raise BadPickle(f"{path}{name} is a {type(tensor).__name__}, not a tensor")
    for name, value in module.state.items():
        if isinstance(value, (bool, int, float, str)) and isinstance(name, str):
            attributes[path + name] = value
    for name, child in _entries(module, "_modules"):
        if isinstance(child, _Persistent):
            _walk(child, f"{path}{name}.", tensors, classes, attributes)
        elif child is not None:
            raise BadPickle(f"{path}{name} is a {type(child).__name__}, not a module")


def _entries(module: _Persistent, group: str) -> list[tuple[str, Any]]:
    entries = module.state.get(group, {})
    if not isinstance(entries, dict) or not all(isinstance(name, str) for name in entries):
        raise BadPickle(f"{group} of a {module.class_name} is no dictionary of names")
    return list(entries.items())


def plain(value: Any, depth: int = 0) -> Any:
    """Turn what the machine built into plain Python values and numpy arrays."""
    if depth > MAX_DEPTH:
        raise BadPickle("values nested without end")
    if isinstance(value, Mapping):
        return {key: plain(item, depth + 1) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(plain(item, depth + 1) for item in value)
    if isinstance(value, ArrayShell):
        return value.value()
    if isinstance(value, DType):
        return value.value
    if isinstance(value, Span):
        return value.read()
    return value


def _tf_records(root: Any, keys: tuple[str, ...], header_only: bool) -> dict[str, TFNetworkRecord]:
    if (
        not isinstance(root, tuple)
        or len(root) != 3
        or not all(isinstance(part, _TFNetwork) for part in root)
    ):
        raise BadPickle("neither a dict with G_ema nor a tuple of three TensorFlow networks")
    return {
        key: _tf_record(network, header_only)
        for key, network in zip(NETWORKS, root, strict=True)
        if key in keys
    }


def _tf_record(network: _TFNetwork, header_only: bool, depth: int = 0) -> TFNetworkRecord:
    state = network.state
    components, variables = state.get("components") or {}, state.get("variables") or []
    if depth > MAX_DEPTH or not isinstance(components, dict) or not isinstance(variables, list):
        raise BadPickle("a TensorFlow network of unknown build")
    for entry in variables:
        if not (isinstance(entry, tuple) and len(entry) == 2 and isinstance(entry[0], str)):
            raise BadPickle("a TensorFlow variable without a name")
    arrays = {} if header_only else {name: np.asarray(plain(value)) for name, value in variables}
    if wrong := [name for name, array in arrays.items() if array.dtype.kind not in "fiub"]:
        raise BadPickle(f"variable {wrong[0][:60]} is no array of numbers")
    if not all(isinstance(part, _TFNetwork) for part in components.values()):
        raise BadPickle("a component that is no network")
    return TFNetworkRecord(
        name=str(state.get("name", "")),
        static_kwargs=plain(state.get("static_kwargs") or {}),
        variables=arrays,
        components={str(name): _tf_record(part, header_only, depth + 1) for name, part in components.items()},
    )


def load_pickled_arrays(path: str | Path) -> Any:
    """Read a side file: a pickled tensor or array, or lists and dicts of them; tensors come to the CPU.

    Serves StyleGAN-Human's ``mean_latent.pkl``, ``style_vect_mean_*.pkl`` and the SeFa ``.pt`` files.
    """
    wanted = "a pickle of tensors or arrays"
    with opened(path, wanted) as file:
        head = file.read(HEAD)
        if not is_legacy(head) and not head.startswith(b"PK"):
            return _values(Machine(Stream(file), PLAIN).run(), {}, 0)
    with torch_root(path, wanted) as root:
        return _values(root, {}, 0)


def _values(value: Any, storages: dict[int, torch.Tensor], depth: int) -> Any:
    """Turn lazy tensors into tensors, all through lists and dicts."""
    if depth > MAX_DEPTH:
        raise BadPickle("values nested without end")
    if isinstance(value, LazyTensor):
        return value.materialise(storages)
    if isinstance(value, dict):
        return {key: _values(item, storages, depth + 1) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(_values(item, storages, depth + 1) for item in value)
    if isinstance(value, (Storage, Blob, StandIn, Global, Builder)):
        raise BadPickle(f"it holds a {type(value).__name__}, which is no array")
    return plain(value)
