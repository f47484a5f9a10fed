"""Open an estimator by backend and file; which backend takes a file is told by what it holds."""

from pathlib import Path

from ...common.errors import FiguraInputError, FiguraWeightsError
from .estimate import BACKENDS, Detector, Estimator


def load_estimator(backend: str, path: str | Path, mmpose_config: str = "", device: str = "cpu") -> Estimator:
    """Open an estimator with its weights on the CPU.

    Args:
        backend: one of BACKENDS, or ``auto``: told by the file.
        path: a folder (vitpose), a checkpoint (higherhrnet, mmpose) or an .onnx file (rtmlib).
        mmpose_config: name of mmpose's configuration for checkpoints that mmpose does not list.
        device: for rtmlib, which places its own weights.
    """
    backend = backend_of(path) if backend == "auto" else backend
    _check(backend, path)
    if backend == "vitpose":
        from .transformers_models import load_vitpose

        return load_vitpose(path)
    if backend == "higherhrnet":
        from . import higherhrnet
        from .bottom_up import HigherHRNetEstimator

        return HigherHRNetEstimator(higherhrnet.load(path))
    if backend == "mmpose":
        from . import mmpose_models

        return mmpose_models.load(path, mmpose_config)
    from . import rtmlib_models

    return rtmlib_models.load(path, device=device)


def backend_of(path: str | Path) -> str:
    """The backend that a file or folder is for."""
    path = Path(path)
    if path.is_dir():
        return "vitpose"
    if path.suffix.lower() == ".onnx":
        return "rtmlib"
    from ...common.identify import require

    kind = require(path, "higherhrnet", "mmpose").kind
    return "higherhrnet" if kind == "higherhrnet" else "mmpose"


def _check(backend: str, path: str | Path) -> None:
    if backend not in BACKENDS:
        raise FiguraInputError("backend", f"'{backend}'", " or ".join(("auto", *BACKENDS)))
    path = Path(path)
    if not path.exists():
        raise FiguraWeightsError(path.name, "no such file", "an estimator in models/pose_estimators")
    wanted = {"vitpose": "a folder with config.json and weights", "rtmlib": "an .onnx file"}
    wanted = wanted.get(backend, "a checkpoint file (.pth or .safetensors)")
    is_onnx = path.suffix.lower() == ".onnx"
    fits = {"vitpose": path.is_dir(), "rtmlib": is_onnx}.get(backend, path.is_file() and not is_onnx)
    if not fits:
        came = "a folder" if path.is_dir() else f"a {path.suffix or 'nameless kind of'} file"
        raise FiguraWeightsError(path.name, came, wanted, f"The backend chosen is '{backend}'.")


def load_person_detector(path: str | Path, threshold: float = 0.3) -> Detector:
    """Open a folder of transformers (RT-DETR and kin) that finds people's boxes."""
    from .transformers_models import load_detector

    _check("vitpose", path)
    return load_detector(path, threshold)
