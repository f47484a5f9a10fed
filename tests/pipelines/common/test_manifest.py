"""Checksums: every damage is noticed, and an interrupted checkpoint is told from a whole one."""

import hashlib
import json

import pytest
from comfyui_figura.pipelines.common.errors import FiguraWeightsError
from comfyui_figura.pipelines.common.manifest import NAME, sha256, verify_manifest, write_manifest


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "a.bin").write_bytes(bytes(range(256)) * 8)
    (tmp_path / "b.bin").write_bytes(b"b")
    write_manifest(tmp_path, ["a.bin", "b.bin"], {"step": 7})
    return tmp_path


def test_sha256_equals_hashlib(folder):
    assert sha256(folder / "a.bin") == hashlib.sha256((folder / "a.bin").read_bytes()).hexdigest()


def test_whole_checkpoint(folder):
    assert verify_manifest(folder) == {"step": 7}


def test_every_flipped_bit_is_noticed(folder):
    data = (folder / "a.bin").read_bytes()
    for bit in range(0, len(data) * 8, 61):
        damaged = bytearray(data)
        damaged[bit // 8] ^= 1 << bit % 8
        (folder / "a.bin").write_bytes(damaged)
        with pytest.raises(FiguraWeightsError, match="a.bin"):
            verify_manifest(folder)


@pytest.mark.parametrize("damage", [
    lambda f: (f / "a.bin").unlink(), lambda f: (f / "a.bin").write_bytes(b""), lambda f: (f / NAME).unlink(),
    lambda f: (f / NAME).write_text((f / NAME).read_text()[:-9]), lambda f: (f / NAME).write_text("[]"),
    lambda f: (f / NAME).write_text('{"files": {}}'), lambda f: (f / NAME).write_bytes(b"\xff\xfe"),
    lambda f: (f / NAME).write_text(json.dumps({"files": {"../x": {"sha256": "", "bytes": 1}}, "about": {}})),
])  # fmt: skip
def test_incomplete_checkpoints(damage, folder):
    damage(folder)
    with pytest.raises(FiguraWeightsError):
        verify_manifest(folder)
