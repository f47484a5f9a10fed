"""Files written opcode by opcode open in torch's, Python's and our own readers, with the same numbers."""

import io
import pickle

import numpy as np
import pytest
import torch
from comfyui_figura.pipelines.common.network_pickle import load_pickled_arrays
from comfyui_figura.pipelines.common.opcodes import Opcodes, write_array, write_tensor
from comfyui_figura.pipelines.common.weights import load_state_dict


@pytest.mark.parametrize("shape", [(1, 18, 512), (1, 32), (3,), ()])
def test_a_tensor_opens_in_torch(tmp_path, shape):
    tensor = torch.randn(shape)
    write_tensor(tmp_path / "w.pt", tensor)
    assert torch.equal(torch.load(tmp_path / "w.pt", weights_only=True), tensor)
    assert torch.equal(load_state_dict(tmp_path / "w.pt")["tensor"], tensor)


def test_a_view_in_half_precision_becomes_float32(tmp_path):
    tensor = torch.randn(4, 6).half()[:, 1:3]
    write_tensor(tmp_path / "w.pt", tensor)
    loaded = torch.load(tmp_path / "w.pt", weights_only=True)
    assert loaded.dtype == torch.float32 and torch.equal(loaded, tensor.float())


def test_an_array_opens_in_python(tmp_path):
    array = np.random.RandomState(0).randn(3, 4).astype(np.float32)
    write_array(tmp_path / "style_vect_mean_0.pkl", array)
    with open(tmp_path / "style_vect_mean_0.pkl", "rb") as file:
        assert np.array_equal(pickle.load(file), array)  # noqa: S301  a file of our own
    assert np.array_equal(load_pickled_arrays(tmp_path / "style_vect_mean_0.pkl"), array)


@pytest.mark.parametrize("protocol", [2, 4])
def test_plain_values_are_pythons(protocol):
    value = {"a": [1, -2, 2.5, None, True], "b": ("words", b"bytes"), "c": {}, "d": [], "e": ()}
    file = io.BytesIO()
    Opcodes(file).dump(value, protocol)
    assert pickle.loads(file.getvalue()) == value  # noqa: S301  our own bytes


def test_a_failed_write_leaves_nothing(tmp_path):
    with pytest.raises(TypeError):
        write_array(tmp_path / "a.pkl", np.array([{}, "objects"], dtype=object))
    assert not list(tmp_path.iterdir())
