"""What the loader tests share: a watch on everything that executes, golden files, small valid files."""

import os
import pickle
import sys
import traceback
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

GOLDEN = Path(os.environ.get("FIGURA_GOLDEN") or Path(__file__).parents[2] / "golden" / "data")
COMMAND = "echo pwned > pwned.txt"

_watching = False
_seen: list[str] = []


def _audit(event: str, args: tuple) -> None:
    if not _watching:
        return
    if event.startswith(
        ("os.system", "os.exec", "os.spawn", "os.posix_spawn", "subprocess", "socket", "ctypes")
    ):
        _seen.append(f"{event} {args!r}"[:200])
    elif event == "exec" and getattr(args[0], "co_filename", "").startswith("<string>"):
        # hypothesis and dataclasses write functions of their own; ours are called from the loaders' folder
        files = [Path(frame.filename).parent for frame in traceback.extract_stack()]
        if any(folder.match("pipelines/common") and "tests" not in folder.parts for folder in files):
            _seen.append(f"exec {args!r}"[:200])
    elif event == "open" and "pwned" in str(args[0]):
        _seen.append(f"open {args!r}"[:200])


sys.addaudithook(_audit)


@pytest.fixture
def watch(tmp_path, monkeypatch):
    """Work in an empty folder; fail the test if anything was executed, or the canary file was made."""
    global _watching
    monkeypatch.chdir(tmp_path)
    _seen.clear()
    _watching = True
    yield _seen
    _watching = False
    assert not _seen
    assert not (tmp_path / "pwned.txt").exists()


@pytest.fixture(scope="session")
def stylegan_golden() -> Path:
    """The folder of StyleGAN-Human's golden files."""
    return GOLDEN / "stylegan_human"


@pytest.fixture(scope="session")
def state() -> dict[str, torch.Tensor]:
    """A small state dict of several types and shapes, one of them a scalar."""
    return {
        "a.weight": torch.arange(12.0).reshape(3, 4),
        "a.bias": torch.arange(3).half(),
        "b.count": torch.tensor(7),
        "b.flags": torch.tensor([True, False]),
    }


@pytest.fixture(scope="session")
def valid(tmp_path_factory, state, stylegan_golden) -> dict[str, Path]:
    """One small valid file of every kind, by name."""
    folder = tmp_path_factory.mktemp("valid")
    torch.save(state, folder / "zip.pt")
    torch.save({"state_dict": state, "epoch": 3}, folder / "legacy.pth", _use_new_zipfile_serialization=False)
    save_file(state, folder / "plain.safetensors", {"who": "test"})
    people = np.array(
        [{"keypoints": np.ones((17, 3), "f4"), "score": np.float32(0.5), "area": np.float32(9)}] * 2
    )
    np.savez(folder / "pose.npz", people)
    (folder / "arrays.pkl").write_bytes(
        pickle.dumps({"x": np.arange(6.0), "t": torch.ones(2, 2)}, protocol=4)
    )
    (folder / "network.pkl").write_bytes((stylegan_golden / "sg2_64x32_pti.pkl").read_bytes())
    (folder / "network_v1.pkl").write_bytes((stylegan_golden / "v1_64x32_network.pkl").read_bytes())
    return {path.name: path for path in folder.iterdir()}
