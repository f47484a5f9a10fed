"""Drawing fifty people, and finding people with each estimator at full size (random weights)."""

import time
from functools import partial

import numpy as np
import torch

from pipelines.humansd.skeleton import draw_skeleton
from pipelines.pose.estimators import higherhrnet, hrnet
from pipelines.pose.estimators.bottom_up import HigherHRNetEstimator
from pipelines.pose.estimators.transformers_models import ViTPoseEstimator
from pipelines.pose.library import ready_pose
from pipelines.pose.openpose_drawing import draw_openpose

from .measure import Record, record

LIMIT_MS = 5.0  # for fifty people at 1024 x 1024


def run() -> list[Record]:
    """Milliseconds; for the drawing beside its limit, for the estimators beside HigherHRNet-w48."""
    crowd = _crowd(50, 1024)
    drawn = _ms(partial(draw_skeleton, crowd, 1024, 1024), 50)
    openpose = _ms(partial(draw_openpose, crowd, 1024, 1024), 5)
    records = [
        record("draw_50_people_1024", drawn, LIMIT_MS, "limit", "ms"),
        record("draw_50_openpose18_1024", openpose, drawn, "humansd_style", "ms"),
    ]
    picture = np.random.default_rng(0).integers(0, 256, (512, 512, 3), np.uint8)
    with torch.inference_mode():
        torch.manual_seed(0)
        large, small = _higherhrnet(hrnet.w48(), 48), _higherhrnet(hrnet.w32(), 32)
        w48 = _ms(lambda: large(picture), 2)
        records.append(record("higherhrnet_w48_512", w48, w48, "itself", "ms/image"))
        records.append(record("higherhrnet_w32_512", _ms(lambda: small(picture), 2), w48, "w48", "ms/image"))
        vitpose = _vitpose()
        box = np.array([[0, 0, 512, 512]], np.float32)
        one = _ms(lambda: vitpose(picture, box), 3)
        records.append(record("vitpose_base_1_person", one, w48, "higherhrnet_w48", "ms/image"))
    return records


def _crowd(count: int, side: int) -> np.ndarray:
    """Ready people a third of the canvas high, spread over it."""
    rng = np.random.default_rng(0)
    names = ("standing", "walking", "dancing", "arms_raised", "sitting")
    people = np.array([ready_pose(names[index % len(names)]).people[0] for index in range(count)])
    people[..., :2] *= side / 3 / 768
    people[..., :2] += rng.uniform(0, side * 2 / 3, (count, 1, 2))
    return people


def _higherhrnet(backbone: hrnet.HRNetConfig, width: int) -> HigherHRNetEstimator:
    model = higherhrnet.HigherHRNet(higherhrnet.HigherHRNetConfig(backbone, deconv=width)).eval()
    model.keypoint_head.final_layers[0].weight.data[17:] = 0  # random tags would make hundreds of people
    return HigherHRNetEstimator(model)


def _vitpose() -> ViTPoseEstimator:
    import transformers

    backbone = transformers.VitPoseBackboneConfig(
        hidden_size=768, num_hidden_layers=12, num_attention_heads=12
    )
    config = transformers.VitPoseConfig(backbone_config=backbone, num_labels=17)
    model = transformers.VitPoseForPoseEstimation(config).eval()
    return ViTPoseEstimator(model, transformers.VitPoseImageProcessor())


def _ms(work, repeats: int) -> float:
    """CPU milliseconds of one call, the median after a warm-up."""
    work()
    times = []
    for _ in range(repeats):
        start = time.process_time()
        work()
        times.append(time.process_time() - start)
    return float(np.median(times)) * 1000
