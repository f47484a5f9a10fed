"""Torch's zip and older files: equal to torch.load where honest, refused where a file plays tricks."""

import argparse
import pickle
import struct
import sys
import types
import zipfile
from collections import OrderedDict
from pathlib import Path

import pytest
import torch
from comfyui_figura.pipelines.common.errors import FiguraWeightsError
from comfyui_figura.pipelines.common.weights import load_state_dict, read_header

REFUSED = pytest.raises(FiguraWeightsError)


def same(one, other) -> bool:
    return one.keys() == other.keys() and all(
        one[name].dtype == other[name].dtype and torch.equal(one[name], other[name]) for name in one
    )


@pytest.mark.parametrize("name", ["zip.pt", "legacy.pth"])
def test_equals_torch(name, valid, state, watch):
    assert same(load_state_dict(valid[name]), state)
    assert read_header(valid[name]) == {
        key: (value.dtype, tuple(value.shape)) for key, value in state.items()
    }


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_views_shared_storages_and_parameters(zipped, protocol, tmp_path):
    base = torch.arange(24.0).reshape(4, 6)
    state = OrderedDict(
        whole=base, row=base[1], columns=base[:, 2:4], turned=base.t(), empty=torch.empty(0, 3),
        parameter=torch.nn.Parameter(torch.ones(2)), brain=torch.ones(3, dtype=torch.bfloat16),
        half=torch.ones(3).half(), eight=torch.ones(3).to(torch.float8_e4m3fn), bytes=torch.arange(5).byte(),
    )  # fmt: skip
    state._metadata = {"": {"version": 1}}  # as Module.state_dict writes
    torch.save(state, tmp_path / "x.pt", pickle_protocol=protocol, _use_new_zipfile_serialization=zipped)
    loaded = load_state_dict(tmp_path / "x.pt")
    assert all(loaded[name].is_contiguous() and not loaded[name].requires_grad for name in state)
    assert all(torch.equal(loaded[name].float(), state[name].detach().float()) for name in state)
    assert [loaded[name].dtype for name in state] == [value.dtype for value in state.values()]


def _lightning(state) -> dict:
    """What Lightning writes: stray objects of its own and of OmegaConf beside the weights."""
    module = types.ModuleType("pytorch_lightning.callbacks.model_checkpoint")

    class ModelCheckpoint:
        pass

    ModelCheckpoint.__module__, ModelCheckpoint.__qualname__ = module.__name__, "ModelCheckpoint"
    module.ModelCheckpoint = ModelCheckpoint
    names = [module.__name__.rsplit(".", cut)[0] for cut in range(3)]
    sys.modules.update(dict.fromkeys(names, module))
    callback = ModelCheckpoint()
    callback.best_model_score, callback.path = torch.tensor(0.5), Path("x")
    return {
        "epoch": 3, "global_step": 12, "pytorch-lightning_version": "1.4.2", "state_dict": OrderedDict(state),
        "callbacks": {ModelCheckpoint: {"monitor": None, "object": callback}},
        "optimizer_states": [{"state": {0: {"exp_avg": torch.ones(9)}}, "param_groups": [{"lr": 1.0}]}],
        "lr_schedulers": [], "hyper_parameters": argparse.Namespace(lr=1e-4),
    }  # fmt: skip


@pytest.mark.parametrize("zipped", [True, False])
def test_lightning_checkpoint_with_stray_objects(zipped, tmp_path, state, watch):
    content = _lightning(state)
    torch.save(content, tmp_path / "x.ckpt", _use_new_zipfile_serialization=zipped)
    for name in [name for name in sys.modules if name.startswith("pytorch_lightning")]:
        del sys.modules[name]  # users do not have it
    assert same(load_state_dict(tmp_path / "x.ckpt"), state)


