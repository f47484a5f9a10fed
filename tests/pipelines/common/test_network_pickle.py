"""StyleGAN network pickles: equal to the golden tensors bit for bit; hostile ones refused and not run."""

import pickle
import struct
from collections import OrderedDict

import numpy as np
import pytest
import torch
from comfyui_figura.pipelines.common.errors import FiguraWeightsError
from comfyui_figura.pipelines.common.network_pickle import load_pickled_arrays, load_stylegan_pickle
from safetensors.torch import load_file


def golden(folder, name) -> dict:
    state = load_file(folder / f"{name}_weights.safetensors")
    return {key.removeprefix("G."): value for key, value in state.items() if key.startswith("G.")}


@pytest.mark.parametrize(
    "file, weights, networks",
    [
        ("sg2_64x32_network", "sg2_64x32", {"G", "D", "G_ema"}),
        ("sg2_64x32_pti", "sg2_64x32", {"G_ema"}),
        ("sg3t_64x32_network", "sg3t_64x32", {"G_ema"}),
    ],
)
def test_torch_era_networks(file, weights, networks, stylegan_golden, watch):
    records = load_stylegan_pickle(stylegan_golden / f"{file}.pkl")
    expected, record = golden(stylegan_golden, weights), records["G_ema"]
    assert set(records) == networks and record.class_name == "Generator"
    assert record.tensors.keys() == expected.keys() == record.shapes.keys()
    assert all(torch.equal(record.tensors[name], expected[name]) for name in expected)
    assert all(record.shapes[name] == tuple(expected[name].shape) for name in expected)
    assert {"z_dim", "w_dim", "img_resolution", "square"} <= record.init_kwargs.keys()
    assert ("SynthesisInput" in record.classes.values()) == file.startswith("sg3")


def test_generator_and_its_average_differ(stylegan_golden):
    records = load_stylegan_pickle(stylegan_golden / "sg2_64x32_network.pkl")
    one, other = (records[key].tensors["synthesis.b4.const"] for key in ("G", "G_ema"))
    assert torch.equal(one * 2, other)  # the fixture halves G's parameters


def test_header_alone_and_single_networks(stylegan_golden):
    path = stylegan_golden / "sg2_64x32_network.pkl"
    records = load_stylegan_pickle(path, keys=("D",), header_only=True)
    assert set(records) == {"D"} and records["D"].tensors == {} and "b4.fc.weight" in records["D"].shapes
    with pytest.raises(FiguraWeightsError, match="without any of D"):
        load_stylegan_pickle(stylegan_golden / "sg2_64x32_pti.pkl", keys=("D",))


def test_tensorflow_era_network(stylegan_golden, watch):
    records = load_stylegan_pickle(stylegan_golden / "v1_64x32_network.pkl")
    expected, record = golden(stylegan_golden, "v1_64x32"), records["G_ema"]
    assert set(records) == {"G", "D", "G_ema"} and set(record.components) == {"mapping", "synthesis"}
    variables = record.flat()
    assert variables.keys() == expected.keys()
    for name in expected:  # the golden file stores the scalar "lod" as [1]
        assert np.array_equal(variables[name].reshape(-1), expected[name].numpy().reshape(-1)), name
    assert record.static_kwargs["resolution"] > 0


@pytest.mark.parametrize("name", ["malicious_reduce", "malicious_storage_blob", "malicious_module_src"])
@pytest.mark.parametrize("load", [load_stylegan_pickle, load_pickled_arrays])
def test_golden_hostile_files(name, load, stylegan_golden, watch):
    with pytest.raises(FiguraWeightsError):
        load(stylegan_golden / f"{name}.pkl")


def network(inside: dict, **more) -> bytes:
    """Write a pickle of one persistent Generator whose pieces are given as raw pickles."""
    meta = {"type": "class", "version": 6, "module_src": "raise SystemExit", "class_name": "Generator"}
    meta |= {"state": {"_parameters": {}, "_buffers": {}, "_modules": {}, "_init_kwargs": {}} | inside} | more
    body = pickle.dumps(meta, protocol=2)[2:-1]
    return (
        b"\x80\x02}X\x05\x00\x00\x00G_emactorch_utils.persistence\n_reconstruct_persistent_obj\n"
        + body
        + b"\x85Rs."
    )


def raw(state_name: str, value: bytes) -> bytes:
    """A Generator whose state holds one value written as raw pickle instructions."""
    marker = "MARKER_OF_THE_TEST"
    data = network({state_name: {"x": marker}})
    old = b"X" + struct.pack("<I", len(marker)) + marker.encode()
    assert old in data
    return data.replace(old, value)


def blob(content: bytes) -> bytes:
    """Instructions for a tensor of four floats on a nested storage with the given bytes."""
    return (
        b"ctorch._utils\n_rebuild_tensor_v2\n(ctorch.storage\n_load_from_bytes\n(B"
        + struct.pack("<I", len(content)) + content + b"tRK\x00(K\x04t(K\x01t\x89}tR"
    )  # fmt: skip


