"""The command line: flags that users know, files they expect, sentences for mistakes."""

import sys

import numpy as np
import pytest
import torch
from comfyui_figura.pipelines import __main__ as figura
from comfyui_figura.pipelines.common.images import to_uint8
from comfyui_figura.pipelines.demo.network_pickle import write_network
from comfyui_figura.pipelines.demo.stylegan_human import random_generator
from comfyui_figura.pipelines.stylegan_human.configs import tiny
from comfyui_figura.pipelines.stylegan_human.generate import sample_ws, synthesize
from comfyui_figura.pipelines.stylegan_human.grid import sheet
from comfyui_figura.pipelines.stylegan_human.latents.latent_file import load_latents
from comfyui_figura.pipelines.stylegan_human.loading import load_generator
from PIL import Image


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    path = tmp_path_factory.mktemp("cli") / "network.pkl"
    write_network(path, random_generator(tiny(2)))
    return path


def run(monkeypatch, *words) -> None:
    monkeypatch.setattr(sys, "argv", ["figura", "stylegan", *map(str, words)])
    figura.main()


def test_generate_with_the_flags_of_the_released_script(network, tmp_path, monkeypatch):
    run(
        monkeypatch, "generate", "--outdir", tmp_path, "--trunc", "0.8", "--seeds", "1,3-4",
        "--network", network, "--noise-mode", "const", "--version", "2",
    )  # fmt: skip
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "seed0001.png",
        "seed0003.png",
        "seed0004.png",
    ]
    generator = load_generator(network)
    expected = to_uint8(synthesize(generator, sample_ws(generator, [3], 0.8)))[0]
    assert np.array_equal(np.asarray(Image.open(tmp_path / "seed0003.png")), expected)


def test_eight_bits_are_truncated_as_the_reference_does():
    pixels = torch.tensor([-2.0, -1.0, 0.0, 0.999, 1.0]).reshape(1, 1, 1, 5).expand(1, 3, 1, 5)
    assert to_uint8(pixels)[0, 0, :, 0].tolist() == [0, 0, 128, 255, 255]
    assert to_uint8(torch.full((1, 3, 1, 1), 0.5 / 127.5 * 1.98))[0, 0, 0, 0] == 128


def test_convert_and_info(network, tmp_path, monkeypatch, capsys):
    run(monkeypatch, "convert", network, tmp_path / "network.safetensors")
    run(monkeypatch, "info", tmp_path / "network.safetensors")
    assert "StyleGAN2" in capsys.readouterr().out


