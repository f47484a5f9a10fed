"""Checkpoints that are whole or absent, and resume bit for bit.

A checkpoint is a folder ``step_<n>``: weights, averages and optimiser state as safetensors, the rest as JSON,
and a manifest of SHA-256 sums written last, in a temporary folder that is then renamed. No random state is
stored, because there is none: all randomness of an update is a function of (seed, step, process).
"""

import json
import logging
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.distributed.checkpoint.state_dict import (
    StateDictOptions,
    get_model_state_dict,
    get_optimizer_state_dict,
    set_model_state_dict,
    set_optimizer_state_dict,
)
from torch.optim import Optimizer

from ..errors import FiguraInputError, FiguraWeightsError
from ..manifest import verify_manifest, write_manifest
from ..weights import load_state_dict
from .task import Task

LOG = logging.getLogger(__name__)
WHOLE = StateDictOptions(full_state_dict=True, cpu_offload=True)
SEPARATOR = "|"  # stands between an optimiser, a parameter and a slot; parameter names hold dots only

Tensors = dict[str, Tensor]


def collect(task: Task, accelerator: Accelerator, more: Mapping[str, Any]) -> tuple[dict[str, Tensors], dict]:
    """Everything a checkpoint holds, copied to CPU memory: tensors by file name, and the JSON state.

    Every process must call it (sharded weights are gathered); what it returns matters in the main one.
    """
    whole = nn.ModuleDict(task.modules)
    moments, groups = _optimizer_tensors(whole, task.optimizers)
    tensors = {
        "weights.safetensors": _copies(get_model_state_dict(whole, options=WHOLE)),
        "averages.safetensors": _copies(nn.ModuleDict(task.averages).state_dict()),
        "optimizers.safetensors": moments,
    }
    state = {
        "groups": groups,
        "schedules": {name: _plain(schedule.state_dict()) for name, schedule in task.schedules.items()},
        "scaler": accelerator.scaler.state_dict() if accelerator.scaler is not None else None,
        "task": task.state(),
        "processes": accelerator.num_processes,
        **more,
    }
    return tensors, state


def _copies(tensors: Mapping[str, Any]) -> Tensors:
    return {name: tensor.detach().cpu().clone().contiguous() for name, tensor in tensors.items()}


def _optimizer_tensors(whole: nn.Module, optimizers: Mapping[str, Optimizer]) -> tuple[Tensors, dict]:
    """The optimisers' tensors by ``optimiser|parameter|slot``, and their groups as JSON."""
    tensors, groups = {}, {}
    for name, optimizer in optimizers.items():
        if not _bare(optimizer).state:  # torch would make one up by a step of zero length, and count it
            groups[name] = None
            continue
        state = get_optimizer_state_dict(_part(whole, optimizer), _bare(optimizer), options=WHOLE)
        if not state:  # full states are gathered in the main process alone
            continue
        by_parameter: Any = state["state"]
        for parameter, slots in by_parameter.items():
            for slot, value in slots.items():
                tensors[SEPARATOR.join((name, parameter, slot))] = torch.as_tensor(value)
        groups[name] = _plain({"groups": state["param_groups"]})["groups"]
    return _copies(tensors), groups


def _bare(optimizer: Any) -> Optimizer:
    """The torch optimiser inside accelerate's wrapper."""
    return getattr(optimizer, "optimizer", optimizer)


def _part(whole: nn.Module, optimizer: Any) -> nn.Module:
    """The modules that an optimiser trains, under the names that they have in ``whole``.

    torch asks that an optimiser covers all trainable parameters of the module it is described with.
    """
    owned = {id(p) for group in optimizer.param_groups for p in group["params"]}
    return nn.ModuleDict(
        {n: m for n, m in whole.named_children() if any(id(p) in owned for p in m.parameters())}
    )


def _plain(state: Mapping[str, Any]) -> dict:
    """The part of a state that JSON can hold (a schedule also holds its functions, which the task makes
    anew)."""
    return json.loads(json.dumps({k: v for k, v in state.items() if _is_plain(v)}))


def _is_plain(value: Any) -> bool:
    if isinstance(value, dict):
        return all(_is_plain(v) for v in value.values())
    if isinstance(value, list | tuple):
        return all(_is_plain(v) for v in value)
    return value is None or isinstance(value, bool | int | float | str)


