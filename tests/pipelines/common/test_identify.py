"""Architectures told from headers: each released layout, and every wrong file in every loader."""

import json
from pathlib import Path

import pytest
import torch
from comfyui_figura.pipelines.common.errors import FiguraWeightsError
from comfyui_figura.pipelines.common.identify import KINDS, classify, identify, require
from safetensors.torch import save_file

IO = Path("/proc/self/io")
LDM = "model.diffusion_model."
SD1 = {"input_blocks.0.0.weight": (320, 4, 3, 3), "input_blocks.1.1.proj_in.weight": (320, 320, 1, 1)}
SD2 = {"input_blocks.0.0.weight": (320, 4, 3, 3), "input_blocks.1.1.proj_in.weight": (320, 320)}
XL = {
    "input_blocks.0.0.weight": (320, 4, 3, 3), "input_blocks.4.1.proj_in.weight": (640, 640),
    "label_emb.0.0.weight": (1280, 2816),
}  # fmt: skip
D1 = {
    "conv_in.weight": (320, 4, 3, 3), "conv_out.weight": (4, 320, 3, 3),
    "down_blocks.0.attentions.0.proj_in.weight": (320, 320, 1, 1),
    "down_blocks.3.resnets.0.conv1.weight": (9, 9, 3, 3),
}  # fmt: skip
BASE = {"first_stage_model.decoder.conv_in.weight": (512, 4, 3, 3), "cond_stage_model.x": (1,)}


def test_named_nodes_exist():
    """A message that sends the user to a node must name it as the menu does."""
    ours = json.loads((Path(__file__).parents[3] / "node_list.json").read_text(encoding="utf-8")).values()
    core = {"Load Checkpoint", "Load Diffusion Model", "Load VAE", "Load ControlNet Model", "Load LoRA"}
    core |= {"Load CLIP", "Load CLIP Vision"}
    assert {node for _, node in KINDS.values()} <= {*ours, *core, ""}


def under(prefix: str, shapes: dict) -> dict:
    return {prefix + name: shape for name, shape in shapes.items()}


def channels(shapes: dict, count: int) -> dict:
    """The same model whose first convolution takes ``count`` channels."""
    return {name: (320, count, 3, 3) if shape == (320, 4, 3, 3) else shape for name, shape in shapes.items()}


EXAMPLES = {
    "sd15.checkpoint": under(LDM, SD1) | BASE,
    "sd15.unet": SD1,
    "sd21.checkpoint": under(LDM, SD2) | BASE,
    "sd21.unet": under(LDM, SD2),
    "humansd.checkpoint": channels(under(LDM, SD2), 8) | BASE | {"mmpose_model.backbone.x": (64,)},
    "humansd.unet": channels(SD2, 8),
    "sdxl.checkpoint": under(LDM, XL) | {"first_stage_model.x": (1,), "conditioner.x": (1,)},
    "sdxl.unet": XL,
    "refiner.unet": XL | {"input_blocks.9.0.op.weight": (9, 9, 3, 3)},
    "inpainting": channels(under(LDM, SD1), 9) | BASE,
    "pix2pix": channels(under(LDM, SD1), 8) | BASE,
    "vae": {"encoder.conv_in.weight": (128, 3, 3, 3), "decoder.conv_in.weight": (512, 4, 3, 3)},
    "controlnet": {"controlnet_cond_embedding.conv_in.bias": (16,), "conv_in.weight": (320, 4, 3, 3)},
    "lora": {"unet.down_blocks.0.attn1.to_q.lora_A.weight": (4, 320)},
    "text_encoder": {"text_model.encoder.layers.0.layer_norm1.bias": (768,)},
    "image_encoder": {"vision_model.encoder.layers.0.layer_norm1.bias": (1024,)},
    "parts2whole.reference_unet": {name: shape for name, shape in D1.items() if name != "conv_out.weight"},
    "parts2whole.pose_guider": {
        f"{part}.{kind}": (16, 3, 3, 3)
        for part in ("conv_in", "blocks.0", "conv_out")
        for kind in ("weight", "bias")
    },
    "parts2whole.decoupled_attention": {
        f"mid_block.attentions.0.transformer_blocks.0.attn2.processor.to_{part}_dc.weight": (9, 9)
        for part in "kv"
    },
    "stylegan1": {"synthesis.torgb_weight": (3, 16, 1, 1), "synthesis.l17.noise_const": (1024, 512)},
    "stylegan2": {"synthesis.b4.const": (512, 4, 2), "synthesis.b1024.torgb.bias": (3,)},
    "stylegan3": {"synthesis.input.freqs": (512, 2)},
    "stylegan.discriminator": {"b4.fc.weight": (512, 4096), "b4.out.weight": (1, 512)},
    "stylegan2.rosinality": {"conv1.conv.modulation.weight": (512, 512)},
    "e4e": {"encoder.styles.0.convs.0.weight": (512, 512, 3, 3), "latent_avg": (18, 512)},
    "lpips": {"lin0.model.1.weight": (1, 64, 1, 1)},
    "vgg16": {"features.0.weight": (64, 3, 3, 3), "features.28.weight": (512, 512, 3, 3)},
    "alexnet": {"features.0.weight": (64, 3, 11, 11), "features.10.weight": (256, 256, 3, 3)},
    "higherhrnet": {"backbone.x": (64,), "keypoint_head.deconv_layers.0.0.0.weight": (82, 48, 4, 4)},
    "mmpose": {"backbone.conv1.weight": (64, 3, 3, 3), "head.final_layer.weight": (17, 48, 1, 1)},
    "transformer": under(LDM, {"double_blocks.0.img_attn.qkv.weight": (9, 9)}),
    "unknown": {"some.weight": (3, 3)},
}  # fmt: skip


