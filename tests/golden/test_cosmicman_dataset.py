"""CosmicMan's data read back: the reference samples as the published loader gives them, and our writer's."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from comfyui_figura.pipelines.common.bad_samples import BadSamples, TooManyBadSamples
from comfyui_figura.pipelines.common.dense_captions import all_texts
from comfyui_figura.pipelines.common.people_dataset import PeopleDataset, group_masks, pixels_of
from comfyui_figura.pipelines.mannequin import captions, formats, storage
from comfyui_figura.pipelines.mannequin.configs import catalogue, demo
from comfyui_figura.pipelines.mannequin.scene import render
from PIL import Image
from safetensors.torch import load_file

GOLDEN = Path(os.environ.get("FIGURA_GOLDEN") or Path(__file__).parent / "data") / "cosmicman"


def golden():
    path = GOLDEN / "dataset_tensors.safetensors"
    if not path.is_file():
        pytest.skip("no golden data: cosmicman")
    return load_file(path), json.loads((GOLDEN / "dataset_and_tokens.json").read_text())


def test_reference_samples():
    """Texts word for word, pictures within 1/255 (Pillow versions), masks exact where the map is a palette
    PNG. Of a grey map the published loader interpolates class numbers, which ours does not do."""
    tensors, about = golden()
    size = tuple(tensors["det.0.pixels_u8"].shape[1:])
    data = PeopleDataset(GOLDEN / "dataset", size)
    assert [record.path for record in data.records] == [
        entry["path"] if isinstance(entry, dict) else entry for entry in about["file_order"]
    ]
    by_path = {record.path: index for index, record in enumerate(data.records)}
    for number, case in enumerate(about["deterministic"]):
        index, image, parts = data.read(by_path[case["path"]])
        record = data.records[index]
        texts = all_texts(record.shot, record.attributes)
        shown = [text for text in case["texts"] if text]
        assert [text for text in texts if text][: len(shown)] == shown  # trimmed to 77 tokens there
        assert record.caption == case["caption_before_trim"]
        wanted = tensors[f"det.{number}.pixels_u8"].int()
        found = ((pixels_of([image])[0] + 1) * 127.5).round().int()
        assert (found - wanted).abs().max() <= 1
        packed = tensors[f"det.{number}.parsing_mask_packed"].numpy()
        masks = torch.from_numpy(np.unpackbits(packed, axis=-1))[..., : size[1]]
        found = group_masks(parts, record)
        with Image.open(GOLDEN / "dataset/data" / record.segm_path) as picture:
            exact = picture.mode == "P"
        for group, text in enumerate(case["texts"]):
            if text:  # the published loader empties the mask of a group that it dropped
                off = (found[group] != masks[group]).float().mean()
                assert off == 0 if exact else off < 0.06, (case["path"], group, float(off))


@pytest.mark.parametrize("config", [catalogue(64, 48), demo(64, 32)], ids=["own", "demo"])
def test_what_was_written_is_read_back(tmp_path, config):
    root = storage.write_set(formats.CosmicMan(config, 5), tmp_path / "set", 6)
    data = PeopleDataset(root, (config.height, config.width))
    data.check_lists()
    assert len(data) == 6 and not len(data.bad)
    for index in range(6):
        place, image, parts = data.read(index)
        picture = render(config, 5, index)
        assert place == index and (image == picture.image).all() and (parts == picture.parts).all()
        record = data.records[index]
        own = captions.short_caption(picture) if config.plain else captions.dense_caption(picture)
        assert record.caption == own
        masks = group_masks(parts, record)
        _, ids = captions.attribute_groups(picture)
        for group, wanted in enumerate(ids):
            if wanted and group != captions.BODY and not config.plain:
                assert (masks[group + 1].bool().numpy() == np.isin(picture.parts, wanted)).all()


@pytest.mark.parametrize(
    "how",
    [
        "missing image", "broken image", "one pixel", "missing map", "empty caption", "duplicate id",
        "wrong columns", "no parquet",
    ],
)  # fmt: skip
def test_what_cannot_be_used_is_counted_and_another_comes(tmp_path, how):
    import pyarrow as pa
    import pyarrow.parquet as pq

    root = storage.write_set(formats.CosmicMan(catalogue(32, 32), 5), tmp_path / "set", 20)
    image = root / "data/img/00000/000000003.png"
    if how == "missing image":
        image.unlink()
    elif how == "broken image":
        image.write_bytes(image.read_bytes()[:100])
    elif how == "one pixel":
        Image.new("RGB", (1, 1)).save(image)
    elif how == "missing map":
        (root / "data/segm/00000/000000003.png").unlink()
    elif how == "wrong columns":
        pq.write_table(pa.table({"file": ["x"]}), root / "label/other_1_part.parquet")
    elif how == "no parquet":
        (root / "label/other_1_part.parquet").write_bytes(b"PAR1 torn")
    else:
        (shard,) = (root / "label").iterdir()
        rows = pq.read_table(shard).to_pylist()
        nothing = {"aa_text": json.dumps([None] * 20), "person_type": ""}
        extra = rows[3] | ({"path": "img/nameless.png"} | nothing if how == "empty caption" else {})
        pq.write_table(pa.Table.from_pylist([*rows, extra], pq.read_schema(shard)), shard)

    def all_of(limit):
        data = PeopleDataset(root, (32, 32), bad=BadSamples(limit))
        return data, [data.read(index)[0] for index in range(len(data))]

    data, places = all_of(0.1)
    assert len(data.bad) == 1
    assert places[3] == (4 if how in ("missing image", "broken image", "one pixel", "missing map") else 3)
    assert len(places) == 20
    with pytest.raises(TooManyBadSamples):
        all_of(0.01)
