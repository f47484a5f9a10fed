"""Pictures shared out over processes are those of one process, to the byte."""

import sys
from importlib import import_module

import pytest
from comfyui_figura.pipelines import __main__ as figura
from comfyui_figura.pipelines.common.errors import FiguraInputError
from comfyui_figura.pipelines.common.processes import find_device, is_mine, rank_and_count, share
from PIL import Image


def as_process(monkeypatch, rank: int, count: int) -> None:
    monkeypatch.setenv("RANK", str(rank))
    monkeypatch.setenv("WORLD_SIZE", str(count))


@pytest.mark.parametrize("count", [1, 2, 3, 7])
def test_every_piece_falls_to_one_process(monkeypatch, count):
    pieces, taken = list("abcde"), []
    for rank in range(count):
        as_process(monkeypatch, rank, count)
        taken += share(pieces)
        assert all(is_mine(index) for index, _ in share(pieces))
    assert sorted(taken) == list(enumerate(pieces))


def test_without_a_launcher_everything_is_ours(monkeypatch):
    monkeypatch.delenv("RANK", raising=False)
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    assert rank_and_count() == (0, 1) and share("ab") == [(0, "a"), (1, "b")]


def test_devices():
    assert find_device("cpu").type == "cpu"
    with pytest.raises(FiguraInputError, match="device.*warp"):
        find_device("warp")


SYSTEMS = {  # flags of a small run of several pictures; {} is the folder of models
    "stylegan": "--network {}/stylegan_human/stylegan_human_v2_512.pkl --seeds 3-6 --outdir",
    "cosmicman": "--variant sd --unet-path {}/diffusion_models/CosmicMan-SD"
    " --base-path {}/checkpoints/SD_BASE"
    " --prompts one two --images 2 --steps 1 --H 64 --W 64 --sampler ddim --outdir",
    "humansd": "--humansd-checkpoint {}/checkpoints/humansd-v1.ckpt --prompt people --ready-pose standing"
    " --image-H 128 --image-W 64 --num-samples 6 --ddim-steps 1 --save-path",
    "parts2whole": "--model {}/parts2whole/Parts2Whole --face.image {}/face.png --width 64 --height 128"
    " --count 3 --batch 1 --steps 1 --out",
}


@pytest.mark.parametrize("system", SYSTEMS)
def test_two_processes_generate_the_pictures_of_one(tmp_path, monkeypatch, system):
    demo = import_module(f"comfyui_figura.pipelines.demo.{figura.SYSTEMS[system]}")
    demo.write_models(tmp_path)
    Image.new("RGB", (64, 64), (200, 150, 120)).save(tmp_path / "face.png")
    flags = SYSTEMS[system].replace("SD_BASE", getattr(demo, "SD_BASE", "")).format(*[tmp_path] * 2)

    def generate(out: str) -> dict[str, bytes]:
        folder = tmp_path / out
        words = ["figura", system, "generate", *flags.split(), str(folder)]
        monkeypatch.setattr(sys, "argv", words)
        figura.main()
        return {path.name: path.read_bytes() for path in folder.iterdir() if "skeleton" not in path.name}

    monkeypatch.delenv("WORLD_SIZE", raising=False)
    whole = generate("whole")
    shares = []
    for rank in range(2):
        as_process(monkeypatch, rank, 2)
        shares.append(generate(f"share{rank}"))
    assert all(shares) and not set(shares[0]) & set(shares[1])
    assert shares[0] | shares[1] == whole and len(whole) > 2
