"""Files appear whole or not at all, with the rights that the user's other files have."""

import os
import sys

import pytest
import torch
from comfyui_figura.pipelines.common.files import atomic_path
from comfyui_figura.pipelines.common.weights import save_state_dict


def test_a_failed_write_leaves_the_earlier_file_alone(tmp_path):
    target = tmp_path / "a.bin"
    target.write_bytes(b"before")
    with pytest.raises(RuntimeError), atomic_path(target) as temporary:
        temporary.write_bytes(b"half")
        raise RuntimeError
    assert target.read_bytes() == b"before"
    assert os.listdir(tmp_path) == ["a.bin"]


@pytest.mark.skipif(sys.platform == "win32", reason="rights are Unix's")
def test_saved_weights_have_the_rights_of_any_new_file(tmp_path):
    (tmp_path / "plain").touch()
    save_state_dict(tmp_path / "w.safetensors", {"a": torch.zeros(2)})
    assert (tmp_path / "w.safetensors").stat().st_mode == (tmp_path / "plain").stat().st_mode
