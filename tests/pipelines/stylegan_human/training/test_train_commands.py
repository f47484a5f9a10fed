"""``figura stylegan train`` and ``measure`` as they are typed."""

import json

import pytest
from comfyui_figura.pipelines.__main__ import all_commands, dispatch
from comfyui_figura.pipelines.common.errors import FiguraInputError
from comfyui_figura.pipelines.demo.stylegan_human import random_generator
from comfyui_figura.pipelines.stylegan_human.configs import tiny
from comfyui_figura.pipelines.stylegan_human.loading import save_generator
from comfyui_figura.pipelines.stylegan_human.training.aligned_images import AlignedImages
from comfyui_figura.pipelines.stylegan_human.training.run import ruler_of

from .conftest import small_config

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


SECOND = (  # every option of StyleGAN2-ada's and StyleGAN-Human's scripts
    "--gpus=1 --snap=50 --metrics=fid50k_full,kid50k_full --seed=0 --cond=False --subset=8 --mirror=1 "
    "--square=False --cfg=auto --gamma=10 --kimg=1000 --batch=4 --aug=fixed --p=0.2 --augpipe=bgc "
    "--resume=noresume --freezed=0 --fp32=off --nhwc=True --nobench=no --allow-tf32=f --workers=3 -n"
)
THIRD = (  # every option of StyleGAN3's, and of StyleGAN-Human's version of it
    "--cfg=stylegan3-t --gpus=8 --batch=32 --gamma=8.2 --square=0 --cond=0 --mirror=1 --aug=ada --freezed=0 "
    "--target=0.6 --batch-gpu=4 --cbase=1024 --cmax=16 --glr=0.0025 --dlr=0.002 --map-depth=2 "
    "--mbstd-group=4 --desc=first-try --metrics=none --kimg=5000 --tick=4 --snap=10 --seed=0 --fp32=0 "
    "--nobench=1 --workers=3 --dry-run"
)


def test_every_published_option_is_understood(pictures, tmp_path, capsys):
    for line in (SECOND, THIRD):
        figura("train", f"--outdir={tmp_path}/runs", f"--data={pictures}", *line.split())
    second, third = capsys.readouterr().out.split("\n}\n")[:2]
    second, third = json.loads(second + "}")["flags"], json.loads(third + "}")["flags"]
    assert second["metrics"] == ["fid50k_full", "kid50k_full"] and second["resume"] is None
    assert (second["nhwc"], second["fp32"], second["allow_tf32"], second["nobench"]) == (True, *[False] * 3)
    assert third["metrics"] == [] and third["desc"] == "first-try" and third["nobench"]


@pytest.mark.parametrize(
    "words, names",
    [
        ("--metrics fid50k_full", ["fid50k_full"]),
        ("--metrics fid,kid", ["fid", "kid"]),
        ("--metrics fid kid", ["fid", "kid"]),
        ("--metrics=FID50k,kid50k,pr50k3_full", ["fid50k", "kid50k", "pr50k3_full"]),
        ("--metrics=none", []),
        ("--metrics None", []),
        ("--snap 250", ["fid"]),
    ],
)
def test_lists_of_metrics(pictures, capsys, words, names):
    figura("train", "--data", pictures, *words.split(), "--dry-run")
    assert json.loads(capsys.readouterr().out)["flags"]["metrics"] == names


@pytest.mark.parametrize(
    "words, said",
    [
        ("--metrics is50k", "class probabilities.*fid50k_full, kid50k_full"),
        ("--metrics fid50k_full,ppl2_wend", "ppl2_wend.*LPIPS.*fid50k_full"),
        ("--metrics eqt50k_int", "equivariance"),
        ("--metrics none,fid", "'none'"),
        ("--metrics fid10k", "'fid10k'; wanted fid, kid"),
        ("--metrics fid50k_full --metric-samples 2000", "--metric-samples.*Name fid, kid or pr"),
        ("--resume=https://example.org/a/network.pkl", "an address.*--resume network.pkl"),
        ("--resume=ffhq1024", "ffhq-res1024-mirror-stylegan2-noaug.pkl"),
    ],
)
def test_published_words_that_are_refused_say_what_to_use(pictures, words, said):
    with pytest.raises(FiguraInputError, match=said):
        figura("train", "--data", pictures, *words.split(), "--dry-run")


def test_metrics_without_a_feature_network_are_said_to_be_left_out(pictures, tmp_path, caplog):
    config = small_config(pictures, tmp_path / "run", metrics=("fid50k_full",))
    with caplog.at_level("WARNING"):
        assert ruler_of(config, AlignedImages(pictures)) is None
    assert "fid50k_full: not measured" in caplog.text


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


def test_measure_checks_its_metrics_first(pictures, tmp_path):
    words = ["measure", "--networks", tmp_path / "absent", "--data", pictures, "--detector", DETECTOR]
    for flags, said in (("--metrics is50k", "class probabilities"), ("--metrics none", "at least one"),
                        ("--metrics fid50k --samples 16", "--samples")):  # fmt: skip
        with pytest.raises(FiguraInputError, match=said):
            figura(*words, *flags.split())
