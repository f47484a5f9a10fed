"""The skeleton's latent, its strength and its part of the steps."""

import pytest
import torch
from comfyui_figura.pipelines.common.errors import FiguraInputError
from comfyui_figura.pipelines.humansd.conditioning import (
    Segment,
    encode_skeleton,
    overlap,
    repeat_rows,
    segments,
    with_added,
)
from hypothesis import given
from hypothesis import strategies as st

unit = st.floats(0, 1)


def test_whole_range_is_one_segment():
    assert segments(0, 1) == [Segment(0, 1, True)]


@given(unit, unit)
def test_segments_cover_all_steps_without_overlap(first, second):
    start, end = sorted((first, second))
    if start == end:
        with pytest.raises(FiguraInputError):
            segments(start, end)
        return
    parts = segments(start, end)
    assert parts[0].start == 0 and parts[-1].end == 1
    assert [part.active for part in parts].count(True) == 1
    for before, after in zip(parts, parts[1:], strict=False):
        assert 0 <= after.start - before.end <= 2e-6


def test_overlap():
    assert overlap(Segment(0.2, 0.8, True), 0.5, 1.0) == Segment(0.5, 0.8, True)
    assert overlap(Segment(0.0, 0.2, False), 0.5, 1.0) is None


def test_empty_is_encoded_only_where_it_is_needed():
    calls = []

    def encode(image):
        calls.append(image)
        return image.movedim(-1, 1)[:, :1].repeat(1, 4, 1, 1)[:, :, ::8, ::8]

    image = torch.rand(2, 64, 64, 3)
    assert encode_skeleton(encode, image, 1.0, True).empty is None
    assert len(calls) == 1
    mixed = encode_skeleton(encode, image, 0.25, True)
    assert len(calls) == 3 and calls[2].shape[0] == 1 and not calls[2].any()
    torch.testing.assert_close(mixed.pose, 0.25 * encode(image))
    assert encode_skeleton(encode, image, 1.0, False).empty is not None


@pytest.mark.parametrize("strength", [-0.1, 2.1, float("nan"), float("inf")])
def test_strength_out_of_range(strength):
    with pytest.raises(FiguraInputError, match="strength"):
        encode_skeleton(lambda image: image, torch.zeros(1, 64, 64, 3), strength, True)


def test_rows():
    latents = torch.arange(2.0).reshape(2, 1, 1, 1)
    assert repeat_rows(latents, 4).flatten().tolist() == [0, 1, 0, 1]
    assert repeat_rows(latents[:1], 3).flatten().tolist() == [0, 0, 0]
    with pytest.raises(FiguraInputError):
        repeat_rows(latents, 3)


def test_added_words():
    assert with_added("a man", "best quality") == "a man, best quality"
    assert with_added("a man ", "") == "a man"
    assert with_added("", "best quality") == "best quality"