def storage_bytes(root: bytes = b"", keys: bytes = b"", count: int = 4, numbers: int = 4) -> bytes:
    magic, version = pickle.dumps(0x1950A86A20F9469CFC6C, 2), pickle.dumps(1001, 2)
    system = pickle.dumps({"protocol_version": 1001, "little_endian": True, "type_sizes": {}}, 2)
    honest = (
        b"\x80\x02(X\x07\x00\x00\x00storagectorch\nFloatStorage\nX\x01\x00\x00\x000X\x06\x00\x00\x00cuda:3"
    )
    honest += b"I" + str(count).encode() + b"\nNtQ."
    data = struct.pack("<q", count) + struct.pack(f"<{numbers}f", *range(numbers))
    return magic + version + system + (root or honest) + (keys or pickle.dumps(["0"], 2)) + data


def test_hand_made_network_loads(tmp_path, watch):
    """The frame that the hostile cases below share is sound, and storages from a GPU come to the CPU."""
    (tmp_path / "x.pkl").write_bytes(raw("_buffers", blob(storage_bytes())))
    tensors = load_stylegan_pickle(tmp_path / "x.pkl")["G_ema"].tensors
    assert torch.equal(tensors["x"], torch.arange(4.0))


SYSTEM = b"cposix\nsystem\n(S'echo pwned > pwned.txt'\ntR"
STATES = {
    "call among the parameters": raw("_parameters", SYSTEM),
    "call among the arguments": raw("_init_kwargs", SYSTEM),
    "call in a plain attribute": raw("hook", SYSTEM),
    "call as root of a storage": raw("_buffers", blob(storage_bytes(b"\x80\x02" + SYSTEM + b"."))),
    "call in a bare storage blob": raw("_buffers", blob(b"\x80\x02" + SYSTEM + b".")),
    "call as a storage's key list": raw("_buffers", blob(storage_bytes(keys=b"\x80\x02" + SYSTEM + b"."))),
    "dict as root of a storage": raw("_buffers", blob(storage_bytes(pickle.dumps({}, 2)))),
    "storage larger than its bytes": raw("_buffers", blob(storage_bytes(count=2**40))),
    "storage with bytes missing": raw("_buffers", blob(storage_bytes(numbers=2))),
    "tensor larger than its storage": raw("_buffers", blob(storage_bytes(count=3, numbers=3))),
    "zip as storage": raw("_buffers", blob(b"PK\x03\x04" + bytes(40))),
    "text as tensor": raw("_parameters", b"X\x01\x00\x00\x00a"),
    "text as module": raw("_modules", b"X\x01\x00\x00\x00a"),
    "array of objects": raw(
        "_init_kwargs",
        b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(K\x00tC\x01btR(K\x01(K\x01tcnumpy\ndtype\n"
        b"(X\x02\x00\x00\x00O8\x89\x88tR(K\x03X\x01\x00\x00\x00|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x3ftb\x89]"
        + SYSTEM
        + b"atb",
    ),
    "stand-in class": raw("hook", b"cpytorch_lightning\nTrainer\n)R"),
    "no state": network({}, state=None),
    "no class": network({}, type="function"),
    "modules inside each other": b"\x80\x02}X\x05\x00\x00\x00G_ema}q\x00h\x00s.",
}


@pytest.mark.parametrize("name", STATES)
def test_hostile_networks(name, tmp_path, watch):
    (tmp_path / "x.pkl").write_bytes(STATES[name])
    with pytest.raises(FiguraWeightsError):
        load_stylegan_pickle(tmp_path / "x.pkl")


def test_module_cycle_is_refused(tmp_path):
    """A module that holds its own description is no module, and no endless walk."""
    data = raw("_modules", b"h\x01")
    (tmp_path / "x.pkl").write_bytes(data)
    with pytest.raises(FiguraWeightsError):
        load_stylegan_pickle(tmp_path / "x.pkl")


@pytest.mark.parametrize("protocol", range(6))
def test_side_files(protocol, tmp_path, watch):
    content = {
        "latent": torch.arange(6.0).reshape(2, 3), "vector": np.arange(5000, dtype="f4"),
        "scale": np.float64(2),
        "turned": np.asfortranarray(np.arange(6).reshape(2, 3)), "names": ["a", ("b", 1)],
        "ordered": OrderedDict(a=np.bool_(True)),
    }  # fmt: skip
    (tmp_path / "x.pkl").write_bytes(pickle.dumps(content, protocol))
    loaded = load_pickled_arrays(tmp_path / "x.pkl")
    for name in ("latent", "vector", "turned"):
        assert np.array_equal(np.asarray(loaded[name]), np.asarray(content[name])), name
    assert loaded["scale"] == 2 and loaded["names"] == ["a", ("b", 1)] and loaded["ordered"] == {"a": True}


def test_side_files_in_torch_formats(tmp_path):
    for zipped in (True, False):
        torch.save(torch.ones(1, 512), tmp_path / "x.pt", _use_new_zipfile_serialization=zipped)
        assert torch.equal(load_pickled_arrays(tmp_path / "x.pt"), torch.ones(1, 512))
