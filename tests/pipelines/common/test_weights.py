"""The door itself: content decides, folders and shards, messages that name file, finding and remedy."""

import json
import struct

import pytest
import torch
from comfyui_figura.pipelines.common.errors import FiguraWeightsError
from comfyui_figura.pipelines.common.weights import (
    FileKind,
    check_keys,
    load_state_dict,
    read_header,
    read_metadata,
    save_state_dict,
    sniff,
    weight_files,
)
from safetensors.torch import save_file


def refused(path) -> str:
    with pytest.raises(FiguraWeightsError) as caught:
        load_state_dict(path)
    message = str(caught.value)
    assert path.name in message and str(path.parent) not in message  # the name, never the machine's path
    return message


@pytest.mark.parametrize(
    "name, kind",
    [
        ("plain.safetensors", FileKind.SAFETENSORS), ("zip.pt", FileKind.TORCH_ZIP),
        ("legacy.pth", FileKind.PICKLE), ("network.pkl", FileKind.PICKLE),
    ],
)  # fmt: skip
def test_sniff(name, kind, valid):
    assert sniff(valid[name]) is kind


def test_content_decides_and_not_the_suffix(valid, tmp_path, state):
    for name, lie in (("plain.safetensors", "x.pth"), ("zip.pt", "x.safetensors"), ("legacy.pth", "x.bin")):
        (tmp_path / lie).write_bytes(valid[name].read_bytes())
        assert load_state_dict(tmp_path / lie).keys() == state.keys()


@pytest.mark.parametrize("length", [0x0280, 0x0480, 0x0580])
def test_safetensors_whose_length_looks_like_a_pickle(length, tmp_path):
    """A header of 0x..80 bytes begins with the first byte of a pickle."""
    header = json.dumps({"a": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}).encode()
    path = tmp_path / "x.safetensors"
    path.write_bytes(struct.pack("<Q", length) + header.ljust(length) + struct.pack("<f", 5.0))
    assert load_state_dict(path)["a"].item() == 5


