"""Reference parts: labels, masks, fits, and every kind of bad input."""

import pytest
import torch
from comfyui_figura.pipelines.common.errors import FiguraInputError
from comfyui_figura.pipelines.parts2whole.parts import (
    LABELS,
    check_label,
    check_parts,
    check_size,
    level_mask,
    make_part,
    prepare,
)


def picture(height=40, width=30, channels=3):
    return torch.rand(1, height, width, channels, generator=torch.Generator().manual_seed(1))


def box(height=40, width=30):
    mask = torch.zeros(1, height, width)
    mask[:, 10:30, 5:20] = 1
    return mask


def test_folder_names_are_labels():
    assert check_label("hair_headwear") == check_label("hair_and_headwear") == "hair or headwear"
    assert check_label("upper_body_clothes") == "upper body clothes"
    with pytest.raises(FiguraInputError, match="shoes"):
        check_label("gloves")


def test_prepare_stretches_as_published():
    ready = prepare(make_part(picture(), "face", box()), 64, 96)
    assert ready.pixels.shape == (1, 3, 96, 64) and ready.mask.shape == (1, 1, 96, 64)
    assert ready.pixels.min() >= -1 and ready.pixels.max() <= 1
    inside = ready.mask[0, 0, 30:66, 14:38]
    assert inside.min() == 1 and ready.mask[0, 0, :18].max() == 0
    assert 0 < ready.mask.unique().numel() - 2  # soft edges are kept


@pytest.mark.parametrize("fit, top, middle", [("stretch", 1.0, 1.0), ("pad", 0.0, 1.0), ("crop", 1.0, 1.0)])
def test_fit(fit, top, middle):
    """A wide picture in a tall output: pad leaves bands that no mask covers; the picture there is white."""
    part = make_part(torch.zeros(1, 30, 60, 3), "shoes", torch.ones(1, 15, 30), fit=fit)
    ready = prepare(part, 64, 128)
    assert ready.mask[0, 0, 2, 32] == top and ready.mask[0, 0, 64, 32] == middle
    assert ready.pixels[0, 0, 2, 32] == (1 if fit == "pad" else -1)


def test_alpha_is_composited_on_white_and_becomes_the_mask():
    image = torch.zeros(1, 16, 16, 4)
    image[:, :8, :, 3] = 1
    ready = prepare(make_part(image, "face"), 64, 64)
    assert ready.pixels[0, :, 0].max() == -1 and ready.pixels[0, :, -1].min() == 1
    assert ready.mask[0, 0, 0].min() == 1 and ready.mask[0, 0, -1].max() == 0
    assert (
        ready.original.shape == (1, 16, 16, 3) and ready.original.max() == 0
    )  # what CLIP sees: alpha dropped


def test_given_mask_wins_over_alpha():
    image = torch.ones(1, 16, 16, 4)
    mask = torch.zeros(1, 16, 16)
    mask[:, 8:] = 1
    assert prepare(make_part(image, "face", mask), 64, 64).mask[0, 0, 0].max() == 0


def test_inputs_are_not_written_to():
    image, mask = picture(channels=4), box()
    before = image.clone(), mask.clone()
    prepare(make_part(image, "face", mask), 64, 64)
    assert torch.equal(image, before[0]) and torch.equal(mask, before[1])


def test_level_mask_dilates_and_keeps_soft_values():
    mask = torch.zeros(1, 1, 128, 96)
    mask[..., 64:72, 48:56] = 0.25
    level = level_mask(mask, 16 * 12).view(16, 12)
    assert level.max() == 0.25 and (level > 0).sum() == 9
    assert level_mask(torch.ones(1, 1, 680, 512), 85 * 64).min() == 1
    assert level_mask(torch.ones(1, 1, 680, 512), 11 * 8).numel() == 88
    with pytest.raises(FiguraInputError):
        level_mask(mask, 100)


BAD_IMAGES = {
    "no batch": torch.rand(8, 8, 3),
    "empty batch": torch.rand(0, 8, 8, 3),
    "no pixels": torch.rand(1, 0, 8, 3),
    "two channels": torch.rand(1, 8, 8, 2),
    "nan": torch.full((1, 8, 8, 3), float("nan")),
    "inf": torch.full((1, 8, 8, 3), float("inf")),
    "several": torch.rand(2, 8, 8, 3),
    "not a tensor": "picture",
}
BAD_MASKS = {
    "empty": (torch.zeros(1, 8, 8), "reference 2, face: the mask is empty"),
    "two": (torch.ones(2, 8, 8), "2 masks"),
    "nan": (torch.full((1, 8, 8), float("nan")), "NaN"),
    "no pixels": (torch.ones(1, 0, 8), "mask"),
    "four axes": (torch.ones(1, 1, 8, 8), "shape"),
}


@pytest.mark.parametrize("kind", BAD_IMAGES)
def test_bad_pictures_are_named(kind):
    with pytest.raises(FiguraInputError, match="reference 2, face"):
        make_part(BAD_IMAGES[kind], "face", index=2)


@pytest.mark.parametrize("kind", BAD_MASKS)
def test_bad_masks_are_named(kind):
    mask, message = BAD_MASKS[kind]
    with pytest.raises(FiguraInputError, match=message):
        make_part(picture(), "face", mask, index=2)


@pytest.mark.parametrize(
    "options", [{"label": "arm"}, {"weight": -1.0}, {"weight": float("nan")}, {"fit": "zoom"}]
)
def test_bad_settings_are_named(options):
    with pytest.raises(FiguraInputError, match="reference 3"):
        make_part(picture(), **({"label": "face", "index": 3} | options))


@pytest.mark.parametrize("image", [picture(channels=1), (picture() * 255).to(torch.uint8), picture().half(),
                                   picture().double(), picture() * 1.5, picture(1, 1)])  # fmt: skip
def test_odd_pictures_are_accepted(image):
    ready = prepare(make_part(image, "face"), 64, 64)
    assert torch.isfinite(ready.pixels).all() and ready.pixels.abs().max() <= 1


def test_transparent_picture_is_an_empty_mask():
    with pytest.raises(FiguraInputError, match="the mask is empty"):
        make_part(torch.zeros(1, 8, 8, 4), "face")


def test_one_to_six():
    part = make_part(picture(), LABELS[0])
    assert len(check_parts([part] * 6)) == 6
    for count in (0, 7):
        with pytest.raises(FiguraInputError, match=f"references: got {count}"):
            check_parts([part] * count)


@pytest.mark.parametrize("width, height", [(60, 64), (64, 65), (0, 64), (64, 8192), (-64, 64)])
def test_bad_sizes(width, height):
    with pytest.raises(FiguraInputError, match="multiple of 8"):
        check_size(width, height)
