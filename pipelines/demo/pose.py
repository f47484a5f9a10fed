"""Tiny pose estimators with random weights, in the layouts and under the names of the released ones."""

from pathlib import Path
from typing import Any

import torch

from ..common.weights import save_state_dict
from ..pose.estimators.higherhrnet import HigherHRNet, HigherHRNetConfig
from ..pose.estimators.hrnet import tiny

HIGHERHRNET = "higherhrnet_w48_humanart_512x512_udp.safetensors"
VITPOSE = "vitpose-base-simple"
DETECTOR = "rtdetr_r50vd_coco_o365"


def write_models(models_dir: Path) -> None:
    """Write a HigherHRNet, a ViTPose folder and a detector's folder into ``models_dir/pose_estimators``."""
    folder = models_dir / "pose_estimators"
    folder.mkdir(parents=True, exist_ok=True)
    with torch.random.fork_rng([]):
        torch.manual_seed(0)
        model = HigherHRNet(HigherHRNetConfig(tiny(), deconv=8, blocks=1))
        head: Any = model.keypoint_head.final_layers[0]
        head.weight.data[17:] = 0  # all tags alike: noise makes at most as many people as peaks are looked at
        save_state_dict(folder / HIGHERHRNET, model.state_dict())
        _vitpose(folder / VITPOSE)
        _detector(folder / DETECTOR)


def _vitpose(folder: Path) -> None:
    import transformers

    t: Any = transformers  # its configurations take more than their type stubs tell

    backbone = t.VitPoseBackboneConfig(
        hidden_size=32, num_hidden_layers=2, num_attention_heads=2, image_size=[256, 192], out_indices=[2]
    )
    config = t.VitPoseConfig(backbone_config=backbone, num_labels=17)
    t.VitPoseForPoseEstimation(config).save_pretrained(folder)
    t.VitPoseImageProcessor().save_pretrained(folder)


def _detector(folder: Path) -> None:
    import transformers

    t: Any = transformers  # its configurations take more than their type stubs tell

    backbone = t.RTDetrResNetConfig(
        embedding_size=16, hidden_sizes=[16, 16, 32, 32], depths=[1, 1, 1, 1], layer_type="basic",
        out_features=["stage2", "stage3", "stage4"],
    )  # fmt: skip
    config = t.RTDetrConfig(
        backbone_config=backbone, encoder_in_channels=[16, 32, 32], encoder_hidden_dim=32,
        encoder_ffn_dim=32, d_model=32, num_queries=8, decoder_in_channels=[32, 32, 32], decoder_ffn_dim=32,
        decoder_layers=1, decoder_attention_heads=2, encoder_attention_heads=2, num_denoising=0,
        use_pretrained_backbone=False, id2label={0: "person"}, label2id={"person": 0},
    )  # fmt: skip
    t.RTDetrForObjectDetection(config).save_pretrained(folder)
    t.RTDetrImageProcessor().save_pretrained(folder)
