"""HumanSD's loaders on tiny files of the released layout."""

import json

import comfy.sd
import comfy.supported_models
import pytest
import torch
from comfyui_figura.nodes.host import IN_FOLDERS as FOLDER
from comfyui_figura.nodes.humansd import bridge
from comfyui_figura.nodes.humansd.loaders import FiguraHumanSDFromSD21, FiguraHumanSDLoader
from comfyui_figura.pipelines.common import ldm, ldm_text, ldm_vae, rebuild, weights
from comfyui_figura.pipelines.common.errors import FiguraInputError, FiguraWeightsError
from comfyui_figura.pipelines.demo import humansd as demo
from comfyui_figura.pipelines.humansd import checkpoint

FIRST = "input_blocks.0.0.weight"


def unet_of(model):
    return model.model.diffusion_model.state_dict()


def test_released_layout(loaded, models_dir):
    model, clip, vae = loaded
    assert type(model.model) is bridge.HumanSDModel
    assert unet_of(model)[FIRST].shape[1] == 8
    file = weights.load_state_dict(models_dir / "checkpoints" / demo.CHECKPOINT)
    assert torch.equal(unet_of(model)[FIRST], file[ldm.UNET_PREFIX + FIRST].float())
    cond, _ = clip.encode_from_tokens(clip.tokenize("a person"), return_pooled=True)
    assert cond.shape == (1, 77, demo.TEXT_WIDTH)
    assert vae.decode(torch.zeros(1, 4, 8, 8)).shape == (1, 64, 64, 3)


def test_nothing_is_registered(loaded):
    assert bridge.HumanSD not in comfy.supported_models.models
    assert not [m for m in comfy.supported_models.models if "figura" in m.__module__.lower()]


def test_text_is_the_penultimate_layer(loaded, models_dir):
    """SD2 leaves OpenCLIP's last layer unused: changing it must change nothing."""
    checkpoint = demo.checkpoint_state(8, seed=1)
    last = [name for name in checkpoint if ".resblocks.2." in name]
    broken = checkpoint | {name: torch.zeros_like(checkpoint[name]) for name in last}
    path = models_dir / "checkpoints" / "no_last_layer.ckpt"
    demo.save_lightning(path, broken)
    other = FiguraHumanSDLoader.execute(path.name, "fp32").result[1]
    first, second = (bridge.encode_prompt(clip, "a person")[0][0] for clip in (loaded[1], other))
    assert torch.equal(first, second)


def test_plain_sd21_is_named_from_its_header(models_dir, monkeypatch):
    def read(*_, **__):
        raise AssertionError("tensors were read")

    monkeypatch.setattr(checkpoint, "load_state_dict", read)
    path = models_dir / "checkpoints" / demo.PLAIN
    with pytest.raises(FiguraWeightsError) as caught:
        FiguraHumanSDLoader.execute(path.name)
    assert caught.value.what == path.name
    assert "Stable Diffusion 2" in caught.value.got and "4 input channels" in caught.value.got
    assert "HumanSD" in caught.value.wanted


def test_a_file_of_released_size_is_refused_from_its_header(tmp_path, monkeypatch):
    """As many tensors as the released files hold, from a .ckpt: names and shapes alone are read."""
    state = {f"{ldm.UNET_PREFIX}filler.{i}": torch.zeros(1) for i in range(1300)}
    demo.save_lightning(tmp_path / "v2-1_512.ckpt", demo.checkpoint_state(4, seed=2) | state)

    def read(*_, **__):
        raise AssertionError("a tensor was read")

    monkeypatch.setattr(rebuild.LazyTensor, "materialise", read)
    with pytest.raises(FiguraWeightsError, match="4 input channels"):
        checkpoint.require_humansd(tmp_path / "v2-1_512.ckpt")


@pytest.mark.parametrize("prefix", [ldm_vae.VAE_PREFIX, "cond_stage_model."])
def test_incomplete_checkpoint(models_dir, prefix):
    state = {k: v for k, v in demo.checkpoint_state(8, seed=1).items() if not k.startswith(prefix)}
    demo.save_lightning(models_dir / "checkpoints" / "part.ckpt", state)
    with pytest.raises(FiguraWeightsError, match="without its"):
        FiguraHumanSDLoader.execute("part.ckpt")


def test_missing_tensor(models_dir):
    state = demo.checkpoint_state(8, seed=1)
    del state[ldm.UNET_PREFIX + "middle_block.0.in_layers.2.weight"]
    demo.save_lightning(models_dir / "checkpoints" / "hole.ckpt", state)
    with pytest.raises(FiguraWeightsError, match="1 tensors missing"):
        FiguraHumanSDLoader.execute("hole.ckpt")