def test_nested_networks_are_told_by_content(tmp_path, state):
    average, latent = {"w": torch.ones(2)}, torch.arange(4.0)
    torch.save(
        {"g": {"w": torch.zeros(2)}, "d": state, "g_ema": average, "latent_avg": latent}, tmp_path / "x.pt"
    )
    assert same(load_state_dict(tmp_path / "x.pt"), {"w": torch.ones(2), "latent_avg": latent})
    torch.save(
        {"state_dict": state, "latent_avg": latent, "opts": argparse.Namespace(lr=1)}, tmp_path / "e4e.pt"
    )
    assert same(load_state_dict(tmp_path / "e4e.pt"), {**state, "latent_avg": latent})
    torch.save({"model": {"state_dict": state}, "meta": "x"}, tmp_path / "y.pth")
    assert same(load_state_dict(tmp_path / "y.pth"), state)
    torch.save(latent, tmp_path / "0.pt")
    assert same(load_state_dict(tmp_path / "0.pt"), {"tensor": latent})


@pytest.mark.parametrize("content", [{}, [], {"epoch": 3}, {"state_dict": {"a": 1}}, "words", None])
def test_files_without_tensors(content, tmp_path):
    torch.save(content, tmp_path / "x.pt")
    with REFUSED:
        load_state_dict(tmp_path / "x.pt")


def rezip(source: Path, target: Path, change) -> Path:
    """Copy a torch zip entry by entry; ``change(name, data)`` returns what to write instead, or None."""
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w") as new:
        for info in old.infolist():
            data = change(info.filename, old.read(info))
            if data is not None:
                new.writestr(info.filename, data)
    return target


def with_pickle(source: Path, target: Path, data: bytes) -> Path:
    return rezip(source, target, lambda name, old: data if name.endswith("data.pkl") else old)


def test_hostile_pickles_inside_a_zip_or_legacy_file(valid, tmp_path, watch):
    payload = b"\x80\x02}X\x01\x00\x00\x00acposix\nsystem\n(S'echo pwned > pwned.txt'\ntRs."
    legacy = valid["legacy.pth"].read_bytes()
    head = legacy[: legacy.index(b"\x80", legacy.index(b"little_endian"))]
    (tmp_path / "x.pth").write_bytes(head + payload)
    for path in (with_pickle(valid["zip.pt"], tmp_path / "x.pt", payload), tmp_path / "x.pth"):
        with REFUSED as caught:
            load_state_dict(path)
        assert "posix.system" in str(caught.value)


def tensor_pickle(count: str, offset: str, size: str, stride: str) -> bytes:
    """A state dict {"a": tensor} whose numbers are free to lie; storage "0" holds 12 floats."""
    return (
        b"\x80\x02}X\x01\x00\x00\x00actorch._utils\n_rebuild_tensor_v2\n((X\x07\x00\x00\x00storagectorch\nFloatStorage\n"
        b"X\x01\x00\x00\x000X\x03\x00\x00\x00cpuI" + count.encode() + b"\ntQI" + offset.encode() + b"\n("
        + b"".join(b"I" + part.encode() + b"\n" for part in size.split()) + b"t("
        + b"".join(b"I" + part.encode() + b"\n" for part in stride.split()) + b"t\x89}tRs."
    )  # fmt: skip


LIES = {
    "stride 0": ("12", "0", "100000 100000", "0 0"),
    "stride 0, small": ("12", "0", "5 5", "0 0"),
    "past the end": ("12", "0", "13", "1"),
    "offset past the end": ("12", "12", "1", "1"),
    "negative offset": ("12", "-1", "2", "1"),
    "negative size": ("12", "0", "-2", "1"),
    "negative stride": ("12", "0", "2", "-1"),
    "size overflow": ("12", "0", "4294967296 4294967296 4294967296", "0 0 0"),
    "shape and stride of different length": ("12", "0", "3 4", "1"),
    "storage larger than its bytes": ("13", "0", "12", "1"),
    "storage smaller than its bytes": ("11", "0", "11", "1"),
    "storage of 2**60 elements": ("1152921504606846976", "0", "12", "1"),
    "too many dimensions": ("12", "0", " ".join(["1"] * 30), " ".join(["1"] * 30)),
}


def test_honest_numbers_load(valid, tmp_path):
    path = with_pickle(valid["zip.pt"], tmp_path / "x.pt", tensor_pickle("12", "4", "2 4", "4 1"))
    assert torch.equal(load_state_dict(path)["a"], torch.arange(4.0, 12).reshape(2, 4))


