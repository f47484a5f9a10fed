"""Estimators in ONNX form through rtmlib: RTMPose, DWPose, ViTPose. Only files that lie here; nothing is
fetched.
"""

from pathlib import Path
from typing import Any

import numpy as np
from torch import nn

from ...common.errors import FiguraMissingPackage, FiguraWeightsError
from .estimate import Found

INSTALL = "python -m pip install onnxruntime && python -m pip install --no-deps rtmlib"


class RTMLibEstimator:
    """Finds the joints of each person in a box, by onnxruntime.

    Args:
        model: one of rtmlib's top-down classes.
        detector: rtmlib's person detector, used where no boxes are given; may be None.
    """

    backend = "rtmlib"
    needs_boxes = True

    def __init__(self, model: Any, detector: Any = None) -> None:
        self.model, self.detector = model, detector
        self.modules: list[nn.Module] = []

    def __call__(self, picture: np.ndarray, boxes: np.ndarray | None = None) -> Found:
        """See ``estimate.Estimator``. rtmlib takes pictures in the order blue, green, red."""
        bgr = np.ascontiguousarray(picture[..., ::-1])
        if boxes is None and self.detector is not None:
            boxes = np.asarray(self.detector(bgr)).reshape(-1, 4)
            if not len(boxes):
                return np.zeros((0, 17, 3)), np.zeros(0)
        if boxes is None:
            boxes = np.array([[0, 0, picture.shape[1], picture.shape[0]]], np.float32)
        joints, scores = self.model(bgr, bboxes=boxes.tolist())
        people = np.concatenate([np.asarray(joints), np.asarray(scores)[..., None]], axis=-1)
        return people, people[:, :17, 2].mean(1)


def load(path: str | Path, detector: str | Path | None = None, device: str = "cpu") -> RTMLibEstimator:
    """Open an ONNX estimator, and an ONNX detector of the YOLOX family beside it.

    Args:
        device: ``cpu`` or ``cuda``; onnxruntime must have been built for it.
    """
    try:
        import rtmlib  # pyright: ignore[reportMissingImports]
    except ImportError as error:
        package = (error.name or "rtmlib").split(".")[0]
        raise FiguraMissingPackage(package, "pose backend 'rtmlib'", INSTALL) from error
    size = _input_size(path)
    pose_class = rtmlib.ViTPose if "vitpose" in Path(path).name.lower() else rtmlib.RTMPose
    options = {"backend": "onnxruntime", "device": device}
    model = pose_class(str(path), model_input_size=size, to_openpose=False, **options)
    boxes = None
    if detector is not None:
        boxes = rtmlib.YOLOX(str(detector), model_input_size=_input_size(detector), **options)
    return RTMLibEstimator(model, boxes)


def _input_size(path: str | Path) -> tuple[int, int]:
    """Width and height that a network wants, read from the file; also keeps rtmlib from fetching a missing
    one.
    """
    path = Path(path)
    if not path.is_file():
        raise FiguraWeightsError(path.name, "no such file", "an .onnx file")
    import onnxruntime  # pyright: ignore[reportMissingImports]

    try:
        session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
        shape = session.get_inputs()[0].shape
    except Exception as error:  # onnxruntime raises its own kinds, which cannot be named without importing it
        raise FiguraWeightsError(
            path.name, f"a file that is no ONNX network ({str(error)[:80]})", "ONNX"
        ) from None
    if len(shape) != 4 or not all(isinstance(side, int) for side in shape[2:]):
        raise FiguraWeightsError(
            path.name, f"a network with inputs {shape}", "one with fixed height and width"
        )
    return shape[3], shape[2]
