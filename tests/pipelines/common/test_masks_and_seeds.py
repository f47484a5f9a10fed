"""Masks and seeds: the shapes they take, the answers to bad ones, and noise that batches do not change."""

import pytest
import torch
from comfyui_figura.pipelines.common.errors import FiguraInputError, FiguraMissingPackage
from comfyui_figura.pipelines.common.masks import check_mask
from comfyui_figura.pipelines.common.seeds import (
    MAX_SEED,
    batch_seeds,
    check_seed,
    generator,
    noise,
    numpy_seed,
)


def test_masks():
    assert check_mask(torch.ones(4, 5)).shape == (1, 4, 5)
    assert check_mask(torch.ones(1, 4, 5), batch=3).shape == (3, 4, 5)
    assert check_mask(torch.tensor([[-1.0, 0.5, 2.0]])).tolist() == [[[0, 0.5, 1]]]
    assert check_mask(torch.ones(2, 4, 5, dtype=torch.bool), batch=2).dtype == torch.float32


@pytest.mark.parametrize("mask, batch", [
    (torch.ones(3), None), (None, None), (torch.ones(0, 4, 4), None), (torch.ones(1, 0, 4), None),
    (torch.ones(2, 4, 4), 3), (torch.full((1, 2, 2), torch.nan), None), (torch.ones(1, 4, 4, 1), None),
])  # fmt: skip
def test_bad_masks(mask, batch):
    with pytest.raises(FiguraInputError, match="hair mask"):
        check_mask(mask, "hair mask", batch)


@pytest.mark.parametrize("seed", [-1, MAX_SEED + 1, 1.0, True, "1", None])
def test_bad_seeds(seed):
    with pytest.raises(FiguraInputError, match="seed"):
        check_seed(seed)


def test_the_whole_range_of_seeds_works():
    assert numpy_seed(MAX_SEED) == 2**32 - 1 and numpy_seed(5) == 5
    draws = [torch.rand(1, generator=generator(seed)).item() for seed in (0, 1, 2**63, MAX_SEED)]
    # torch's CPU generator, like ComfyUI's noise, looks at the lower 32 bits of a seed only
    assert draws[0] == draws[2] and len(set(draws)) == 3


def test_noise_depends_on_its_own_seed_alone():
    batch = noise([4, 2, 2], batch_seeds(7, 3))
    for row, seed in enumerate((7, 8, 9)):
        assert torch.equal(batch[row], noise([4, 2, 2], [seed])[0])
    assert batch_seeds(MAX_SEED, 2) == [MAX_SEED, 0]
    with pytest.raises(FiguraInputError):
        batch_seeds(1, 0)


def test_error_messages_name_everything():
    error = FiguraInputError("reference 2, face", "5 channels", "3 channels", "Convert it.")
    assert str(error) == "reference 2, face: got 5 channels; wanted 3 channels. Convert it."
    assert isinstance(error, ValueError)
    assert "pip install x" in str(FiguraMissingPackage("x", "pose detection", "pip install x"))
