"""Damaged and made-up files of every format: a loader returns something, or raises the one typed error."""

import json
import struct
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from comfyui_figura.pipelines.common.errors import FiguraWeightsError
from comfyui_figura.pipelines.common.identify import identify
from comfyui_figura.pipelines.common.network_pickle import load_pickled_arrays, load_stylegan_pickle
from comfyui_figura.pipelines.common.pose_file import load_pose_npz
from comfyui_figura.pipelines.common.unpickle import OPERATIONS
from comfyui_figura.pipelines.common.weights import load_state_dict, read_header, read_metadata
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

ROOT = Path(__file__).parents[3]
LOADERS = {
    "plain.safetensors": (load_state_dict, read_header, read_metadata, identify),
    "zip.pt": (load_state_dict, read_header, identify),
    "legacy.pth": (load_state_dict, read_header, identify),
    "network.pkl": (load_stylegan_pickle, identify),
    "network_v1.pkl": (load_stylegan_pickle, identify),
    "arrays.pkl": (load_pickled_arrays,),
    "pose.npz": (load_pose_npz,),
}
fuzz = settings(
    max_examples=200,
    deadline=None,
    suppress_health_check=[
        HealthCheck.function_scoped_fixture,
        HealthCheck.too_slow,
        HealthCheck.data_too_large,
    ],
)


def attempt(loader, path) -> None:
    try:
        loader(path)
    except FiguraWeightsError as error:
        assert path.name in str(error) and str(path.parent) not in str(error)


def damage(data: bytes, draw) -> bytes:
    """Cut, overwrite, insert, remove or repeat a stretch of a file; often near its start."""
    result = bytearray(data)
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(result)) | st.integers(0, min(400, len(result))))
        length = draw(st.integers(0, 16))
        kind = draw(st.sampled_from(["cut", "flip", "insert", "remove", "repeat"]))
        if kind == "cut":
            del result[at:]
        elif kind == "flip" and at < len(result):
            result[at] ^= 1 << draw(st.integers(0, 7))
        elif kind == "insert":
            result[at:at] = draw(st.binary(max_size=16))
        elif kind == "remove":
            del result[at : at + length]
        else:
            result[at:at] = result[at : at + length * 8]
    return bytes(result)


@pytest.mark.parametrize("name", LOADERS)
@fuzz
@given(data=st.data())
def test_damaged_files(name, data, valid, watch, tmp_path):
    path = tmp_path / name
    path.write_bytes(damage(valid[name].read_bytes(), data.draw))
    for loader in LOADERS[name]:
        attempt(loader, path)


@pytest.mark.parametrize(
    "loader",
    dict.fromkeys(loader for loaders in LOADERS.values() for loader in loaders),
    ids=lambda loader: loader.__name__,
)
@fuzz
@given(content=st.binary(max_size=200))
def test_noise(loader, content, watch, tmp_path):
    path = tmp_path / "noise.bin"
    path.write_bytes(content)
    attempt(loader, path)


WORDS = [
    b"X\x01\x00\x00\x00a", b"K\x02", b"I3\n", b"cposix\nsystem\n", b"ccollections\nOrderedDict\n", b"S'x'\n",
    b"ctorch._utils\n_rebuild_tensor_v2\n", b"ctorch\nFloatStorage\n", b"ctorch.storage\n_load_from_bytes\n",
    b"cnumpy\ndtype\n", b"cnumpy.core.multiarray\n_reconstruct\n", b"cnumpy.core.multiarray\nscalar\n",
    b"cnumpy\nndarray\n", b"X\x02\x00\x00\x00f4", b"C\x04\x00\x00\x80?", b"cdnnlib.tflib.network\nNetwork\n",
    b"ctorch_utils.persistence\n_reconstruct_persistent_obj\n", b"cbuiltins\nset\n", b"c_codecs\nencode\n",
    b"X\x05\x00\x00\x00G_ema", b"cpytorch_lightning\nTrainer\n",
    *(bytes([code]) for code in OPERATIONS if chr(code) not in "cSXKIC"),
]  # fmt: skip


@fuzz
@given(program=st.lists(st.sampled_from(WORDS), max_size=40).map(b"".join))
def test_made_up_programs(program, valid, watch, tmp_path):
    """Pickles put together of real instructions and real names, alone and inside a torch zip."""
    (tmp_path / "x.pkl").write_bytes(b"\x80\x02" + program + b".")
    with zipfile.ZipFile(tmp_path / "x.pt", "w") as archive:
        archive.writestr("x/data.pkl", b"\x80\x02" + program + b".")
        archive.writestr("x/data/0", bytes(16))
    for loader in (load_stylegan_pickle, load_pickled_arrays):
        attempt(loader, tmp_path / "x.pkl")
    attempt(load_state_dict, tmp_path / "x.pt")


