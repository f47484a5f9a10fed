"""``figura stylegan train`` and ``measure`` as they are typed."""

import json

import pytest
from comfyui_figura.pipelines.__main__ import all_commands, dispatch
from comfyui_figura.pipelines.common.errors import FiguraInputError
from comfyui_figura.pipelines.demo.stylegan_human import random_generator
from comfyui_figura.pipelines.stylegan_human.configs import tiny
from comfyui_figura.pipelines.stylegan_human.loading import save_generator

DETECTOR = f"{__name__}:Colours"


class Colours:
    """A stand-in for a feature network: the mean colour and its spread."""

    def features(self, pixels):
        return pixels.flatten(2).mean(dim=2)


def figura(*words: object) -> None:
    dispatch(all_commands(), ["stylegan", *map(str, words)], "figura")


def test_the_published_flags_are_understood(pictures, capsys):
    """StyleGAN-Human's README line, and the names of StyleGAN3's script."""
    figura(
        "train", "--data", pictures, *"--cfg shhq --gpus 8 --mirror --aug noaug --snap 250 --dry-run".split()
    )
    shown = json.loads(capsys.readouterr().out)
    assert shown["recipe"]["batch"] == 64 and shown["trainer"]["accumulate"] == 8
    flags = "--cfg stylegan3-r --batch 32 --batch-gpu 4 --gamma 12.4 --cbase 1024 --cmax 16 --glr 0.001"
    flags += " --dlr 0.001 --map-depth 1 --mbstd-group 2 --kimg 1 --tick 0.1 --seed 3 --aug fixed --p 0.1"
    flags += " --augpipe body --fp32 --workers 2 --metrics fid kid --subset 8 --dry-run"
    figura("train", "--data", pictures, *flags.split())
    shown = json.loads(capsys.readouterr().out)
    assert shown["recipe"]["losses"]["r1_gamma"] == 12.4
    assert shown["recipe"]["generator"]["channel_base"] == 2048
    assert shown["recipe"]["ada"]["pipe"] == "body"


@pytest.mark.parametrize(
    "words, mirror, square",
    [
        ("--mirror=1 --square=False", True, False),  # StyleGAN-Human's README
        ("--mirror 1 --square 0 --fp32 true", True, False),
        ("--mirror --cond=0", True, False),
        ("--mirror=0", False, False),
        ("--snap 250", False, False),
    ],
)
def test_switches_take_a_value_or_none(pictures, tmp_path, capsys, words, mirror, square):
    line = f"--outdir={tmp_path}/sg2/ --gpus=8 --aug=noaug --cfg=shhq {words} --dry-run"
    figura("train", f"--data={pictures}", *line.split())
    flags = json.loads(capsys.readouterr().out)["flags"]
    assert (flags["mirror"], flags["square"]) == (mirror, square)
    assert flags["fp32"] == ("fp32" in words)


def test_a_switch_that_is_neither_is_refused(pictures, capsys):
    with pytest.raises(SystemExit):
        figura("train", "--data", pictures, "--mirror=perhaps", "--dry-run")
    assert "--mirror" in capsys.readouterr().err


def test_measure(pictures, tmp_path, capsys):
    for name in ("a", "b"):
        save_generator(tmp_path / f"{name}.safetensors", random_generator(tiny(2, 32)))
    networks, flags = (
        (tmp_path / "a.safetensors", tmp_path / "b.safetensors"),
        "--samples 16 --device cpu".split(),
    )
    figura("measure", "--networks", *networks, "--data", pictures, "--detector", DETECTOR, *flags)
    first, second = capsys.readouterr().out.splitlines()
    assert first.startswith("a.safetensors fid ") and float(first.split()[2]) > 0
    assert first.split()[2] == second.split()[2], "the same network, the same latents"


@pytest.mark.parametrize("detector", ["json:loads", "no.such.module:thing", "json", "json:nothing"])
def test_detectors_that_are_none(pictures, tmp_path, detector):
    save_generator(tmp_path / "a.safetensors", random_generator(tiny(2, 32)))
    with pytest.raises(FiguraInputError, match="--detector"):
        figura(
            "measure", "--networks", tmp_path / "a.safetensors", "--data", pictures, "--detector", detector
        )