@pytest.mark.parametrize("name", LIES)
def test_tensors_that_lie_about_their_storage(name, valid, tmp_path):
    path = with_pickle(valid["zip.pt"], tmp_path / "x.pt", tensor_pickle(*LIES[name]))
    with REFUSED:
        load_state_dict(path)


def _keep(name: str, data: bytes) -> bytes:
    return data


def _packed(source: Path, target: Path) -> None:
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as new:
        for info in old.infolist():
            new.writestr(info.filename, old.read(info))


@pytest.mark.filterwarnings("ignore:Duplicate name")
def _twice(source: Path, target: Path) -> None:
    rezip(source, target, _keep)
    with zipfile.ZipFile(target, "a") as archive:
        name = next(name for name in archive.namelist() if name.endswith("data.pkl"))
        archive.writestr(name, pickle.dumps({}))


def _patched(source: Path, target: Path, signature: bytes, offset: int, value: bytes) -> None:
    data = bytearray(rezip(source, target, _keep).read_bytes())
    at = data.index(signature)
    data[at + offset : at + offset + len(value)] = value
    target.write_bytes(data)


TRICKS = {
    "packed entries": _packed,
    "a name twice": _twice,
    "encrypted bit": lambda s, t: _patched(s, t, b"PK\x01\x02", 8, b"\x01\x00"),
    "another name in the entry's own header": lambda s, t: _patched(s, t, b"PK\x03\x04", 30, b"!"),
    "size past the end": lambda s, t: _patched(s, t, b"PK\x01\x02", 20, struct.pack("<II", 2**31, 2**31)),
    "offset past the end": lambda s, t: _patched(s, t, b"PK\x01\x02", 42, struct.pack("<I", 2**31)),
    "a missing storage": lambda s, t: rezip(s, t, lambda n, d: None if n.endswith("data/0") else d),
    "a short storage": lambda s, t: rezip(s, t, lambda n, d: d[:-4] if n.endswith("data/0") else d),
    "no description": lambda s, t: rezip(s, t, lambda n, d: None if n.endswith("data.pkl") else d),
    "the other byte order": lambda s, t: rezip(s, t, lambda n, d: b"big" if n.endswith("byteorder") else d),
    "a program": lambda s, t: rezip(s, t, lambda n, d: d).write_bytes(s.read_bytes()) and _add_code(t),
    "bytes in front": lambda s, t: t.write_bytes(b"MZ" + s.read_bytes()),
    "not torch's": lambda s, t: _foreign_zip(t),
}


def _add_code(path: Path) -> None:
    with zipfile.ZipFile(path, "a") as archive:
        folder = archive.namelist()[0].split("/")[0]
        archive.writestr(f"{folder}/code/__torch__.py", "import os")


def _foreign_zip(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("readme.txt", "hello")


@pytest.mark.parametrize("name", TRICKS)
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_zip_tricks(name, valid, tmp_path, watch):
    TRICKS[name](valid["zip.pt"], tmp_path / "x.pt")
    with REFUSED:
        load_state_dict(tmp_path / "x.pt")


def test_flipped_bits_in_weights_are_noticed_by_the_zip_checksum(valid, tmp_path, state):
    data = valid["zip.pt"].read_bytes()
    at = data.index(state["a.weight"].numpy().tobytes())
    for bit in range(0, 48 * 8, 7):
        damaged = bytearray(data)
        damaged[at + bit // 8] ^= 1 << bit % 8
        (tmp_path / "x.pt").write_bytes(damaged)
        with REFUSED as caught:
            load_state_dict(tmp_path / "x.pt")
        assert "checksum" in str(caught.value)


def test_files_saved_without_checksums_load(tmp_path, state):
    from torch.serialization import get_crc32_options, set_crc32_options

    before = get_crc32_options()
    try:
        set_crc32_options(False)
        torch.save(state, tmp_path / "x.pt")
    finally:
        set_crc32_options(before)
    assert same(load_state_dict(tmp_path / "x.pt"), state)


def test_torchscript_is_refused(tmp_path, watch):
    torch.jit.script(torch.nn.Linear(2, 3)).save(str(tmp_path / "x.pt"))
    with REFUSED as caught:
        load_state_dict(tmp_path / "x.pt")
    assert "TorchScript" in str(caught.value)