@pytest.mark.parametrize(
    "words",
    [
        ("generate", "--network", "nowhere.pkl"),
        ("generate", "--network", "NETWORK", "--seeds", "nine"),
        ("generate", "--network", "NETWORK", "--device", "abacus"),
        ("generate", "--network", "NETWORK", "--trunc", "nan"),
    ],
)
def test_mistakes_end_with_a_sentence(words, network, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as end:
        run(monkeypatch, *[network if word == "NETWORK" else word for word in words])
    assert end.value.code == 2
    error = capsys.readouterr().err
    assert "figura:" in error and "Traceback" not in error
    assert not list(tmp_path.rglob("*.png"))


def test_sheet_places_pictures_and_labels():
    images = torch.stack([torch.full((32, 16, 3), value) for value in (0.1, 0.2, 0.3)])
    plain, labelled = sheet(images, columns=2, gap=2), sheet(images, ["1", "2", "3"], 2, 2)
    assert plain.shape == (1, 2 * 34 + 2, 2 * 18 + 2, 3)
    assert torch.equal(plain[0, 2:34, 20:36], images[1]) and torch.equal(plain[0, 36:68, 2:18], images[2])
    assert labelled.shape[1] == plain.shape[1] + 2 * 14
    strip = labelled[0, 34:48, 2:18]
    assert strip.min() < 0.5 < strip.max(), "black on white"


def test_mix(network, tmp_path, monkeypatch):
    words = "--rows 1,2 --cols 3-5 --styles 0-3".split()
    run(monkeypatch, "mix", "--network", network, *words, "--outdir", tmp_path)
    assert Image.open(tmp_path / "grid.png").size == (4 * 32, 3 * 64)
    assert len(list(tmp_path.glob("*-*.png"))) == 6


def test_edit(network, tmp_path, monkeypatch):
    run(monkeypatch, "edit", "--network", network, "--seeds", "1", "--strengths=-3,0,3", "--outdir", tmp_path)
    strip = np.asarray(Image.open(tmp_path / "sefa0_seed0001.png"))
    assert strip.shape == (64, 96, 3)
    assert not np.array_equal(strip[:, :32], strip[:, 32:64])


@pytest.mark.parametrize(
    "words",
    [
        ("edit",),
        ("edit", "--seeds", "1", "--latent", "nowhere.pt"),
        ("edit", "--seeds", "1", "--strengths", "nan"),
        ("edit", "--latent", "nowhere.pt"),
        ("latent", "w.safetensors", "--seeds", "1", "--rows", "99"),
        ("latent", "w.txt", "--seeds", "1"),
        ("latent", "w.pt", "--seeds", "1", "--blend", "nowhere.npz"),
        ("latent", "w.pt", "--seeds", "1", "--truncate", "nan"),
        ("latent", "w.pt", "--seeds", "1-4", "--grid", "wide"),
        ("latent", "w.pt", "--seeds", "1-3", "--grid", "2x2"),
        ("mix", "--rows", "1", "--cols", "2", "--styles", "99"),
        ("edit", "--seeds", "1", "--strengths", "much"),
        ("edit", "--seeds", "1", "--sefa", "4000"),
        ("edit", "--seeds", "1", "--direction", "nowhere.pt"),
    ],
)
def test_mistakes_in_exploring_end_with_a_sentence(words, network, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as end:
        run(monkeypatch, *words, "--network", network)
    assert end.value.code == 2
    assert "figura:" in capsys.readouterr().err
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_latents_computed_saved_and_drawn(network, tmp_path, monkeypatch):
    """Files of three kinds; the difference of two people, added to a third; a sheet between four."""
    generator = load_generator(network)
    one, two, three = (sample_ws(generator, [seed], 0.7) for seed in (1, 2, 3))

    def latent(name, *words):
        run(monkeypatch, "latent", tmp_path / name, "--network", network, "--trunc", "0.7", *words)
        return load_latents(tmp_path / name).ws

    latent("one.pt", "--seeds", "1")
    way = latent("way.npz", "--seeds", "2", "--subtract", tmp_path / "one.pt")
    torch.testing.assert_close(way, two - one)
    moved = latent("moved.safetensors", "--seeds", "3", "--add", tmp_path / "way.npz", "--rows", "2-3")
    torch.testing.assert_close(moved[:, 2:4], (three + two - one)[:, 2:4])
    assert torch.equal(moved[:, 4:], three[:, 4:])
    half = latent("half.pt", "--seeds", "2", "--blend", tmp_path / "one.pt")
    torch.testing.assert_close(half, (one + two) / 2)
    average = latent("average.pt", "--latent", tmp_path / "one.pt", "--truncate", "0")
    torch.testing.assert_close(average, generator.mapping.w_avg.expand_as(average))
    sheet = latent("sheet.pt", "--seeds", "1-4", "--grid", "2x3", "--picture", tmp_path / "sheet.png")
    assert len(sheet) == 6 and Image.open(tmp_path / "sheet.png").size == (3 * 36 + 4, 2 * 68 + 4)


def test_edit_of_a_saved_latent_and_its_film(network, tmp_path, monkeypatch):
    pytest.importorskip("av")
    run(monkeypatch, "latent", tmp_path / "one.pt", "--network", network, "--seeds", "1", "--trunc", "0.8")
    words = [
        "--strengths=-3,0,3",
        "--rows",
        "all",
        "--film",
        "gif",
        "--film-steps",
        "4",
        "--outdir",
        tmp_path,
    ]
    run(monkeypatch, "edit", "--network", network, "--latent", tmp_path / "one.pt", *words)
    run(monkeypatch, "edit", "--network", network, "--seeds", "1", *words)
    strips = [np.asarray(Image.open(tmp_path / f"sefa0_{name}.png")) for name in ("one_0", "seed0001")]
    assert np.array_equal(*strips)
    assert Image.open(tmp_path / "sefa0_one_0.gif").n_frames == 4
