"""The StyleGAN nodes in process: what they give, and what they say to bad input."""

import struct
from pathlib import Path

import numpy as np
import pytest
import torch

pytest.importorskip("comfy", reason="no ComfyUI: set COMFYUI_PATH")

import comfy.model_management as management  # noqa: E402
import folder_paths  # noqa: E402
from comfyui_figura.nodes.stylegan_human import NODES  # noqa: E402
from comfyui_figura.nodes.stylegan_human.generate import (  # noqa: E402
    FiguraStyleGANSampler,
    FiguraStyleGANSeedGrid,
)
from comfyui_figura.nodes.stylegan_human.latents import (  # noqa: E402
    FiguraStyleGANBlend,
    FiguraStyleGANLoadLatent,
    FiguraStyleGANSaveLatent,
)
from comfyui_figura.nodes.stylegan_human.loaders import FiguraStyleGANLoader  # noqa: E402
from comfyui_figura.pipelines.common.errors import FiguraInputError, FiguraWeightsError  # noqa: E402
from comfyui_figura.pipelines.demo.stylegan_human import FILES, write_models  # noqa: E402
from comfyui_figura.pipelines.stylegan_human.latents.latent_file import Latents  # noqa: E402

V2 = "stylegan_human_v2_1024.pkl"


@pytest.fixture(scope="module", autouse=True)
def folders(tmp_path_factory):
    """Model, input and output folders of our own, with the tiny networks of every generation."""
    root = tmp_path_factory.mktemp("comfy")
    write_models(root / "models")
    before = folder_paths.folder_names_and_paths["stylegan_human"]
    kept = folder_paths.get_input_directory(), folder_paths.get_output_directory()
    folder_paths.folder_names_and_paths["stylegan_human"] = ([str(root / "models/stylegan_human")], before[1])
    folder_paths.filename_list_cache.clear()
    for name, setter in (
        ("input", folder_paths.set_input_directory),
        ("output", folder_paths.set_output_directory),
    ):
        (root / name).mkdir()
        setter(str(root / name))
    yield root
    folder_paths.folder_names_and_paths["stylegan_human"] = before
    folder_paths.set_input_directory(kept[0])
    folder_paths.set_output_directory(kept[1])
    folder_paths.filename_list_cache.clear()


def load(name: str = V2):
    return FiguraStyleGANLoader.execute(name).result[0]


@pytest.fixture(scope="module")
def stylegan(folders):
    return load()


def draw(stylegan, seed=1, batch_size=1, psi=0.7, noise_mode="const", cutoff=0, latent=None):
    return FiguraStyleGANSampler.execute(stylegan, seed, batch_size, psi, noise_mode, cutoff, latent).result


def is_image(image: torch.Tensor, count: int) -> bool:
    return (
        image.dtype == torch.float32
        and image.shape[0] == count
        and image.shape[3] == 3
        and image.is_contiguous()
        and not image.requires_grad
        and 0 <= image.min() <= image.max() <= 1
    )


