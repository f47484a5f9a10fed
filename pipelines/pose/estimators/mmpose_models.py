"""Estimators that run in mmpose's own code: RTMPose and other top-down ones, bottom-up ones, and HigherHRNet.

A checkpoint's configuration is looked up by file name in the list that mmpose carries of everything it
published; no configuration is executed from a models folder. mmpose 1.x has no HigherHRNet: our head is
registered into it and sits on mmpose's HRNet, so that the checkpoints of mmpose 0.x run there.
"""

from pathlib import Path
from typing import Any
from urllib.parse import urlparse

import numpy as np
import torch
from torch import nn

from ...common.errors import FiguraInputError, FiguraWeightsError
from ...common.weights import Header, load_state_dict, read_header
from .ae_grouping import group
from .bottom_up import prepare, sort_people
from .estimate import Found
from .higherhrnet import HigherHRNetConfig, HigherResolutionHead, config_of, prefix_of
from .hrnet import HRNetConfig
from .mmpose_import import import_mmpose

HEAD = "FiguraHigherResolutionHead"


class MMPoseEstimator:
    """Runs any pose estimator built by mmpose.

    Args:
        model: what ``mmpose.apis.init_model`` returns.
    """

    backend = "mmpose"

    def __init__(self, model: Any) -> None:
        self.model = model
        self.modules: list[nn.Module] = [model]
        self.needs_boxes = type(model).__name__ == "TopdownPoseEstimator"

    def __call__(self, picture: np.ndarray, boxes: np.ndarray | None = None) -> Found:
        """See ``estimate.Estimator``. mmpose takes pictures in the order blue, green, red."""
        apis = import_mmpose()
        bgr = np.ascontiguousarray(picture[..., ::-1])
        if self.needs_boxes:
            found = apis.inference_topdown(self.model, bgr, boxes)
        else:
            found = apis.inference_bottomup(self.model, bgr)
        people, scores = _collect(found)
        return people, scores


class MMPoseHigherHRNet:
    """HumanSD's estimator inside mmpose: its HRNet and its model class, our head, our grouping."""

    backend = "mmpose"
    needs_boxes = False

    def __init__(self, model: Any, side: int = 512) -> None:
        self.model, self.side = model, side
        self.modules: list[nn.Module] = [model]

    @torch.no_grad()
    def __call__(self, picture: np.ndarray, boxes: np.ndarray | None = None) -> Found:
        """See ``estimate.Estimator``."""
        from mmpose.structures import PoseDataSample  # pyright: ignore[reportMissingImports]

        pixels, span = prepare(picture, self.side)
        weight = next(self.model.parameters())
        size = np.array(pixels.shape[:1:-1])
        sample = PoseDataSample(
            metainfo={"input_size": size - 1, "input_scale": span, "input_center": span / 2}
        )
        result = self.model(pixels.to(weight.device, weight.dtype), [sample], mode="predict")[
            0
        ].pred_instances
        joints = np.concatenate([result.keypoints, result.keypoint_scores[..., None]], axis=-1)
        return sort_people(joints, result.scores)


def _collect(samples: list[Any]) -> Found:
    parts, scores = [], []
    for sample in samples:
        found = sample.pred_instances
        joints = np.asarray(found.keypoints)[..., :2].reshape(-1, found.keypoints.shape[-2], 2)
        certain = np.asarray(found.keypoint_scores).reshape(len(joints), -1, 1)
        parts.append(np.concatenate([joints, certain], axis=-1))
        scores.append(certain[:, :17, 0].mean(1))
    if not parts:
        return np.zeros((0, 17, 3)), np.zeros(0)
    return np.concatenate(parts), np.concatenate(scores)


