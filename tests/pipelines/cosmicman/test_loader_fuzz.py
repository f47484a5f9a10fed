"""Damaged UNet folders and checkpoints: the loaders give a network or FiguraInputError, and nothing else."""

import json

import pytest
from comfyui_figura.pipelines.common import base_model, base_parts, ldm, text
from comfyui_figura.pipelines.common.errors import FiguraInputError
from comfyui_figura.pipelines.cosmicman import checkpoint
from comfyui_figura.pipelines.demo import cosmicman as demo
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

FUZZ = settings(
    max_examples=200,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
ODD = st.one_of(
    st.none(), st.booleans(), st.integers(-3, 2000), st.floats(allow_nan=True), st.text(max_size=8),
    st.lists(st.integers(-1, 640), max_size=5),
    st.dictionaries(st.text(max_size=3), st.integers(), max_size=2),
)  # fmt: skip


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A good UNet and of a good base, and a folder to damage copies in."""
    folder = tmp_path_factory.mktemp("good")
    demo.write_models(folder)
    unet = folder / "diffusion_models" / "CosmicMan-SD" / "diffusion_pytorch_model.safetensors"
    return unet, folder / "checkpoints" / demo.SD_BASE, tmp_path_factory.mktemp("bad")


def damage(data, good):
    """A truncated, flipped, overwritten or repeated piece of ``good``."""
    header = 8 + int.from_bytes(good[:8], "little")
    kind = data.draw(st.sampled_from(["cut", "flip", "zero", "text", "none"]))
    place = data.draw(st.integers(0, header - 1))
    if kind == "cut":
        return good[: data.draw(st.integers(0, len(good) - 1))]
    if kind == "flip":
        return good[:place] + bytes([good[place] ^ (1 << data.draw(st.integers(0, 7)))]) + good[place + 1 :]
    if kind == "zero":
        return good[:place] + bytes(64) + good[place + 64 :]
    if kind == "text":
        word = data.draw(st.binary(min_size=1, max_size=12))
        return good[:place] + word + good[place + len(word) :]
    return good


@FUZZ
@given(data=st.data())
def test_unet_folders(files, data):
    good, _, folder = files
    config = dict(demo.SD_UNET)
    for key in data.draw(st.lists(st.sampled_from(sorted(config)), max_size=2)):
        config[key] = data.draw(ODD)
    (folder / "diffusion_pytorch_model.safetensors").write_bytes(damage(data, good.read_bytes()))
    (folder / "config.json").write_text(json.dumps(config))
    try:
        opened = checkpoint.open_unet(folder)
        sizes = ldm.unet_config_from_diffusers(opened.config)
        assert sizes["model_channels"] > 0
        base_model.build_unet(opened.state, opened.config, "fuzz")
    except FiguraInputError as error:
        assert str(folder) not in str(error)


@FUZZ
@given(data=st.data())
def test_base_checkpoints(files, data):
    _, good, folder = files
    path = folder / "base.safetensors"
    path.write_bytes(damage(data, good.read_bytes()))
    try:
        parts = base_parts.open_file(path)
        base_model.build_vae(parts.vae, {}, "fuzz")
        for name, state in parts.encoders.items():
            text.text_encoder(state, name)
    except FiguraInputError as error:
        assert str(folder) not in str(error)