entry = st.fixed_dictionaries(
    {
        "dtype": st.sampled_from(["F32", "F16", "I64", "BOOL", "X", 1, None]),
        "shape": st.lists(st.integers(-2, 2**63), max_size=4) | st.text(max_size=3),
        "data_offsets": st.lists(st.integers(-8, 64) | st.floats(), max_size=3) | st.none(),
    }
)


@fuzz
@given(
    header=st.dictionaries(
        st.text(max_size=5) | st.just("__metadata__"), entry | st.integers() | st.none(), max_size=3
    )
)
def test_made_up_safetensors_headers(header, tmp_path, watch):
    words = json.dumps(header).encode()
    (tmp_path / "x.safetensors").write_bytes(struct.pack("<Q", len(words)) + words + bytes(16))
    for loader in LOADERS["plain.safetensors"]:
        attempt(loader, tmp_path / "x.safetensors")


BOMBS = """
import pickle, resource, sys, zipfile
from pathlib import Path
import torch, numpy, safetensors
from pipelines.common.errors import FiguraWeightsError
from pipelines.common.identify import identify
from pipelines.common.network_pickle import load_pickled_arrays, load_stylegan_pickle
from pipelines.common.weights import load_state_dict
folder = Path(sys.argv[1])
def peak(): return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
for path in sorted(folder.iterdir()):
    for loader in (load_pickled_arrays,) if path.suffix == ".pkl" else (load_state_dict,):
        before = peak()
        try:
            loader(path)
        except FiguraWeightsError:
            pass
        extra = peak() - before
        print(path.name, loader.__name__, extra, extra <= 2 * path.stat().st_size + (64 << 20), flush=True)
"""


def _zip(path: Path, program: bytes) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("x/data.pkl", program)
        archive.writestr("x/data/0", bytes(48))


@pytest.mark.skipif(sys.platform == "win32", reason="needs resource usage")
def test_bombs_stay_small(tmp_path):
    """Peak extra memory of a refused file stays under twice the file plus 64 MB."""
    nested = (
        b"\x80\x04]\x94" + b"".join(b"](" + (b"h" + bytes([i])) * 10 + b"e\x94" for i in range(60)) + b"."
    )
    stride = (
        b"\x80\x02}X\x01\x00\x00\x00actorch._utils\n_rebuild_tensor_v2\n((X\x07\x00\x00\x00storagectorch\nFloatStorage\n"
        b"X\x01\x00\x00\x000X\x03\x00\x00\x00cpuK\x0ctQK\x00(J\x00\x00\x01\x00J\x00\x00\x01\x00t(K\x00K\x00t\x89}tRs."
    )
    programs = {
        "dicts": b"}" * 600_000 + b".", "sets": b"\x8f" * 600_000 + b".",
        "memo": b"N" + b"\x94" * 600_000 + b".",
        "marks": b"(" * 600_000 + b".", "tuples": b")" + b"\x85" * 600_000 + b".",
        "nested": nested,
        "length": b"\x8e" + struct.pack("<Q", 2**40) + b".", "stride": stride,
        "copies": b"]" + b"2" * 600_000 + b".",
        "number": b"\x8b" + struct.pack("<i", 2**31 - 1) + b".", "floats": b"G" * 9 * 200_000 + b".",
        "scalars": b"cnumpy\ndtype\n(X\x05\x00\x00\x00S9999tR" * 20_000 + b".",
    }  # fmt: skip
    for name, program in programs.items():
        (tmp_path / f"{name}.pkl").write_bytes(b"\x80\x04" + program)
    for name in ("sets", "nested", "stride"):
        _zip(tmp_path / f"{name}.pt", b"\x80\x04" + programs[name])
    header = json.dumps({"a": {"dtype": "F32", "shape": [2**33], "data_offsets": [0, 2**35]}}).encode()
    (tmp_path / "x.safetensors").write_bytes(struct.pack("<Q", len(header)) + header + bytes(8))
    (tmp_path / "y.safetensors").write_bytes(struct.pack("<Q", 99 << 20) + b"{" + bytes(64))
    run = subprocess.run(
        [sys.executable, "-c", BOMBS, str(tmp_path)], cwd=ROOT, capture_output=True, text=True, timeout=300
    )
    lines = run.stdout.splitlines()
    assert len(lines) == len(list(tmp_path.iterdir())), run.stderr[-2000:]
    assert not [line for line in lines if line.endswith("False")]