def load(path: str | Path, config: str = "") -> MMPoseEstimator | MMPoseHigherHRNet:
    """Build the estimator of a checkpoint in mmpose, in eval mode on the CPU.

    Args:
        path: a checkpoint of mmpose 1.x, or a HigherHRNet of 0.x.
        config: its configuration's name as mmpose has it (``rtmpose-m_8xb256-420e_humanart-256x192``);
            empty to look it up by the file's name.
    """
    path = Path(path)
    import_mmpose()
    header = read_header(path)
    if any(name.endswith("keypoint_head.deconv_layers.0.0.0.weight") for name in header) and not config:
        return load_higherhrnet(path, header)
    model = build(find_config(path.name, config))
    state = load_state_dict(path)
    missing, unexpected = model.load_state_dict(_renamed(state), strict=False)
    missing = [name for name in missing if not name.endswith("num_batches_tracked")]
    if missing:
        raise FiguraWeightsError(
            path.name, f"{len(missing)} missing tensors ({', '.join(missing[:3])}, …)",
            f"those of {config or 'its configuration'}", "Name the configuration it was trained with.",
        )  # fmt: skip
    return MMPoseEstimator(model)


def _renamed(state: dict[str, Any]) -> dict[str, Any]:
    """mmpose 0.x called the head otherwise."""
    return {name.replace("keypoint_head.", "head.", 1): value for name, value in state.items()}


def build(config: Path) -> Any:
    """The estimator of a configuration file of mmpose's own, with random weights."""
    apis = import_mmpose()
    from mmengine.config import Config  # pyright: ignore[reportMissingImports]

    settings = Config.fromfile(config)
    settings.model.backbone.init_cfg = None
    return apis.init_model(settings, None, device="cpu").requires_grad_(False)


def config_root() -> Path:
    """Where the installed mmpose keeps its configurations."""
    import_mmpose()
    import mmpose  # pyright: ignore[reportMissingImports]

    return Path(str(mmpose.__file__)).parent / ".mim" / "configs"


def find_config(checkpoint: str, name: str = "") -> Path:
    """The configuration called ``name``, or the one mmpose published ``checkpoint`` with."""
    root = config_root()
    files = {path.stem: path for path in root.rglob("*.py") if "_base_" not in path.parts}
    if name:
        stem = Path(name).stem if name.endswith(".py") else Path(name).name
        if stem not in files:
            raise FiguraInputError(
                "config", f"'{name}'", "a configuration of mmpose, such as "
                "rtmpose-m_8xb256-420e_humanart-256x192",
            )  # fmt: skip
        return files[stem]
    found = _published(root).get(Path(checkpoint).stem) or next(
        (stem for stem in sorted(files, key=len, reverse=True) if checkpoint.startswith(stem)), None
    )
    if found is None or found not in files:
        raise FiguraWeightsError(
            checkpoint, "a checkpoint that mmpose does not list",
            "a file under the name it was published with",
            "Or name its configuration in 'mmpose config'.",
        )  # fmt: skip
    return files[found]


def _published(root: Path) -> dict[str, str]:
    """Checkpoint file stem -> configuration's name, from the lists that lie beside the configurations."""
    import yaml

    table = {}
    for path in root.rglob("*.yml"):
        entries = (yaml.safe_load(path.read_text(encoding="utf-8")) or {}).get("Models") or []
        for entry in entries if isinstance(entries, list) else []:
            weights, config = entry.get("Weights"), entry.get("Config")
            if isinstance(weights, str) and isinstance(config, str):
                table[Path(urlparse(weights).path).stem] = Path(config).stem
    return table


def load_higherhrnet(path: Path, header: Header) -> MMPoseHigherHRNet:
    """Give mmpose's HRNet and our head the tensors of a HigherHRNet of mmpose 0.x."""
    prefix = prefix_of(header, path.name)
    model = build_higherhrnet(config_of(header, prefix))
    state = {
        name.removeprefix(prefix).replace("keypoint_head.", "head.layers.", 1): tensor.float()
        for name, tensor in load_state_dict(path, prefix=prefix).items()
        if name.startswith((f"{prefix}backbone.", f"{prefix}keypoint_head.")) and tensor.is_floating_point()
    }
    missing, unexpected = model.load_state_dict(state, strict=False)
    missing = [name for name in missing if not name.endswith("num_batches_tracked")]
    if missing or unexpected:
        raise FiguraWeightsError(
            path.name, f"{len(missing)} missing and {len(unexpected)} unknown tensors", "a whole HigherHRNet"
        )
    return MMPoseHigherHRNet(model)


