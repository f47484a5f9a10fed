"""Import mmpose 1.3.2 where it could not be imported by itself.

mmpose imports three packages that inference does not use and that no longer build or fit: xtcocotools (a
fork of pycocotools), mmdet (two names of it) and the compiled half of mmcv (``mmcv.ops``). Stand-ins are
put where they are missing for the time of mmpose's first import, and taken out again, so that other packs
see the truth.
"""

import importlib
import importlib.util
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

from torch import nn

from ...common.errors import FiguraMissingPackage

# One command, for pip and for uv; docs/mmpose.md explains it. The first half is what mmpose needs, without
# the two
# packages it declares that no longer build; the second is mmpose itself, alone.
INSTALL = (
    "python -m pip install pycocotools six scipy matplotlib munkres json-tricks addict yapf rich termcolor"
    " pyyaml packaging platformdirs"
    " && python -m pip install --no-deps mmengine==0.10.7 mmcv-lite==2.2.0 mmpose==1.3.2"
)
NEEDED = ("mmpose", "mmengine", "mmcv", "pycocotools", "six", "json_tricks", "matplotlib", "munkres")
_COCO = ("", ".coco", ".cocoeval", ".mask")


def installed() -> bool:
    """Whether mmpose is there, without importing it."""
    return "mmpose" in sys.modules or importlib.util.find_spec("mmpose") is not None


def import_mmpose() -> ModuleType:
    """Return ``mmpose.apis``, importing it on first use.

    Raises:
        FiguraMissingPackage: mmpose or something it needs is not installed; names the command.
    """
    if "mmpose.apis" in sys.modules:
        return sys.modules["mmpose.apis"]
    for package in NEEDED:
        if importlib.util.find_spec(package) is None:
            raise FiguraMissingPackage(package, "pose backend 'mmpose'", INSTALL)
    with _stand_ins():
        return importlib.import_module("mmpose.apis")


@contextmanager
def _stand_ins() -> Iterator[None]:
    put = {name: module for name, module in _modules().items() if name not in sys.modules}
    sys.modules.update(put)
    try:
        yield
    except ImportError as error:
        _forget("mmpose")
        package = (error.name or "mmpose").split(".")[0]
        raise FiguraMissingPackage(package, f"pose backend 'mmpose' ({error})", INSTALL) from error
    finally:
        for name, module in put.items():
            if sys.modules.get(name) is module:
                del sys.modules[name]
        if "mmcv" in sys.modules and getattr(sys.modules["mmcv"], "ops", None) in put.values():
            del sys.modules["mmcv"].ops  # pyright: ignore[reportAttributeAccessIssue]


def _forget(package: str) -> None:
    """Take a half imported package out, so that the next try begins anew."""
    for name in [name for name in sys.modules if name.split(".")[0] == package]:
        del sys.modules[name]


def _modules() -> dict[str, ModuleType]:
    """What has to stand in here: nothing for packages that are there and work."""
    modules: dict[str, ModuleType] = {}
    if not _works("xtcocotools.mask"):
        modules |= {f"xtcocotools{part}": importlib.import_module(f"pycocotools{part}") for part in _COCO[1:]}
        modules["xtcocotools"] = importlib.import_module("pycocotools")
    if importlib.util.find_spec("mmdet") is None:
        modules |= _mmdet()
    if importlib.util.find_spec("mmcv._ext") is None:
        modules["mmcv.ops"] = _CompiledOps("mmcv.ops")
    return modules


def _works(name: str) -> bool:
    """Whether a module with compiled parts can be imported: xtcocotools' wheel does not fit numpy 2."""
    try:
        importlib.import_module(name)
    except (ImportError, ValueError, AttributeError):
        _forget(name.split(".")[0])
        return False
    return True


def _mmdet() -> dict[str, ModuleType]:
    from mmengine.config import ConfigDict  # pyright: ignore[reportMissingImports]

    mmdet, utils = ModuleType("mmdet"), ModuleType("mmdet.utils")
    names: dict[str, Any] = {"ConfigType": ConfigDict | dict, "reduce_mean": lambda tensor: tensor}
    utils.__dict__.update(names)
    mmdet.__dict__.update({"utils": utils, "__path__": []})
    return {"mmdet": mmdet, "mmdet.utils": utils}


class _CompiledOps(ModuleType):
    """Stands in for ``mmcv.ops``: any name is a layer that says, when built, that it is missing."""

    __path__: list[str] = []

    def __getattr__(self, name: str) -> type[nn.Module]:
        if name.startswith("__"):
            raise AttributeError(name)

        def refuse(layer: nn.Module, *args: object, **arguments: object) -> None:
            raise FiguraMissingPackage(
                "mmcv (compiled)", f"the layer {name} of this pose estimator",
                "pip install mmcv (it compiles for an hour), or choose another estimator",
            )  # fmt: skip

        return type(name, (nn.Module,), {"__init__": refuse})