@pytest.mark.parametrize("kind", EXAMPLES)
def test_kinds(kind):
    assert classify(EXAMPLES[kind]).kind == kind


def test_every_kind_has_an_example_and_a_diffusers_unet_is_told_too():
    folders = {"parts2whole.folder", "diffusers.folder", "refiner.checkpoint"}
    assert set(KINDS) - folders == set(EXAMPLES)
    assert classify(D1).kind == "sd15.unet" and classify(D1).layout == "diffusers"
    linear = D1 | {"down_blocks.0.attentions.0.proj_in.weight": (320, 320)}
    assert classify(linear).kind == "sd21.unet" and classify(channels(linear, 8)).kind == "humansd.unet"
    assert classify(D1 | {"add_embedding.linear_1.weight": (1280, 2560)}).kind == "refiner.unet"


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """One tiny file per kind, its shapes cut down."""
    folder = tmp_path_factory.mktemp("kinds")
    for kind, shapes in EXAMPLES.items():
        state = {name: torch.zeros([min(size, 9) for size in shape]) for name, shape in shapes.items()}
        save_file(state, folder / f"{kind}.safetensors")
        torch.save({"state_dict": state}, folder / f"{kind}.ckpt")
    return folder


@pytest.mark.parametrize("suffix", [".safetensors", ".ckpt"])
@pytest.mark.parametrize("wanted", EXAMPLES)
def test_wrong_file_in_every_loader(wanted, suffix, files):
    for kind in EXAMPLES:
        path = files / f"{kind}{suffix}"
        if kind == wanted:
            assert require(path, wanted).kind == wanted
            continue
        with pytest.raises(FiguraWeightsError) as caught:
            require(path, wanted)
        message = str(caught.value)
        assert path.name in message and KINDS[kind][0] in message and KINDS[wanted][0] in message
        assert KINDS[kind][1] in message


def test_network_pickles(stylegan_golden, watch):
    for name, kind in (
        ("sg2_64x32_network", "stylegan2"), ("sg2_64x32_pti", "stylegan2"),
        ("sg3t_64x32_network", "stylegan3"), ("v1_64x32_network", "stylegan1"),
    ):  # fmt: skip
        found = identify(stylegan_golden / f"{name}.pkl")
        assert found.kind == kind and found.resolution >= 32
    with pytest.raises(FiguraWeightsError):
        identify(stylegan_golden / "malicious_reduce.pkl")


def test_golden_parts2whole_folder(stylegan_golden):
    folder = stylegan_golden.parent / "parts2whole" / "checkpoint"
    assert identify(folder).kind == "parts2whole.folder"
    found = {
        path: identify(folder / path).kind
        for path in ("unet", "reference_unet", "pose_guider", "decoupled_attn.pth")
    }
    assert list(found.values()) == [
        "sd15.unet", "parts2whole.reference_unet", "parts2whole.pose_guider",
        "parts2whole.decoupled_attention",
    ]  # fmt: skip


def test_golden_humansd_and_cosmicman(stylegan_golden):
    assert identify(stylegan_golden.parent / "humansd" / "tiny_ckpt.safetensors").kind == "humansd.checkpoint"
    for name, kind in (("unet_sd_tiny", "sd15.unet"), ("unet_sdxl_tiny", "sdxl.unet")):
        assert identify(stylegan_golden.parent / "cosmicman" / name).kind == kind


def bytes_read() -> int:
    """What this process has read from files so far, as the kernel counts it."""
    return int(IO.read_text().split()[1])


@pytest.mark.skipif(not IO.is_file(), reason="this system does not count what a process reads")
@pytest.mark.parametrize("zipped", [True, False])
def test_large_files_are_told_without_reading_them(zipped, tmp_path):
    names = [f"model.diffusion_model.middle.{i}.weight" for i in range(600)]
    state = dict.fromkeys(names, torch.zeros(1)) | {"model.diffusion_model.big": torch.zeros(64 << 20)}
    torch.save(state, tmp_path / "x.ckpt", _use_new_zipfile_serialization=zipped)
    before = bytes_read()
    assert identify(tmp_path / "x.ckpt").tensors == 601
    read = bytes_read() - before
    assert 0 < read < 4 << 20, "the file has 256 MB of weights and well under 1 MB of description"
