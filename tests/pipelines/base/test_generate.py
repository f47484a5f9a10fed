"""Pictures from prompts by a base, and bases packed into a folder that shares its autoencoder."""

import shutil
from dataclasses import replace

import pytest
import torch
from comfyui_figura.pipelines.base import generate
from comfyui_figura.pipelines.base.configs import GenerateConfig, PackConfig, ScoreConfig
from comfyui_figura.pipelines.base.pack import write_packed
from comfyui_figura.pipelines.base.score import scored
from comfyui_figura.pipelines.common import base_model
from comfyui_figura.pipelines.common.errors import FiguraInputError, FiguraWeightsError
from comfyui_figura.pipelines.common.images import read_image

PROMPTS = ["a man in a red shirt", "a woman in blue jeans"]


@pytest.fixture
def config(bases, tmp_path):
    return GenerateConfig(PROMPTS, bases["sd21"], tmp_path / "out", (64, 32), steps=2, images=2)


def test_a_picture_is_that_of_its_seed_alone(config, tmp_path):
    together = list(generate.run(config))
    assert [path.name[:4] for path in together] == ["0000", "0001", "0002", "0003"]
    alone = replace(config, prompts=PROMPTS[1:], images=1, seed=config.seed + 3, outdir=tmp_path / "alone")
    (path,) = generate.run(alone)
    assert path.read_bytes() != together[2].read_bytes()  # the same prompt, another seed
    assert (read_image(path) == read_image(together[3])).all()


def test_processes_share_the_prompts(config, tmp_path, monkeypatch):
    monkeypatch.setattr(generate, "BATCH", 2)
    whole = {path.name: path.read_bytes() for path in generate.run(config)}
    monkeypatch.setenv("WORLD_SIZE", "2")
    shared = {}
    for rank in ("0", "1"):
        monkeypatch.setenv("RANK", rank)
        own = list(generate.run(replace(config, outdir=tmp_path / rank)))
        assert len(own) == 2
        shared |= {path.name: path.read_bytes() for path in own}
    assert shared == whole


def test_enlarged_pixels_are_squares(config, tmp_path):
    (small,) = generate.run(replace(config, prompts=PROMPTS[:1], images=1))
    (large,) = generate.run(
        replace(config, prompts=PROMPTS[:1], images=1, enlarge=3, outdir=tmp_path / "large")
    )
    assert read_image(large).shape[1:3] == (192, 96)
    assert (read_image(large)[:, 1::3, 1::3] == read_image(small)).all()


@pytest.mark.parametrize(
    "change",
    [{"prompts": []}, {"size": (60, 32)}, {"size": (8, 8)}, {"steps": 0}, {"images": 0},
     {"scale": float("nan")}, {"sampler": "fastest"}, {"device": "abacus"}],
)  # fmt: skip
def test_settings_that_cannot_work(config, change):
    with pytest.raises(FiguraInputError):
        list(generate.run(replace(config, **change)))
    assert not config.outdir.exists()


@pytest.mark.parametrize("family", ["sd15", "sd21"])
def test_a_packed_folder_takes_the_autoencoder_beside_it(family, bases, vae_folder, tmp_path):
    folder = write_packed(PackConfig(bases[family], tmp_path / "packed", half=False, few_words=True))
    assert not (folder / "vae").exists()
    with pytest.raises(FiguraWeightsError, match="vae"):
        base_model.open_base(folder)
    shutil.copytree(vae_folder, tmp_path / "vae")
    whole, small = (base_model.open_base(path, unet=True) for path in (bases[family], folder))
    for part in ("unet", "vae"):
        mine, other = getattr(small, part).state_dict(), getattr(whole, part).state_dict()
        assert all(torch.equal(mine[name], other[name]) for name in other)
    for name, encoder in whole.encoders.items():
        mine = small.encoders[name].state_dict()
        assert all(torch.equal(mine[key], tensor) for key, tensor in encoder.state_dict().items())


def test_halves_are_half_the_size(bases, tmp_path):
    sizes = {
        half: sum(
            path.stat().st_size
            for path in write_packed(
                PackConfig(bases["sd15"], tmp_path / str(half), half, few_words=True)
            ).rglob("*.safetensors")
        )
        for half in (True, False)
    }
    assert 0.45 < sizes[True] / sizes[False] < 0.6


def test_a_folder_needs_few_words(bases, tmp_path):
    with pytest.raises(FiguraInputError, match="--few-words"):
        write_packed(PackConfig(bases["sd15"], tmp_path / "packed"))


def test_held_out_captions_are_drawn_and_read_against_their_own_and_others(people, bases, monkeypatch):
    """A reader that knows the captions it is asked with: the controls must see each other's."""
    asked = []

    def reader(pictures, records):
        asked.append([record.caption for record in records])
        return {"red": float((pictures[..., 0] > pictures[..., 2]).mean())}

    monkeypatch.setattr("comfyui_figura.pipelines.demo.scores.captions", reader)
    config = ScoreConfig(bases["sd15"], [people], count=3, size=(64, 32), steps=1)
    figures = scored(config)
    own, other = asked
    assert len(set(own)) == 3 and other == [*own[1:], own[0]]
    assert figures["pictures"] == 3 and figures["asked"] == figures["chance"]
    assert scored(config)["asked"] == figures["asked"]


@pytest.mark.parametrize("change", [{"data": []}, {"count": 0}, {"count": 1}, {"score": ""}])
def test_scores_that_cannot_be_had(people, bases, change):
    with pytest.raises(FiguraInputError):
        scored(replace(ScoreConfig(bases["sd15"], [people]), **change))