def write(folder: Path, step: int, tensors: Mapping[str, Tensors], state: Mapping[str, Any]) -> Path:
    """Write checkpoint ``step`` under ``folder``: in a temporary folder, manifest last, then renamed.

    Raises:
        FiguraInputError: the disk is full or cannot be written. Earlier checkpoints stay as they are.
    """
    final, temporary = folder / f"step_{step:08d}", folder / f".step_{step:08d}.tmp"
    try:
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir(parents=True)
        for name, content in tensors.items():
            if content:
                save_file(content, temporary / name)
        (temporary / "state.json").write_text(json.dumps({**state, "step": step}), encoding="utf-8")
        _flush(temporary)
        write_manifest(temporary, sorted(path.name for path in temporary.iterdir()), {"step": step})
        shutil.rmtree(final, ignore_errors=True)
        os.replace(temporary, final)
    except (OSError, SafetensorError) as error:  # the latter is safetensors' own for a full disk
        shutil.rmtree(temporary, ignore_errors=True)
        raise FiguraInputError(
            f"checkpoint {step}", f"a disk that cannot be written ({error})", "room for it",
            "Free some space and run the same command again; the earlier checkpoint is whole.",
        ) from error  # fmt: skip
    return final


def _flush(folder: Path) -> None:
    """Force the bytes to the disk before the manifest vouches for them."""
    for path in folder.iterdir():
        with open(path, "rb+") as file:
            os.fsync(file.fileno())


def prune(folder: Path, keep: int) -> None:
    """Remove all but the newest ``keep`` checkpoints, and what a killed process left half written."""
    for old in sorted(folder.glob("step_*"))[:-keep]:
        shutil.rmtree(old, ignore_errors=True)
    for torn in folder.glob(".step_*.tmp"):
        shutil.rmtree(torn, ignore_errors=True)


def newest(folder: Path) -> Path | None:
    """The newest checkpoint whose manifest verifies, or None. Damaged ones are named in the log."""
    for path in sorted(folder.glob("step_*"), reverse=True):
        try:
            verify_manifest(path)
            return path
        except FiguraWeightsError as error:
            LOG.warning("%s passed over: %s", path.name, error)
    return None


def read_state(path: Path) -> dict[str, Any]:
    """The JSON state of a checkpoint."""
    return json.loads((path / "state.json").read_text(encoding="utf-8"))


def restore(path: Path, task: Task, accelerator: Accelerator) -> dict[str, Any]:
    """Put a checkpoint back into modules, averages, optimisers, schedules and task; return its JSON state.

    Raises:
        FiguraInputError: it is of other networks than the task's.
    """
    state, whole = read_state(path), nn.ModuleDict(task.modules)
    weights, averages = _tensors(path / "weights.safetensors"), _tensors(path / "averages.safetensors")
    try:
        set_model_state_dict(whole, weights, options=WHOLE)  # type: ignore[arg-type]
        nn.ModuleDict(task.averages).load_state_dict(averages)
    except RuntimeError as error:  # torch's, for names and shapes that differ
        raise FiguraInputError(
            "this run's folder", "a checkpoint of networks of other names or sizes", "one of this run's",
            "Use the settings that the run began with, another folder, or --trainer.no-resume.",
        ) from error  # fmt: skip
    _restore_optimizers(whole, task, _tensors(path / "optimizers.safetensors"), state["groups"])
    for name, schedule in task.schedules.items():
        schedule.load_state_dict(state["schedules"][name])
    if accelerator.scaler is not None and state["scaler"] is not None:
        accelerator.scaler.load_state_dict(state["scaler"])
    task.load_state(state["task"])
    return state


def _tensors(path: Path) -> Tensors:
    return load_state_dict(path) if path.is_file() else {}  # a file without tensors is not written


def _restore_optimizers(whole: nn.Module, task: Task, tensors: Tensors, groups: Mapping[str, Any]) -> None:
    moments: dict[str, dict[str, dict[str, Tensor]]] = {name: {} for name in task.optimizers}
    for key, tensor in tensors.items():
        optimizer, parameter, slot = key.split(SEPARATOR)
        moments[optimizer].setdefault(parameter, {})[slot] = tensor
    for name, optimizer in task.optimizers.items():
        if groups[name] is None:
            continue
        tupled = [{k: tuple(v) if k == "betas" else v for k, v in g.items()} for g in groups[name]]
        saved = {"state": moments[name], "param_groups": tupled}
        set_optimizer_state_dict(_part(whole, optimizer), _bare(optimizer), saved, options=WHOLE)  # type: ignore[arg-type]
