"""HumanSD Apply Skeleton: what it puts on both prompts."""

import copy

import pytest
import torch
from comfyui_figura.nodes.humansd.bridge import SKELETON
from comfyui_figura.pipelines.common.errors import FiguraInputError


def encoded(loaded, image):
    """Latents of a picture whose colour planes lie in one piece; ComfyUI's VAE is exact for those."""
    return loaded[2].encode(image.movedim(-1, 1).contiguous().movedim(1, -1))


def test_both_prompts_get_the_skeleton(apply, prompts, loaded, skeleton):
    positive, negative, latent = apply()
    for given, back in zip(prompts, (positive, negative), strict=True):
        assert len(back) == 1
        assert torch.equal(back[0][0], given[0][0])
        assert torch.equal(back[0][1][SKELETON], encoded(loaded, skeleton))
        assert SKELETON not in given[0][1], "the input was changed"
        assert "start_percent" not in back[0][1]
    assert latent["samples"].shape == (1, 4, 24, 16)
    assert not latent["samples"].any()


def test_batch_of_skeletons_and_pictures(apply, skeleton):
    three = torch.cat([skeleton, skeleton.flip(2), torch.zeros_like(skeleton)])
    positive, _, latent = apply(three, batch_size=2)
    assert positive[0][1][SKELETON].shape[0] == 3
    assert latent["samples"].shape[0] == 6


def test_strength_mixes_with_the_empty_skeleton(apply, loaded, skeleton):
    full, empty = encoded(loaded, skeleton), encoded(loaded, torch.zeros_like(skeleton))
    for strength in (0.0, 0.25, 1.0, 1.5):
        latents = apply(strength=strength)[0][0][1][SKELETON]
        torch.testing.assert_close(latents, empty + strength * (full - empty), rtol=0, atol=1e-6)


def test_start_and_end_leave_an_empty_skeleton_outside(apply, loaded, skeleton):
    full, empty = encoded(loaded, skeleton), encoded(loaded, torch.zeros_like(skeleton))
    positive, negative, _ = apply(start_percent=0.25, end_percent=0.75)
    for entries in (positive, negative):
        ranges = [(entry[1]["start_percent"], entry[1]["end_percent"]) for entry in entries]
        flat = [edge for part in ranges for edge in part]
        assert flat == pytest.approx([0, 0.25, 0.25, 0.75, 0.75, 1], abs=1e-5)
        assert ranges[0][1] < ranges[1][0] and ranges[1][1] < ranges[2][0], "no step in two ranges"
        shown = [entry[1][SKELETON] for entry in entries]
        assert [torch.equal(one, full) for one in shown] == [False, True, False]
        assert [torch.equal(one, empty) for one in shown] == [True, False, True]


def test_ranges_set_before_are_kept(apply, prompts):
    early = [[prompts[0][0][0], {**prompts[0][0][1], "start_percent": 0.0, "end_percent": 0.4}]]
    entries, _, _ = apply(positive=early, end_percent=0.5)
    assert [(entry[1]["start_percent"], entry[1]["end_percent"]) for entry in entries] == [(0.0, 0.4)]


def test_regions_keep_their_area(apply, prompts):
    text = prompts[0][0][0]
    two = [[text, {"area": (12, 16, 0, 0), "strength": 0.8}], [text, {"area": (12, 16, 12, 0)}]]
    entries, _, _ = apply(positive=two)
    assert [entry[1]["area"] for entry in entries] == [(12, 16, 0, 0), (12, 16, 12, 0)]
    assert entries[0][1]["strength"] == 0.8
    assert all(SKELETON in entry[1] for entry in entries)


@pytest.mark.parametrize(
    ("size", "canvas"), [((100, 70), (2, 1)), ((192, 130), (3, 2)), ((1, 1), (1, 1)), ((512, 760), (8, 12))]
)
def test_sides_become_multiples_of_64(apply, size, canvas):
    positive, _, latent = apply(torch.rand(1, *size, 3))
    assert latent["samples"].shape[2:] == tuple(8 * side for side in canvas)
    assert positive[0][1][SKELETON].shape == latent["samples"].shape


def test_transparent_and_grey_pictures(apply, skeleton, loaded):
    cut_out = torch.cat([skeleton, (skeleton.sum(-1, keepdim=True) > 0).float()], -1)
    assert torch.equal(apply(cut_out)[0][0][1][SKELETON], encoded(loaded, skeleton))
    clear = torch.cat([torch.ones_like(skeleton), torch.zeros_like(skeleton[..., :1])], -1)
    black = encoded(loaded, torch.zeros_like(skeleton))
    assert torch.equal(apply(clear)[0][0][1][SKELETON], black), "a clear ground is black, as in training"
    grey = skeleton[..., :1]
    assert torch.equal(apply(grey)[0][0][1][SKELETON], encoded(loaded, grey.expand(-1, -1, -1, 3)))


def test_other_types_and_ranges(apply, skeleton, loaded):
    same = encoded(loaded, skeleton)
    assert torch.equal(apply(skeleton.double())[0][0][1][SKELETON], same)
    strided = (
        skeleton.transpose(1, 2).contiguous().transpose(1, 2)
    )  # other convolutions: they round otherwise
    torch.testing.assert_close(apply(strided)[0][0][1][SKELETON], same, rtol=0, atol=2e-3)
    assert torch.equal(apply(skeleton * 2)[0][0][1][SKELETON], encoded(loaded, (skeleton * 2).clamp(0, 1)))


def test_latents_are_exact(apply, loaded, skeleton):
    """Even ground and interleaved colours make torch's group norm on the CPU wrong by 1 %; we are not."""
    network = copy.deepcopy(loaded[2].first_stage_model).double()
    exact = network.encode((skeleton * 2 - 1).movedim(-1, 1).double())
    ours = apply()[0][0][1][SKELETON]
    assert (ours - exact).abs().max() < 1e-4


NAN = torch.full((1, 64, 64, 3), float("nan"))
BAD = {
    "NaN": {"image": NAN},
    "no picture": {"image": torch.zeros(0, 64, 64, 3)},
    "no pixels": {"image": torch.zeros(1, 0, 64, 3)},
    "two channels": {"image": torch.zeros(1, 64, 64, 2)},
    "not a picture": {"image": torch.zeros(64, 64, 3)},
    "a giant": {"image": torch.zeros(1, 64, 8192, 3)},
    "negative strength": {"strength": -0.1},
    "strength above 2": {"strength": 3.0},
    "start after end": {"start_percent": 0.6, "end_percent": 0.4},
    "nothing between": {"start_percent": 0.5, "end_percent": 0.5},
    "end above 1": {"end_percent": 1.5},
    "empty positive": {"positive": []},
    "empty negative": {"negative": []},
    "no pictures asked for": {"batch_size": 0},
    "no VAE": {"vae": None},
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input(apply, case):
    with pytest.raises(FiguraInputError) as caught:
        apply(**BAD[case])
    assert caught.value.what and caught.value.got and caught.value.wanted