@pytest.mark.parametrize(
    "content, words",
    [
        (b"", "empty file"),
        (b"<!DOCTYPE html><html>", "web page"),
        (b"\n  <html>", "web page"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:12", "git lfs pull"),
        (b"Entry not found", "unknown format"),
        (b"PK\x05\x06" + bytes(18), "unknown format"),
    ],
)
def test_files_that_are_no_weights(content, words, tmp_path):
    (tmp_path / "model.safetensors").write_bytes(content)
    assert words in refused(tmp_path / "model.safetensors")


def test_missing_file_and_folder_in_its_place(tmp_path):
    assert "no such file" in refused(tmp_path / "absent.ckpt")
    (tmp_path / "folder").mkdir()
    assert "folder without weights" in refused(tmp_path / "folder")


@pytest.mark.parametrize("name", ["plain.safetensors", "zip.pt", "legacy.pth"])
def test_cut_anywhere_is_refused(name, valid, tmp_path):
    data = valid[name].read_bytes()
    for cut in range(0, len(data), max(1, len(data) // 60)):
        (tmp_path / name).write_bytes(data[:cut])
        refused(tmp_path / name)


def test_cut_safetensors_tells_the_sizes(valid, tmp_path):
    data = valid["plain.safetensors"].read_bytes()
    (tmp_path / "x.safetensors").write_bytes(data[:-1])
    message = refused(tmp_path / "x.safetensors")
    assert f"{len(data) - 1:,} bytes" in message and f"{len(data):,} bytes" in message


@pytest.mark.parametrize(
    "header",
    [
        {"a": {"dtype": "F32", "shape": [2**40], "data_offsets": [0, 4]}},
        {"a": {"dtype": "F32", "shape": [-1], "data_offsets": [0, 4]}},
        dict.fromkeys("ab", {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}),
        {"a": {"dtype": "F32", "shape": [1], "data_offsets": [4, 8]}},
        {"a": {"dtype": "F99", "shape": [1], "data_offsets": [0, 4]}},
        {"a": {"dtype": "F32", "shape": "1", "data_offsets": [0, 4]}},
        {"a": {"dtype": "F32"}},
        {"a": 5},
        [],
    ],
)  # fmt: skip
def test_safetensors_headers_that_lie(header, tmp_path):
    words = json.dumps(header).encode()
    path = tmp_path / "x.safetensors"
    path.write_bytes(struct.pack("<Q", len(words)) + words + bytes(4))
    refused(path)


def test_reads_only_what_is_asked_for(valid):
    for name in ("plain.safetensors", "zip.pt"):
        assert load_state_dict(valid[name], prefix="a.").keys() == {"a.weight", "a.bias"}


def test_header_and_metadata(valid, state):
    assert read_header(valid["plain.safetensors"]) == {n: (t.dtype, tuple(t.shape)) for n, t in state.items()}
    assert (
        read_metadata(valid["plain.safetensors"]) == {"who": "test"} and read_metadata(valid["zip.pt"]) == {}
    )


def test_diffusers_folders(tmp_path, state):
    with pytest.raises(FiguraWeightsError):
        weight_files(tmp_path)
    save_file({"a.weight": state["a.weight"]}, tmp_path / "model-00001-of-00002.safetensors")
    torch.save({"b.count": state["b.count"]}, tmp_path / "model-00002-of-00002.safetensors")
    index = {
        "weight_map": {
            "a.weight": "model-00001-of-00002.safetensors",
            "b.count": "model-00002-of-00002.safetensors",
        }
    }
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps(index))
    assert load_state_dict(tmp_path).keys() == read_header(tmp_path).keys() == {"a.weight", "b.count"}


@pytest.mark.parametrize("worse, better", [
    ("diffusion_pytorch_model.bin", "diffusion_pytorch_model.safetensors"),
    ("pytorch_model.bin", "model.safetensors"), ("model.fp16.safetensors", "model.safetensors"),
])  # fmt: skip
def test_which_file_of_a_folder(worse, better, tmp_path):
    (tmp_path / worse).touch()
    assert [file.name for file in weight_files(tmp_path)] == [worse]
    (tmp_path / better).touch()
    assert [file.name for file in weight_files(tmp_path)] == [better]


@pytest.mark.parametrize(
    "part", ["../escape.safetensors", "/etc/passwd", "..\\x.safetensors", 5, "absent.safetensors"]
)
def test_index_may_not_point_elsewhere(part, tmp_path):
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {"a": part}}))
    with pytest.raises(FiguraWeightsError):
        load_state_dict(tmp_path)


def test_save_and_load_again(tmp_path, state):
    tied = {
        **state,
        "tied": state["a.weight"],
        "turned": state["a.weight"].t(),
        "kept": torch.nn.Parameter(torch.ones(2)),
    }
    save_state_dict(tmp_path / "x.safetensors", tied, {"k": "v"})
    loaded = load_state_dict(tmp_path / "x.safetensors")
    assert all(torch.equal(loaded[name], tied[name]) for name in tied)
    assert read_metadata(tmp_path / "x.safetensors") == {"k": "v"}
    assert [path.name for path in tmp_path.iterdir()] == ["x.safetensors"]


def test_check_keys_counts_and_names():
    module = torch.nn.Linear(2, 3)
    check_keys(module, ["weight", "bias"], "x.pt")
    check_keys(module, ["weight", "bias", "more"], "x.pt", allow_unexpected=True)
    with pytest.raises(FiguraWeightsError) as caught:
        check_keys([f"n{i}" for i in range(10)], [f"n{i}" for i in range(7, 13)], "folder/x.pt")
    assert "7 missing tensors (n0, n1, n2, n3, n4, …) and 3 unexpected tensors (n10, n11, n12)" in str(
        caught.value
    )


def test_inference_mode_does_not_matter(valid, state):
    with torch.inference_mode():
        assert load_state_dict(valid["zip.pt"]).keys() == state.keys()