@pytest.mark.parametrize(
    "content",
    [b"", b"<html>log in</html>", b"\x00" * 300, b"PK\x03\x04 and no more", b"\x80\x02cos\nsystem\n."],
)
def test_no_checkpoint_at_all(models_dir, content):
    (models_dir / "checkpoints" / "broken.ckpt").write_bytes(content)
    with pytest.raises(FiguraWeightsError):
        FiguraHumanSDLoader.execute("broken.ckpt")


def test_truncated_download(models_dir):
    whole = (models_dir / "checkpoints" / demo.CHECKPOINT).read_bytes()
    (models_dir / "checkpoints" / "cut.ckpt").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(FiguraWeightsError, match="cut.ckpt"):
        FiguraHumanSDLoader.execute("cut.ckpt")


@pytest.mark.parametrize("node", [FiguraHumanSDLoader, FiguraHumanSDFromSD21])
@pytest.mark.parametrize("name", ["absent.ckpt", "../secret.ckpt", "/etc/passwd", "", FOLDER + "../x"])
def test_names_that_are_not_offered(models_dir, node, name):
    with pytest.raises(FiguraInputError):
        node.execute(name)


def test_unknown_dtype(models_dir):
    with pytest.raises(FiguraInputError, match="weight_dtype"):
        FiguraHumanSDLoader.execute(demo.CHECKPOINT, "fp7")


def test_diffusers_folder_is_the_same_model(loaded, models_dir):
    folder = write_diffusers_folder(models_dir)
    model = FiguraHumanSDLoader.execute(FOLDER + folder.name, "fp32").result[0]
    ours, theirs = unet_of(loaded[0]), unet_of(model)
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)


def write_diffusers_folder(models_dir):
    """The tiny checkpoint as diffusers' save_pretrained lays it out."""
    state = demo.checkpoint_state(8, seed=1)
    folder = models_dir / "diffusers" / "HumanSD"
    network = ldm.strip_prefix(state, ldm.UNET_PREFIX)
    config = ldm.unet_config_from_shapes(network) | {"num_heads": -1, "num_head_channels": 64}
    vae = ldm.strip_prefix(state, ldm_vae.VAE_PREFIX)
    text = ldm_text.drop_last_layer(ldm_text.text_encoders(state)["clip_h"])
    parts = {
        "unet": (ldm.unet_to_diffusers(network, config), ldm.diffusers_config(config)),
        "vae": (ldm_vae.vae_to_diffusers(vae, 4), {"scaling_factor": 0.18215}),
        "text_encoder": (text, {"hidden_act": "gelu", "num_attention_heads": 1}),
    }
    for name, (tensors, settings) in parts.items():
        weights.save_state_dict(folder / name / "model.safetensors", tensors)
        (folder / name / "config.json").write_text(json.dumps(settings))
    (folder / "model_index.json").write_text("{}")
    return folder


def test_plain_sd21_widened(models_dir):
    model = FiguraHumanSDFromSD21.execute(demo.PLAIN).result[0]
    first = unet_of(model)[FIRST]
    plain = weights.load_state_dict(models_dir / "checkpoints" / demo.PLAIN)[ldm.UNET_PREFIX + FIRST]
    assert torch.equal(first[:, :4].half(), plain)
    assert not first[:, 4:].any()


def test_a_folder_of_plain_sd21_is_widened_too(models_dir):
    model = FiguraHumanSDFromSD21.execute("demo/mannequins-sd21").result[0]
    first = unet_of(model)[FIRST]
    assert first.shape[1] == 8 and first[:, :4].any() and not first[:, 4:].any()


def test_humansd_is_not_widened_again(models_dir):
    with pytest.raises(FiguraWeightsError, match="HumanSD"):
        FiguraHumanSDFromSD21.execute(demo.CHECKPOINT)


def test_save_checkpoint_gives_a_file_that_loads(loaded, models_dir):
    path = models_dir / "checkpoints" / "saved.safetensors"
    comfy.sd.save_checkpoint(str(path), *loaded)
    model, clip, vae = FiguraHumanSDLoader.execute(path.name, "fp32").result
    ours, back = unet_of(loaded[0]), unet_of(model)
    assert all(torch.equal(ours[name], back[name]) for name in ours)
    first, second = (bridge.encode_prompt(one, "a person")[0][0] for one in (loaded[1], clip))
    torch.testing.assert_close(first, second, rtol=1e-4, atol=1e-4)  # text weights are saved in fp16


def test_changed_file_is_read_again(models_dir):
    path = models_dir / "checkpoints" / "changing.ckpt"
    path.write_bytes(b"one")
    before = FiguraHumanSDLoader.fingerprint_inputs(path.name)
    path.write_bytes(b"other")
    assert FiguraHumanSDLoader.fingerprint_inputs(path.name) != before