def build_higherhrnet(config: HigherHRNetConfig) -> Any:
    """A HigherHRNet in mmpose with random weights, in eval mode."""
    import_mmpose()
    from mmpose.models import build_pose_estimator  # pyright: ignore[reportMissingImports]
    from mmpose.utils import register_all_modules  # pyright: ignore[reportMissingImports]

    register_all_modules()
    _register_head()
    settings = {
        "type": "BottomupPoseEstimator",
        "backbone": {"type": "HRNet", "in_channels": 3, "extra": _extra(config.backbone)},
        "head": {"type": HEAD, "config": config},
        "test_cfg": {"flip_test": True},
    }
    return build_pose_estimator(settings).eval().requires_grad_(False)


def _extra(config: HRNetConfig) -> dict[str, Any]:
    """An HRNetConfig in mmpose's words."""
    inner, count = config.bottleneck
    stages = {
        "stage1": {
            "num_modules": 1, "num_branches": 1, "block": "BOTTLENECK", "num_blocks": (count,),
            "num_channels": (inner,),
        }
    }  # fmt: skip
    for stage, (channels, modules) in enumerate(zip(config.channels, config.modules, strict=True), 2):
        stages[f"stage{stage}"] = {
            "num_modules": modules, "num_branches": len(channels), "block": "BASIC",
            "num_blocks": (config.blocks,) * len(channels), "num_channels": channels,
        }  # fmt: skip
    return stages


def _register_head() -> None:
    """Make our head known to mmpose, once."""
    from mmengine.structures import InstanceData  # pyright: ignore[reportMissingImports]
    from mmpose.models.heads.base_head import BaseHead  # pyright: ignore[reportMissingImports]
    from mmpose.registry import MODELS  # pyright: ignore[reportMissingImports]

    if HEAD in MODELS.module_dict:
        return

    class Head(BaseHead):  # pyright: ignore[reportUntypedBaseClass]
        """HigherHRNet's head for mmpose's bottom-up estimator."""

        def __init__(self, config: HigherHRNetConfig) -> None:
            super().__init__(None)
            self.layers, self.joints = HigherResolutionHead(config), config.joints

        def forward(self, feats):
            return self.layers(feats[-1])

        def predict(self, feats, batch_data_samples, test_cfg=None):
            heatmaps, tags = joined(self, feats)
            people, scores = group(heatmaps, tags)
            size = np.array([heatmaps.shape[-1] - 1, heatmaps.shape[-2] - 1])
            given = np.asarray(batch_data_samples[0].metainfo["input_size"])
            found = InstanceData(
                keypoints=people[..., :2].astype(np.float64) / size * given,
                keypoint_scores=people[..., 2],
                scores=scores,
            )
            return [found]

        def loss(self, feats, batch_data_samples, train_cfg=None):
            raise NotImplementedError("inference only")

    MODELS.register_module(name=HEAD, module=Head)


def joined(head: Any, feats: Any) -> tuple[torch.Tensor, torch.Tensor]:
    """Heat maps [K, H, W] and tags [K, H, W, 2] of a picture's features and of its mirror image's."""
    from torch.nn.functional import interpolate

    from ..conventions import COCO_MIRROR

    heat, tags = [], []
    for index, one in enumerate(feats):
        coarse, fine = head(one)
        coarse = interpolate(coarse, fine.shape[-2:], mode="bilinear", align_corners=True)
        first, tag = coarse.split(head.joints, dim=1)
        pair = (first + fine) / 2, tag
        if index:
            pair = tuple(value.flip(-1)[:, torch.as_tensor(COCO_MIRROR)] for value in pair)
        heat.append(pair[0][0])
        tags.append(pair[1][0])
    return torch.stack(heat).mean(0), torch.stack(tags, dim=-1)
