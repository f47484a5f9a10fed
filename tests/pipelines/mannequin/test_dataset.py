"""The data set in memory: an item is a pure function of (config, seed, index)."""

import pickle  # noqa: S403 - what a DataLoader worker does to the data set

import pytest
import torch
from comfyui_figura.pipelines.common.errors import FiguraInputError
from comfyui_figura.pipelines.mannequin import dataset as datasets
from comfyui_figura.pipelines.mannequin.captions import short_caption
from comfyui_figura.pipelines.mannequin.configs import catalogue, crowd, demo, portraits, studio
from comfyui_figura.pipelines.mannequin.dataset import MannequinDataset
from comfyui_figura.pipelines.mannequin.scene import render
from torch.utils.data import DataLoader

ITEMS = [
    (datasets.picture_item, portraits(32, 16)),
    (datasets.caption_item, catalogue(40, 32)),
    (datasets.pose_item, crowd(32, 48)),
    (datasets.parts_item, studio(44, 30)),
]


def same(one, other) -> bool:
    if isinstance(one, torch.Tensor):
        return torch.equal(one, other)
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    return one == other


@pytest.mark.parametrize(("item", "config"), ITEMS)
def test_items_do_not_depend_on_order_length_or_start(item, config):
    data = MannequinDataset(config, 6, 4, item)
    shifted = MannequinDataset(config, 3, 4, item, start=2)
    backward = [data[index] for index in reversed(range(6))][::-1]
    assert all(same(data[index], backward[index]) for index in range(6))
    assert all(same(data[index + 2], shifted[index]) for index in range(3))
    pixels = data[0]["pixels"]
    assert pixels.shape == (3, config.height, config.width) and pixels.dtype == torch.float32
    assert pixels.min() >= -1 and pixels.max() <= 1


def test_a_loader_with_workers_gives_the_same_batches():
    data = MannequinDataset(portraits(32, 16), 8, 1)
    plain = torch.cat([batch["pixels"] for batch in DataLoader(data, 3)])
    workers = torch.cat([batch["pixels"] for batch in DataLoader(data, 2, num_workers=2)])
    assert torch.equal(plain, workers) and len(plain) == 8


def test_the_data_set_can_be_sent_to_a_worker():
    data = MannequinDataset(portraits(32, 16), 2, 1)
    assert torch.equal(pickle.loads(pickle.dumps(data))[1]["pixels"], data[1]["pixels"])  # noqa: S301


def test_caption_item_has_21_texts_and_masks_of_the_part_map():
    item = MannequinDataset(catalogue(64, 48), 1, 3, datasets.caption_item)[0]
    assert len(item["texts"]) == 21 and item["masks"].shape == (21, 1, 64, 48)
    assert torch.equal(item["masks"][0], item["masks"][2]) and item["masks"][0].any()
    assert torch.equal(item["masks"][3], 1 - item["masks"][0])  # the background group is the background


def test_pose_item_has_scores_for_flags():
    item = MannequinDataset(crowd(64, 64), 1, 3, datasets.pose_item)[0]
    scores = set(item["keypoints"][..., 2].unique().tolist())
    assert scores <= {0.0, 0.5, 1.0} and 1.0 in scores


def test_parts_item_has_masks_and_a_pose_in_0_1():
    item = MannequinDataset(studio(88, 60), 1, 3, datasets.parts_item)[0]
    assert 0 <= item["pose"].min() and 0.5 < item["pose"].max() <= 1
    assert item["references"]
    for reference in item["references"].values():
        assert reference["pixels"].shape == (3, 88, 60) and reference["mask"].shape == (1, 88, 60)
        assert set(reference["mask"].unique().tolist()) == {0.0, 1.0}


@pytest.mark.parametrize("bad", [{"length": 0}, {"length": 3, "start": -1}, {"length": 3, "seed": -2}])
def test_bad_arguments_are_refused(bad):
    with pytest.raises(FiguraInputError):
        MannequinDataset(portraits(32, 16), **bad)


@pytest.mark.parametrize("item", [datasets.pose_item, datasets.parts_item])
def test_the_demo_world_has_its_short_captions_in_memory_too(item):
    data = MannequinDataset(demo(96, 48), 1, 3, item)
    assert data[0]["caption"] == short_caption(render(demo(96, 48), 3, 0))


def test_iteration_ends():
    assert len(list(MannequinDataset(portraits(16, 16), 3))) == 3
    with pytest.raises(IndexError):
        MannequinDataset(portraits(16, 16), 3)[3]
