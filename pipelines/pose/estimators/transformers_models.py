"""ViTPose (Xu et al. 2022) for joints and a DETR (RT-DETR by default) for where people are, by transformers.

Both are folders as the model hub has them (config.json, weights, preprocessor_config.json). Nothing is
fetched, and weights come through the pack's own door.
"""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from ...common.errors import FiguraInputError, FiguraWeightsError
from ...common.weights import load_state_dict
from .estimate import Found

CROPS_AT_ONCE = 16
_GIVEN = {"input_data_format": "channels_last", "return_tensors": "pt"}


class ViTPoseEstimator:
    """Finds the joints of each person in a box."""

    backend = "vitpose"
    needs_boxes = True

    def __init__(self, model: Any, processor: Any) -> None:
        self.model, self.processor = model, processor
        self.modules: list[nn.Module] = [model]

    @torch.no_grad()
    def __call__(self, picture: np.ndarray, boxes: np.ndarray | None = None) -> Found:
        """See ``estimate.Estimator``."""
        if boxes is None:
            boxes = np.array([[0, 0, picture.shape[1], picture.shape[0]]], np.float32)
        boxes = np.concatenate([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]], axis=1)  # x, y, width, height
        parts = [
            self._crops(picture, boxes[start : start + CROPS_AT_ONCE])
            for start in range(0, len(boxes), CROPS_AT_ONCE)
        ]
        people = np.concatenate(parts)
        return people, people[..., 2].mean(1)

    def _crops(self, picture: np.ndarray, boxes: np.ndarray) -> np.ndarray:
        weight = next(self.model.parameters())
        inputs = self.processor(images=[picture], boxes=[boxes.tolist()], **_GIVEN)
        pixels = inputs["pixel_values"].to(weight.device, weight.dtype)
        arguments = {}
        if getattr(self.model.config.backbone_config, "num_experts", 1) > 1:  # ViTPose++: 0 is COCO
            arguments["dataset_index"] = torch.zeros(len(pixels), dtype=torch.long, device=pixels.device)
        outputs = self.model(pixel_values=pixels, **arguments)
        outputs.heatmaps = outputs.heatmaps.float().cpu()
        found = self.processor.post_process_pose_estimation(outputs, boxes=[boxes.tolist()])[0]
        return np.stack(
            [np.concatenate([one["keypoints"], one["scores"].reshape(-1, 1)], axis=1) for one in found]
        )


class PersonDetector:
    """Finds people's boxes with any detector of transformers that knows the label "person"."""

    def __init__(self, model: nn.Module, processor: Any, threshold: float = 0.3) -> None:
        self.model, self.processor, self.threshold = model, processor, threshold
        self.modules: list[nn.Module] = [model]
        labels: dict[Any, str] = getattr(model.config, "id2label", {})  # pyright: ignore[reportAssignmentType]
        self.person = {int(key) for key, name in labels.items() if name.lower() in ("person", "people")}
        if not self.person:
            raise FiguraInputError(
                "detector", f"a model that knows {len(labels)} things but no 'person'",
                "one trained on COCO, such as rtdetr_r50vd_coco_o365",
            )  # fmt: skip

    @torch.no_grad()
    def __call__(self, picture: np.ndarray) -> np.ndarray:
        """See ``estimate.Detector``."""
        weight = next(self.model.parameters())
        inputs = self.processor(images=[picture], **_GIVEN)
        outputs = self.model(pixel_values=inputs["pixel_values"].to(weight.device, weight.dtype))
        size = torch.tensor([picture.shape[:2]])
        found = self.processor.post_process_object_detection(
            outputs, threshold=self.threshold, target_sizes=size.to(weight.device)
        )[0]
        people = [label in self.person for label in found["labels"].tolist()]
        order = found["scores"].float().cpu().numpy()[people].argsort()[::-1]
        return found["boxes"].float().cpu().numpy().reshape(-1, 4)[people][order]


def load_vitpose(folder: str | Path) -> ViTPoseEstimator:
    """Read a ViTPose folder (e.g. vitpose-base-simple, vitpose-plus-base) in float32."""
    import transformers

    model = _load_model(folder, "vitpose", transformers.VitPoseForPoseEstimation, "a ViTPose folder")
    return ViTPoseEstimator(model, _load_processor(folder, transformers.VitPoseImageProcessor))


def load_detector(folder: str | Path, threshold: float = 0.3) -> PersonDetector:
    """Read a detector's folder (e.g. rtdetr_r50vd_coco_o365) in float32."""
    import transformers

    auto = transformers.AutoModelForObjectDetection
    model = _load_model(folder, "", auto, "a detector's folder (RT-DETR or another DETR)")
    fallback = transformers.RTDetrImageProcessor
    return PersonDetector(model, _load_processor(folder, fallback, auto=True), threshold)


def _load_model(folder: str | Path, kind: str, model_class: Any, wanted: str) -> nn.Module:
    """Build the model that config.json tells, and give it exactly the tensors of the folder."""
    import transformers

    folder = Path(folder)
    if not (folder / "config.json").is_file():
        raise FiguraWeightsError(
            folder.name, "no config.json in it", f"{wanted} with config.json and model.safetensors",
            "Copy the whole folder from the model hub into models/pose_estimators.",
        )  # fmt: skip
    try:
        config = transformers.AutoConfig.from_pretrained(folder, local_files_only=True)
    except (ValueError, OSError, KeyError, TypeError) as error:
        raise FiguraWeightsError(folder.name, f"a config.json that {str(error)[:80]}", wanted) from None
    came = str(getattr(config, "model_type", "unknown"))
    if kind and came != kind:
        raise FiguraWeightsError(folder.name, f"a model of type '{came}'", wanted)
    model_class = model_class if kind else _object_model(model_class, config, folder.name, wanted)
    state = load_state_dict(folder)
    model, report = model_class.from_pretrained(
        None, config=config, state_dict=state, output_loading_info=True, dtype=torch.float32
    )
    wrong = [*report["missing_keys"], *(str(entry) for entry in report.get("mismatched_keys", []))]
    if wrong:
        raise FiguraWeightsError(
            folder.name, f"{len(wrong)} missing or misfitting tensors ({', '.join(sorted(wrong)[:3])}, …)",
            "the weights that belong to its config.json", "Download the folder again.",
        )  # fmt: skip
    return model.eval().requires_grad_(False)


def _object_model(auto: Any, config: Any, name: str, wanted: str) -> Any:
    if type(config) not in auto._model_mapping:
        raise FiguraWeightsError(name, f"a model of type '{config.model_type}'", wanted)
    return auto._model_mapping[type(config)]


def _load_processor(folder: str | Path, fallback: Any, auto: bool = False) -> Any:
    import transformers

    if not (Path(folder) / "preprocessor_config.json").is_file():
        return fallback()
    loader = transformers.AutoImageProcessor if auto else fallback
    return loader.from_pretrained(folder, local_files_only=True)
