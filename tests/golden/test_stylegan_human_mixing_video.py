"""The mixing video's latents against what the released script drew, to 1e-6 (the fixtures' README)."""

import json
import os
from pathlib import Path

import pytest
import torch
from comfyui_figura.pipelines.stylegan_human.latents.latents import seeds_to_z
from comfyui_figura.pipelines.stylegan_human.latents.walks import frame_count, smooth_z
from safetensors.torch import load_file

DATA = Path(os.environ.get("FIGURA_GOLDEN") or Path(__file__).parent / "data") / "stylegan_human_training"

pytestmark = pytest.mark.skipif(
    not (DATA / "stylemix_video.json").is_file(), reason="golden fixtures not found"
)
CASES = json.loads((DATA / "stylemix_video.json").read_text()) if DATA.is_dir() else {}


@pytest.fixture(scope="module")
def tensors():
    return load_file(DATA / "stylemix_video.safetensors")


@pytest.mark.parametrize("case", CASES)
def test_the_walk(tensors, case):
    settings, expected = CASES[case], tensors[f"{case}.src_z"]
    count = frame_count(settings["duration_sec"], settings["fps"])
    assert count == settings["frames"] == len(expected)
    z = smooth_z(settings["seed"], count, settings["z_dim"], settings["fps"])
    torch.testing.assert_close(z, expected, rtol=0, atol=1e-6)
    assert z.square().mean().sqrt().item() == pytest.approx(settings["rms"], abs=1e-5)


@pytest.mark.parametrize("case", CASES)
def test_the_people(tensors, case):
    expected = tensors[f"{case}.dst_z"]
    z = seeds_to_z(CASES[case]["dst_seeds"], CASES[case]["z_dim"])
    torch.testing.assert_close(z.to(expected.dtype), expected, rtol=0, atol=1e-6)
