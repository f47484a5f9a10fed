"""Network files: every layout in and out, and what is said of files that are none."""

import pytest
import torch
from comfyui_figura.pipelines.common.errors import FiguraInputError, FiguraWeightsError
from comfyui_figura.pipelines.demo.network_pickle import write_network
from comfyui_figura.pipelines.demo.stylegan_human import random_generator
from comfyui_figura.pipelines.stylegan_human.checkpoint import config_from_kwargs
from comfyui_figura.pipelines.stylegan_human.configs import V1Config, V2Config, V3Config, tiny
from comfyui_figura.pipelines.stylegan_human.generate import sample_ws, synthesize
from comfyui_figura.pipelines.stylegan_human.loading import describe, load_generator, save_generator
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file

CONFIGS = {
    "v1": tiny(1),
    "v1_square": V1Config(32, square=True, z_dim=16, w_dim=16, fmap_base=128, fmap_max=8),
    "v2": tiny(2),
    "v2_square": V2Config(32, square=True, z_dim=16, w_dim=16, channel_base=128, channel_max=8),
    "v2_labels": V2Config(32, z_dim=16, w_dim=16, c_dim=4, channel_base=128, channel_max=8),
    "v3t": tiny(3),
    "v3t_square": V3Config(32, square=True, z_dim=16, w_dim=16, channel_base=128, channel_max=8),
    "v3r": V3Config(
        64, z_dim=16, w_dim=16, channel_base=256, channel_max=8, conv_kernel=1, use_radial_filters=True
    ),
}


@pytest.fixture(scope="module", params=CONFIGS)
def generator(request):
    return random_generator(CONFIGS[request.param])


def same(a, b) -> bool:
    x, y = a.state_dict(), b.state_dict()
    return x.keys() == y.keys() and all(torch.equal(x[key], y[key]) for key in x)


def test_pickles_come_back(generator, tmp_path):
    """Written in the released layout of its generation, read by the loader that users use."""
    write_network(tmp_path / "network.pkl", generator)
    loaded = load_generator(tmp_path / "network.pkl")
    assert loaded.config == generator.config and same(loaded, generator)
    assert not loaded.training


def test_safetensors_come_back(generator, tmp_path):
    save_generator(tmp_path / "network.safetensors", generator)
    loaded = load_generator(tmp_path / "network.safetensors")
    assert loaded.config == generator.config and same(loaded, generator)


def test_half_precision_files(generator, tmp_path):
    """Half the size; the picture moves by less than two of 255 steps."""
    save_generator(tmp_path / "full.safetensors", generator)
    save_generator(tmp_path / "half.safetensors", generator, half=True)
    sizes = [(tmp_path / f"{name}.safetensors").stat().st_size for name in ("full", "half")]
    assert sizes[1] < 0.85 * sizes[0]  # the header is not halved, nor are the filters of these tiny ones
    loaded = load_generator(tmp_path / "half.safetensors")
    ws = sample_ws(generator, [0, 1], 0.7)
    difference = synthesize(loaded, ws) - synthesize(generator, ws)
    assert all(p.dtype == torch.float32 for p in loaded.parameters())
    assert difference.abs().mean() < 2 / 127.5 * synthesize(generator, ws).abs().max().clamp(min=1)


def test_tuned_pickles_hold_only_the_average(tmp_path):
    generator = random_generator(CONFIGS["v2"])
    write_network(tmp_path / "tuned.pkl", generator, only_ema=True)
    assert same(load_generator(tmp_path / "tuned.pkl"), generator)


@pytest.mark.parametrize("name", ["v2_square", "v2", "v3t_square", "v3t"])
def test_upstream_files_without_the_word_square(name):
    """NVIDIA's own networks do not know `square`: the tensors tell."""
    generator = random_generator(CONFIGS[name])
    config = generator.config
    kwargs = {
        "z_dim": 16,
        "w_dim": config.w_dim,
        "c_dim": 0,
        "img_resolution": config.resolution,
        "img_channels": 3,
    }
    sizes = {"channel_base": config.channel_base, "channel_max": config.channel_max}
    kwargs |= sizes if isinstance(config, V3Config) else {"synthesis_kwargs": sizes}
    shapes = {key: tuple(value.shape) for key, value in generator.state_dict().items()}
    assert config_from_kwargs(kwargs, shapes).square is config.square


def test_description(generator):
    words = describe(generator)
    assert words["version"] == f"StyleGAN{generator.version}"
    assert words["rows of ws"] == str(generator.config.num_ws)


def test_tensors_that_disagree_with_the_description(tmp_path):
    generator = random_generator(CONFIGS["v2"])
    generator.synthesis.b8.conv0.bias = torch.nn.Parameter(torch.zeros(7))
    write_network(tmp_path / "network.pkl", generator)
    with pytest.raises(FiguraWeightsError, match="b8.conv0.bias"):
        load_generator(tmp_path / "network.pkl")


def test_missing_tensors_are_counted(tmp_path):
    generator = random_generator(CONFIGS["v2"])
    del generator.synthesis.b8.conv0
    write_network(tmp_path / "network.pkl", generator)
    with pytest.raises(FiguraWeightsError, match="7 tensors missing"):
        load_generator(tmp_path / "network.pkl")


def test_other_safetensors_are_named(tmp_path):
    save_file({"conv_in.weight": torch.zeros(2)}, tmp_path / "other.safetensors")
    with pytest.raises(FiguraWeightsError, match="StyleGAN"):
        load_generator(tmp_path / "other.safetensors")


def test_no_file(tmp_path):
    with pytest.raises(FiguraWeightsError, match="no such file"):
        load_generator(tmp_path / "nothing.pkl")


@pytest.mark.parametrize("name", ["v1_square", "v2_square", "v3t_square"])
@given(data=st.data())
@settings(
    max_examples=70,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
def test_damaged_files_give_a_generator_or_a_sentence(name, data, files):
    """Cuts and overwritten bytes: 210 examples over the three layouts; nothing but the typed error."""
    content, folder = files[name], files["folder"]
    if data.draw(st.booleans()):
        damaged = content[: data.draw(st.integers(0, len(content) - 1))]
    else:
        at = data.draw(st.integers(0, min(len(content) - 1, 6000)))
        noise = data.draw(st.binary(min_size=1, max_size=8))
        damaged = content[:at] + noise + content[at + len(noise) :]
    path = folder / "damaged.pkl"
    path.write_bytes(damaged)
    try:
        load_generator(path)
    except FiguraInputError as error:
        assert "damaged.pkl" in str(error) or "network" in str(error)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("networks")
    found = {"folder": folder}
    for name in ("v1_square", "v2_square", "v3t_square"):
        write_network(folder / name, random_generator(CONFIGS[name]))
        found[name] = (folder / name).read_bytes()
    return found
