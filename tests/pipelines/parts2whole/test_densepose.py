"""DensePose pictures told apart: IUV, exchanged channels, coloured maps, skeletons."""

import os
from pathlib import Path

import pytest
import torch
from comfyui_figura.pipelines.common.errors import FiguraInputError
from comfyui_figura.pipelines.common.images import read_image
from comfyui_figura.pipelines.demo.parts2whole import draw_pose
from comfyui_figura.pipelines.parts2whole.densepose import (
    PALETTES,
    check_iuv,
    convert_part_map,
    palette_colours,
    prepare_pose,
    to_iuv,
)

IUV = draw_pose()
INDEX = (IUV[..., 2] * 255).round().long()


def painted(palette, black=False):
    picture = palette_colours(palette)[INDEX] / 255
    if black:
        picture[INDEX == 0] = 0
    return picture


def test_iuv_passes_unchanged():
    assert torch.equal(check_iuv(IUV), IUV)
    assert torch.equal(to_iuv(IUV, convert=True), IUV)


def test_exchanged_channels_are_put_right():
    assert torch.equal(check_iuv(IUV.flip(-1)), IUV)


def test_alpha_is_dropped():
    assert torch.equal(check_iuv(torch.cat([IUV, torch.zeros_like(IUV[..., :1])], -1)), IUV)


@pytest.mark.parametrize("black", [False, True])
@pytest.mark.parametrize("palette", PALETTES)
def test_coloured_maps_are_named_and_converted(palette, black):
    with pytest.raises(FiguraInputError, match=f"painted in {palette}"):
        check_iuv(painted(palette, black))
    found = convert_part_map(painted(palette, black))
    assert torch.equal((found[..., 2] * 255).round().long(), INDEX)
    assert torch.equal(found[..., 0] > 0, INDEX > 0)
    assert torch.equal(check_iuv(found), found)


def test_damaged_map_is_still_recognised():
    """JPEG-like noise of a few grey levels."""
    noisy = (
        painted("viridis") + torch.randn(IUV.shape, generator=torch.Generator().manual_seed(0)) * 1.5 / 255
    )
    found = convert_part_map(noisy.clamp(0, 1))
    assert ((found[..., 2] * 255).round().long() == INDEX).float().mean() > 0.99


@pytest.mark.parametrize(
    "image, message",
    [
        (torch.zeros(1, 32, 32, 3), "all-black"),
        (torch.rand(1, 32, 32, 3, generator=torch.Generator().manual_seed(0)), "above 24"),
        (torch.cat([torch.rand(1, 32, 32, 1), torch.zeros(1, 32, 32, 2)], -1), "without a part"),
        (torch.rand(1, 32, 32, 2), "channels"),
        (torch.full((1, 8, 8, 3), float("nan")), "NaN"),
        (torch.rand(0, 8, 8, 3), "empty batch"),
    ],
)
@pytest.mark.parametrize("convert", [False, True])
def test_other_pictures_are_described(image, message, convert):
    with pytest.raises(FiguraInputError, match=message):
        to_iuv(image, convert)


def test_unknown_palette_is_refused():
    with pytest.raises(FiguraInputError, match="viridis, parula"):
        convert_part_map(torch.rand(1, 32, 32, 3))


def test_prepare_keeps_zero_to_one():
    pose = prepare_pose(IUV.expand(2, -1, -1, -1), 64, 96)
    assert pose.shape == (2, 3, 96, 64) and pose.min() >= 0 and pose.max() <= 1


@pytest.mark.parametrize("name", ["densepose_1.png", "densepose_2.png"])
def test_published_pictures_pass(name):
    folder = os.environ.get("FIGURA_REAL_DATA")
    if not folder:
        pytest.skip("FIGURA_REAL_DATA is not set: no published DensePose pictures")
    image = read_image(Path(folder) / "parts" / name)
    assert torch.equal(check_iuv(image), image)