@pytest.mark.parametrize("name", FILES)
def test_every_generation_loads_and_draws(name):
    image, latent = draw(load(name), batch_size=2)
    assert is_image(image, 2)
    assert image.shape[1:3] == (FILES[name].resolution, FILES[name].resolution // 2)
    assert latent.seeds == (1, 2)


@pytest.mark.parametrize("noise_mode", ["const", "random"])
def test_a_batch_is_its_single_pictures(stylegan, noise_mode):
    """Bit for bit: on a CPU every picture is drawn alone, with noise from its own seed."""
    batch, _ = draw(stylegan, 5, 3, noise_mode=noise_mode)
    single = torch.cat([draw(stylegan, seed, noise_mode=noise_mode)[0] for seed in (5, 6, 7)])
    assert torch.equal(batch, single)


def test_noise_modes_differ(stylegan):
    pictures = [draw(stylegan, noise_mode=mode)[0] for mode in ("const", "random", "none")]
    assert not torch.equal(pictures[0], pictures[1])
    assert not torch.equal(pictures[0], pictures[2])


def test_a_latent_is_drawn_as_it_is(stylegan):
    image, latent = draw(stylegan, 3)
    again, passed = draw(stylegan, seed=99, psi=0.1, latent=latent)
    assert torch.equal(image, again) and passed is latent


def test_weights_can_be_trained_later(stylegan):
    """Loaded inside inference mode, yet ordinary tensors."""
    assert not any(parameter.is_inference() for parameter in stylegan.model.parameters())


def test_seed_grid(stylegan):
    grid, images, latents = FiguraStyleGANSeedGrid.execute(stylegan, "1,3,5-6", 0.7, "const", 2, True).result
    assert is_image(grid, 1) and is_image(images, 4)
    assert latents.seeds == (1, 3, 5, 6)
    height, width = images.shape[1:3]
    assert grid.shape[1] >= 2 * height and grid.shape[2] >= 2 * width
    assert torch.equal(images[1:2], draw(stylegan, 3)[0])
    plain = FiguraStyleGANSeedGrid.execute(stylegan, "1,3,5-6", 0.7, "const", 2, False).result[0]
    assert plain.shape[1] < grid.shape[1]


def test_save_and_load_latent(stylegan, folders):
    latent = draw(stylegan, 3, 2)[1]
    FiguraStyleGANSaveLatent.execute(latent, "latents/mine")
    FiguraStyleGANSaveLatent.execute(latent, "latents/mine")
    saved = sorted((folders / "output/latents").iterdir())
    assert len(saved) == 2 and all(path.suffix == ".safetensors" for path in saved)
    name = f"latents/{saved[0].name} [output]"
    assert name in FiguraStyleGANLoadLatent.define_schema().inputs[0].options
    loaded = FiguraStyleGANLoadLatent.execute(name).result[0]
    assert torch.equal(loaded.ws, latent.ws) and loaded.seeds == latent.seeds


def test_a_failed_save_leaves_nothing(stylegan, folders, monkeypatch):
    import comfyui_figura.pipelines.common.weights as weights

    def full_disk(*args, **kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(weights, "save_file", full_disk)
    with pytest.raises(FiguraWeightsError, match="No space"):
        FiguraStyleGANSaveLatent.execute(draw(stylegan)[1], "broken/latent")
    assert not [path for path in (folders / "output/broken").rglob("*") if path.is_file()]


def test_blend(stylegan):
    a, b = draw(stylegan, 1)[1], draw(stylegan, 2)[1]

    def blended(factor, mode="linear", rows="all"):
        return FiguraStyleGANBlend.execute(a, b, factor, mode, rows).result[0].ws

    assert torch.equal(blended(0.0), a.ws)
    assert torch.allclose(blended(1.0), b.ws, atol=1e-6)
    assert torch.allclose(blended(0.5), (a.ws + b.ws) / 2, atol=1e-6)
    assert torch.isfinite(blended(0.5, "spherical")).all()
    some = blended(1.0, rows="2,4-5")
    assert torch.allclose(some[:, [2, 4, 5]], b.ws[:, [2, 4, 5]], atol=1e-6)
    assert torch.equal(some[:, [0, 1, 3]], a.ws[:, [0, 1, 3]])


def test_inputs_are_never_written(stylegan):
    latent = draw(stylegan, 1)[1]
    before = latent.ws.clone()
    FiguraStyleGANBlend.execute(latent, draw(stylegan, 2)[1], 0.5, "linear", "0-3")
    draw(stylegan, latent=latent)
    assert torch.equal(latent.ws, before)


def test_interrupt_stops_within_a_picture_and_changes_nothing_after(stylegan, monkeypatch):
    before = draw(stylegan, 1)[0]
    steps, calls = stylegan.model.synthesis.num_steps, []

    def interrupted():
        calls.append(1)
        if len(calls) == 2:
            raise management.InterruptProcessingException

    monkeypatch.setattr(management, "throw_exception_if_processing_interrupted", interrupted)
    with pytest.raises(management.InterruptProcessingException):
        draw(stylegan, 1, 4)
    assert len(calls) == 2 < steps
    monkeypatch.undo()
    assert torch.equal(draw(stylegan, 1)[0], before)


def test_unloading_and_loading_again_gives_the_same_picture(stylegan):
    before = draw(stylegan, 1)[0]
    management.unload_all_models()
    assert torch.equal(draw(stylegan, 1)[0], before)


NAN = float("nan")
BAD_SAMPLES = {
    "negative seed": {"seed": -1},
    "seed too large": {"seed": 2**64},
    "seed as text": {"seed": "seven"},
    "no pictures": {"batch_size": 0},
    "unknown noise mode": {"noise_mode": "loud"},
    "psi not a number": {"psi": NAN},
    "psi infinite": {"psi": float("inf")},
    "negative cutoff": {"cutoff": -1},
    "latent of another type": {"latent": {"samples": torch.zeros(1, 4, 8, 8)}},
    "latent of another network": {"latent": Latents(torch.zeros(1, 16, 32))},
    "latent of another width": {"latent": Latents(torch.zeros(1, 10, 31))},
    "latent with NaN": {"latent": Latents(torch.full((1, 10, 32), NAN))},
    "empty latent": {"latent": Latents(torch.zeros(0, 10, 32))},
    "latent of one axis": {"latent": Latents(torch.zeros(32))},
}


@pytest.mark.parametrize("case", BAD_SAMPLES)
def test_sampler_refuses(stylegan, case):
    with pytest.raises(FiguraInputError):
        draw(stylegan, **BAD_SAMPLES[case])


@pytest.mark.parametrize("seeds", ["", "a", "5-1", "1,,x", "-3", "1.5", "0-100000", str(2**64), "1;2"])
def test_seed_grid_refuses(stylegan, seeds):
    with pytest.raises(FiguraInputError, match="seeds"):
        FiguraStyleGANSeedGrid.execute(stylegan, seeds, 0.7, "const", 0, True)


BAD_BLENDS = {
    "other network": {"b": Latents(torch.zeros(1, 16, 32))},
    "batches that do not fit": {"a": Latents(torch.zeros(2, 10, 32)), "b": Latents(torch.zeros(3, 10, 32))},
    "other type": {"b": "latent"},
    "factor not a number": {"factor": NAN},
    "unknown mode": {"mode": "cubic"},
    "rows out of range": {"rows": "9-10"},
    "rows that are words": {"rows": "face"},
}


@pytest.mark.parametrize("case", BAD_BLENDS)
def test_blend_refuses(case):
    good = {"a": Latents(torch.zeros(1, 10, 32)), "b": Latents(torch.ones(1, 10, 32))}
    arguments = good | {"factor": 0.5, "mode": "linear", "rows": "all"} | BAD_BLENDS[case]
    with pytest.raises(FiguraInputError):
        FiguraStyleGANBlend.execute(*arguments.values())


PREFIXES = ["../escape", "/tmp/escape", "a/../../escape", "", "  ", "nul\0byte", "..", "../" * 20 + "etc/x"]


@pytest.mark.parametrize("prefix", PREFIXES)
def test_save_stays_in_the_output_folder(folders, prefix):
    before = set(folders.rglob("*"))
    with pytest.raises(FiguraInputError):
        FiguraStyleGANSaveLatent.execute(Latents(torch.zeros(1, 10, 32)), prefix)
    assert set(folders.rglob("*")) == before


NAMES = ["../models/x.safetensors", "/etc/passwd", "missing.safetensors", "C:\\x.safetensors", "", "a" * 4096]


@pytest.mark.parametrize("name", NAMES)
def test_load_latent_refuses_other_names(name):
    with pytest.raises(FiguraInputError):
        FiguraStyleGANLoadLatent.execute(name)
    assert FiguraStyleGANLoadLatent.fingerprint_inputs(name) == name


@pytest.mark.parametrize("name", NAMES)
def test_loader_refuses_other_names(name):
    with pytest.raises(FiguraInputError):
        FiguraStyleGANLoader.execute(name)


def _header(text: bytes) -> bytes:
    return struct.pack("<Q", len(text)) + text


BAD_FILES = {
    "empty.pkl": b"",
    "page.pkl": b"<!DOCTYPE html><html>quota exceeded</html>",
    "noise.pkl": np.random.RandomState(0).bytes(4096),
    "code.pkl": b"cos\nsystem\n(S'echo hi > pwned.txt'\ntR.",
    "list.pkl": b"\x80\x04](K\x01K\x02e.",
    "foreign.safetensors": _header(b'{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}') + b"\0" * 4,
    "huge.safetensors": struct.pack("<Q", 2**40) + b"{",
}


@pytest.mark.parametrize("name", [*BAD_FILES, "cut.pkl"])
def test_loader_refuses_bad_files(folders, stylegan, name, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    models = folders / "models/stylegan_human"
    content = BAD_FILES.get(name) or b""
    if name == "cut.pkl":
        content = (models / V2).read_bytes()[:100_000]
    (models / name).write_bytes(content)
    folder_paths.filename_list_cache.clear()
    before = draw(stylegan, 1)[0]
    with pytest.raises(FiguraWeightsError, match=name) as error:
        FiguraStyleGANLoader.execute(name)
    assert str(models) not in str(error.value), "no machine path in the user's message"
    assert not list(tmp_path.iterdir())
    assert torch.equal(draw(stylegan, 1)[0], before)
    (models / name).unlink()


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", _header(b"{}")])
def test_load_latent_refuses_bad_files(folders, content):
    path = Path(folders / "input/bad.safetensors")
    path.write_bytes(content)
    with pytest.raises(FiguraInputError, match="bad.safetensors"):
        FiguraStyleGANLoadLatent.execute("bad.safetensors")
    path.unlink()


@pytest.mark.parametrize("node", NODES)
def test_every_node_has_help(node):
    page = Path(__file__).parents[3] / "web/docs" / f"{node.define_schema().node_id}.md"
    assert page.is_file() and len(page.read_text().splitlines()) >= 10
