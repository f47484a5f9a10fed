"""The released folder: what is in it, what may be missing, and how names meet."""

import shutil

import pytest
import torch
from comfyui_figura.pipelines.common.errors import FiguraWeightsError
from comfyui_figura.pipelines.common.weights import load_state_dict, save_state_dict
from comfyui_figura.pipelines.demo import parts2whole as demo
from comfyui_figura.pipelines.parts2whole import checkpoint, generate, segment

DC = ".transformer_blocks.0.attn2.processor.to_{}_dc.weight"


@pytest.fixture(scope="module")
def released(tmp_path_factory):
    folder = tmp_path_factory.mktemp("released") / "Parts2Whole"
    demo.write_folder(folder)
    return folder


@pytest.fixture
def folder(released, tmp_path):
    return shutil.copytree(released, tmp_path / "Parts2Whole")


def unet_file(folder):
    return folder / "unet" / "diffusion_pytorch_model.safetensors"


def test_safetensors_named_pth_is_read(released):
    weights, dc = checkpoint.load_unet(released)
    assert (released / "decoupled_attn.pth").is_file()
    assert dc is not None and set(dc.weights) == set(checkpoint.transformer_blocks(weights.state))
    assert len(dc.weights) == 16


def test_unet_with_dc_tensors_inside(folder):
    """The released unet/ may carry the 32 decoupled tensors; the file beside it has precedence."""
    plain, beside = checkpoint.load_unet(folder)
    inside = {}
    for block, (k, v) in beside.weights.items():
        inside |= {block + DC.format("k"): k * 0 + 1, block + DC.format("v"): v * 0 + 1}
    save_state_dict(unet_file(folder), plain.state | inside)
    again, dc = checkpoint.load_unet(folder)
    assert set(again.state) == set(plain.state)
    assert all(torch.equal(dc.weights[block][0], k) for block, (k, _) in beside.weights.items())
    (folder / "decoupled_attn.pth").unlink()
    _, dc = checkpoint.load_unet(folder)
    assert all(k.eq(1).all() and v.eq(1).all() for k, v in dc.weights.values())


def test_without_decoupled_attention(folder):
    (folder / "decoupled_attn.pth").unlink()
    assert checkpoint.load_unet(folder)[1] is None
    checkpoint.check_folder(folder)


def test_reference_tail_is_filled_with_the_24_missing_tensors(released):
    lacking = load_state_dict(released / "reference_unet" / "diffusion_pytorch_model.safetensors")
    filled = checkpoint.load_reference_unet(released).state
    added = set(filled) - set(lacking)
    assert len(added) == 24 and all(filled[name].eq(0).all() for name in added)
    assert {name: x.shape for name, x in filled.items()} == {
        name: x.shape for name, x in checkpoint.load_unet(released)[0].state.items()
    }


def test_block_places():
    assert checkpoint.comfyui_block("down_blocks.0.attentions.0") == ("input", 1)
    assert checkpoint.comfyui_block("down_blocks.2.attentions.1") == ("input", 8)
    assert checkpoint.comfyui_block("mid_block.attentions.0") == ("middle", 0)
    assert checkpoint.comfyui_block("up_blocks.1.attentions.0") == ("output", 3)
    assert checkpoint.comfyui_block("up_blocks.3.attentions.2") == ("output", 11)


@pytest.mark.parametrize("name", ["unet", "reference_unet", "vae", "text_encoder", "image_encoder"])
def test_missing_files_are_listed_with_their_use(folder, name):
    shutil.rmtree(folder / name)
    with pytest.raises(FiguraWeightsError) as caught:
        generate.load(folder)
    assert f"{name} ({checkpoint.PURPOSE[name]})" in str(caught.value)


def test_all_missing_files_are_listed_at_once(folder):
    shutil.rmtree(folder / "vae")
    shutil.rmtree(folder / "image_encoder")
    with pytest.raises(FiguraWeightsError, match="vae .*image_encoder"):
        checkpoint.check_folder(folder)


def test_no_such_folder(tmp_path):
    with pytest.raises(FiguraWeightsError, match="no such folder"):
        generate.load(tmp_path / "nowhere")


BROKEN = {
    "empty": b"",
    "web page": b"<!DOCTYPE html><html>log in</html>",
    "pickle": b"\x80\x04cos\nsystem\n(S'true'\ntR.",
    "truncated": None,
}


@pytest.mark.parametrize("kind", BROKEN)
@pytest.mark.parametrize("name", ["unet", "reference_unet", "decoupled_attn.pth", "pose_guider"])
def test_broken_files_are_refused(folder, name, kind):
    path = checkpoint.find_weights(folder, name)
    content = path.read_bytes()[:1000] if BROKEN[kind] is None else BROKEN[kind]
    path.write_bytes(content)
    with pytest.raises(FiguraWeightsError):
        generate.load(folder)


def test_weights_of_another_network_are_refused(folder):
    shutil.copy(folder / "vae" / unet_file(folder).name, unet_file(folder))
    with pytest.raises(FiguraWeightsError, match="^unet: "):
        generate.load(folder)


def test_config_that_is_no_json(folder):
    (folder / "unet" / "config.json").write_text("{")
    with pytest.raises(FiguraWeightsError, match="JSON"):
        generate.load(folder)


def test_pose_guider_tells_what_it_was_trained_on(folder):
    assert generate.load_guider(folder).structure == "densepose"
    config = checkpoint.read_json(folder / "pose_guider" / "config.json")
    demo._write_json(folder / "pose_guider" / "config.json", config | {"structure": "openpose"})
    guider = generate.load_guider(folder)
    skeleton = torch.rand(1, 64, 64, 3)
    assert generate.read_pose(guider, skeleton, (64, 64)).shape == (1, 32, 8, 8)  # no IUV is asked for
    demo._write_json(folder / "pose_guider" / "config.json", config | {"structure": "depth"})
    with pytest.raises(FiguraWeightsError, match="depth"):
        generate.load_guider(folder)


def test_segformer_of_other_classes_is_refused(tmp_path):
    demo._write_json(tmp_path / "config.json", {"model_type": "segformer", "id2label": {0: "a", 1: "b"}})
    with pytest.raises(FiguraWeightsError, match="2 classes"):
        segment.load_segformer(tmp_path)
    demo._write_json(tmp_path / "config.json", {"id2label": dict(enumerate(segment.CLASSES))})
    with pytest.raises(FiguraWeightsError, match="no weights"):
        segment.load_segformer(tmp_path)
