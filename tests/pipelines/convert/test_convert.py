"""``figura convert``: every released kind becomes a .safetensors that loads to the same values."""

import hashlib
import json
import os
from pathlib import Path

import pytest
import torch
from comfyui_figura.pipelines.common.errors import FiguraInputError, FiguraWeightsError
from comfyui_figura.pipelines.common.identify import identify
from comfyui_figura.pipelines.common.network_pickle import load_stylegan_pickle
from comfyui_figura.pipelines.common.weights import load_state_dict, read_metadata
from comfyui_figura.pipelines.convert.commands import COMMANDS, ConvertConfig
from comfyui_figura.pipelines.convert.convert import run
from comfyui_figura.pipelines.stylegan_human.loading import read_generator

GOLDEN = Path(os.environ.get("FIGURA_GOLDEN") or Path(__file__).parents[2] / "golden" / "data")
STYLEGAN = GOLDEN / "stylegan_human"
NETWORKS = ["sg2_64x32_network.pkl", "sg2_64x32_pti.pkl", "sg3t_64x32_network.pkl", "v1_64x32_network.pkl"]


def same(one: dict, other: dict) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize("name", NETWORKS)
def test_stylegan_networks(name, tmp_path):
    target = tmp_path / "x.safetensors"
    run(ConvertConfig(STYLEGAN / name, target))
    before, after = read_generator(STYLEGAN / name), read_generator(target)
    assert before.config == after.config and same(before.state, after.state)
    found, source = identify(target), identify(STYLEGAN / name)
    assert (found.kind, found.resolution) == (source.kind, source.resolution)


def test_provenance(tmp_path):
    source = STYLEGAN / NETWORKS[0]
    run(ConvertConfig(source, tmp_path / "x.safetensors"))
    metadata = read_metadata(tmp_path / "x.safetensors")
    assert metadata["figura.source"] == source.name and metadata["figura.architecture"] == "stylegan2"
    assert metadata["figura.sha256"] == hashlib.sha256(source.read_bytes()).hexdigest()


def test_which_network(tmp_path):
    source = STYLEGAN / NETWORKS[0]
    records = load_stylegan_pickle(source)
    for network in ("G", "D"):
        run(ConvertConfig(source, tmp_path / f"{network}.safetensors", network=network))
        assert same(load_state_dict(tmp_path / f"{network}.safetensors"), records[network].tensors)
    settings = json.loads(read_metadata(tmp_path / "D.safetensors")["figura.network"])
    assert settings["class_name"] == "Discriminator" and settings["img_resolution"] > 0
    for network in ("G", "D"):
        with pytest.raises(FiguraInputError, match=network):
            run(ConvertConfig(STYLEGAN / "sg2_64x32_pti.pkl", tmp_path / "none.safetensors", network=network))


def test_tensorflow_discriminator(tmp_path):
    run(ConvertConfig(STYLEGAN / "v1_64x32_network.pkl", tmp_path / "D.safetensors", network="D"))
    assert "4x4/Dense1/weight" in load_state_dict(tmp_path / "D.safetensors")


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("half", [True, False])
def test_checkpoints_and_half_precision(zipped, half, tmp_path):
    state = {"a": torch.rand(3, 4), "count": torch.tensor(5)}
    torch.save({"state_dict": state}, tmp_path / "x.ckpt", _use_new_zipfile_serialization=zipped)
    run(ConvertConfig(tmp_path / "x.ckpt", tmp_path / "x.safetensors", half=half))
    expected = {"a": state["a"].half() if half else state["a"], "count": state["count"]}
    assert same(load_state_dict(tmp_path / "x.safetensors"), expected)


def test_folders_and_lying_suffixes(tmp_path):
    folder = GOLDEN / "parts2whole" / "checkpoint"
    run(ConvertConfig(folder / "pose_guider", tmp_path / "guider.safetensors"))
    assert same(load_state_dict(tmp_path / "guider.safetensors"), load_state_dict(folder / "pose_guider"))
    config = json.loads(read_metadata(tmp_path / "guider.safetensors")["figura.config"])
    assert config == json.loads((folder / "pose_guider" / "config.json").read_text())
    run(ConvertConfig(folder / "decoupled_attn.pth", tmp_path / "dc.safetensors"))
    assert identify(tmp_path / "dc.safetensors").kind == "parts2whole.decoupled_attention"


def test_converting_again_changes_nothing(tmp_path):
    run(ConvertConfig(STYLEGAN / NETWORKS[0], tmp_path / "x.safetensors"))
    run(ConvertConfig(tmp_path / "x.safetensors", tmp_path / "y.safetensors"))
    assert same(*(read_generator(tmp_path / name).state for name in ("x.safetensors", "y.safetensors")))


@pytest.mark.parametrize("name", ["malicious_reduce", "malicious_storage_blob", "malicious_module_src"])
def test_hostile_sources_write_nothing(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(FiguraWeightsError):
        run(ConvertConfig(STYLEGAN / f"{name}.pkl", tmp_path / "x.safetensors"))
    assert list(tmp_path.iterdir()) == []


def test_targets_are_not_overwritten_by_accident(tmp_path):
    torch.save({"a": torch.ones(1)}, tmp_path / "x.pt")
    target = tmp_path / "y.safetensors"
    target.write_text("mine")
    with pytest.raises(FiguraInputError, match="exists"):
        run(ConvertConfig(tmp_path / "x.pt", target))
    assert target.read_text() == "mine"
    run(ConvertConfig(tmp_path / "x.pt", target, overwrite=True))
    assert load_state_dict(target)["a"] == 1
    with pytest.raises(FiguraInputError, match="ends in"):
        run(ConvertConfig(tmp_path / "x.pt", tmp_path / "y.ckpt"))


def test_identify_command_speaks_of_every_file(tmp_path, capsys):
    (tmp_path / "page.ckpt").write_text("<html>")
    files = [STYLEGAN / NETWORKS[0], tmp_path / "page.ckpt", STYLEGAN / "malicious_reduce.pkl"]
    with pytest.raises(SystemExit) as end:
        COMMANDS["identify"](files)
    assert end.value.code == 2
    lines = capsys.readouterr().out.splitlines()
    assert "StyleGAN2" in lines[0] and "StyleGAN Loader" in lines[0]
    assert "web page" in lines[1] and "posix.system" in lines[2]
