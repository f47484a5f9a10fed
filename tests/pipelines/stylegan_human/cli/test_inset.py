"""``figura stylegan inset``: the published flags, the files it writes, and its sentences."""

import sys

import numpy as np
import pytest
import torch
from comfyui_figura.pipelines import __main__ as figura
from comfyui_figura.pipelines.demo.network_pickle import write_network
from comfyui_figura.pipelines.demo.stylegan_human import random_generator
from comfyui_figura.pipelines.stylegan_human.configs import V2Config, tiny
from comfyui_figura.pipelines.stylegan_human.generate import sample_ws
from comfyui_figura.pipelines.stylegan_human.latents.latent_file import Latents, load_latents, save_latents
from comfyui_figura.pipelines.stylegan_human.loading import load_generator
from PIL import Image

FACE = V2Config(32, square=True, z_dim=32, w_dim=32, channel_base=512, channel_max=24)


@pytest.fixture(scope="module")
def networks(tmp_path_factory):
    folder = tmp_path_factory.mktemp("inset")
    for name, config in (("ffhq.pkl", FACE), ("body.pkl", tiny(2, 32))):
        write_network(folder / name, random_generator(config))
    return folder


def run(monkeypatch, networks, out, *words, face="ffhq.pkl", body="body.pkl"):
    arguments = [
        "--face_network",
        networks / face,
        "--body_network",
        networks / body,
        "--outdir",
        out,
        *words,
    ]
    monkeypatch.setattr(sys, "argv", ["figura", "stylegan", "inset", *map(str, arguments)])
    figura.main()


def test_published_flags_and_files(networks, tmp_path, monkeypatch, capsys):
    """As the README of the original calls it, with a video."""
    av = pytest.importorskip("av")
    words = "--face_seed", 3, "--body_seed", 4, "--trunc", 0.6, "--joint_steps", 2, "--video", 1
    run(monkeypatch, networks, tmp_path, *words)
    names = ["0003_0004.mp4", "0003_0004.png", "0003_0004_body.safetensors", "0003_0004_face.safetensors",
             "0003_0004_joined.png"]  # fmt: skip
    assert sorted(path.name for path in tmp_path.iterdir()) == names
    pair, joined = (np.asarray(Image.open(tmp_path / name)) for name in (names[1], names[4]))
    assert pair.shape == (32, 32, 3) and np.array_equal(pair[:, 16:], joined)
    with av.open(str(tmp_path / names[0])) as film:
        frames = sum(1 for _ in film.decode(video=0))
    assert frames == 25 + 150 + 2
    assert load_latents(tmp_path / names[3]).ws.shape == (1, 8, 32)
    assert "no LPIPS weights" in capsys.readouterr().out


def test_given_latents_are_used(networks, tmp_path, monkeypatch):
    """An inverted face starts the search: with no steps for the face it comes back as it was."""
    face = load_generator(networks / "ffhq.pkl")
    ws = sample_ws(face, [9], 1.0)
    save_latents(tmp_path / "me.safetensors", Latents(ws))
    from comfyui_figura.pipelines.stylegan_human.inset import inset

    monkeypatch.setattr(inset.InsetConfig, "__init__", _short(inset.InsetConfig.__init__))
    run(
        monkeypatch,
        networks,
        tmp_path,
        "--face-latent",
        tmp_path / "me.safetensors",
        "--face-box",
        2,
        2,
        10,
        10,
    )
    assert torch.equal(load_latents(tmp_path / "0082_0043_face.safetensors").ws, ws)


def _short(original):
    def init(self, **words):
        original(self, face_steps=0, body_steps=1, joint_steps=0, film_every=words["film_every"])

    return init


BAD = {
    "a body network as face": ({"face": "body.pkl"}, (), "square network of faces"),
    "a face network as body": ({"body": "ffhq.pkl"}, (), "twice as high as wide"),
    "no such network": ({"face": "missing.pkl"}, (), "missing.pkl"),
    "no steps between frames": ({}, ("--film-every", 0), "film-every"),
    "box outside": ({}, ("--face-box", 0, 0, 99, 99), "face box"),
    "negative steps": ({}, ("--joint-steps", -4), "joint steps"),
    "dlib's file missing": ({}, ("--landmarks", "missing.dat"), "(dlib|missing.dat)"),
    "a measure that is none": ({}, ("--perceptual", "ffhq.pkl"), "ffhq.pkl"),
}


@pytest.mark.parametrize("case", BAD)
def test_refuses_in_a_sentence(networks, tmp_path, monkeypatch, capsys, case):
    changes, words, said = BAD[case]
    words = [networks / word if str(word).endswith(".pkl") else word for word in words]
    with pytest.raises(SystemExit) as stop:
        run(monkeypatch, networks, tmp_path / "out", *words, **changes)
    error = capsys.readouterr().err
    assert stop.value.code == 2 and "Traceback" not in error
    assert __import__("re").search(said, error) and not (tmp_path / "out").exists()
