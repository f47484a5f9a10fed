"""The smallest picture: the rule agrees with what torch refuses, level by level."""

import pytest
import torch
from comfyui_figura.pipelines.common.errors import FiguraInputError
from comfyui_figura.pipelines.common.least_size import Levels, check_least, levels_of
from diffusers import AutoencoderKL, UNet2DConditionModel


def unet(widths, groups=8):
    return UNet2DConditionModel(
        block_out_channels=widths, norm_num_groups=groups, layers_per_block=1, attention_head_dim=8,
        cross_attention_dim=8, down_block_types=["DownBlock2D"] * len(widths),
        up_block_types=["UpBlock2D"] * len(widths),
    )  # fmt: skip


def autoencoder(widths, groups=8):
    levels = len(widths)
    return AutoencoderKL(
        block_out_channels=widths, norm_num_groups=groups, down_block_types=["DownEncoderBlock2D"] * levels,
        up_block_types=["UpDecoderBlock2D"] * levels,
    )  # fmt: skip


def runs(call):
    try:
        with torch.no_grad():
            call()
        return True
    except ValueError:
        return False


def accepted(width, height, levels):
    try:
        check_least(width, height, [levels], multiple=1)
        return True
    except FiguraInputError:
        return False


@pytest.mark.parametrize("widths", [(8, 8, 8), (8, 8, 16), (8, 16, 16), (16, 8, 16), (16, 16, 16)])
def test_the_rule_is_what_torch_does(widths):
    """One picture alone: batches of several would pass at a smaller size, but a picture must not depend on
    its batch."""
    network, vae = unet(widths), autoencoder(widths)
    for height, width in ((1, 1), (2, 1), (2, 2), (3, 2), (4, 4), (5, 1), (5, 4), (8, 8)):
        latents, words = torch.zeros(1, 4, height, width), torch.zeros(1, 3, 8)
        drawn = runs(lambda latents=latents, words=words: network(latents, 0, words))
        assert drawn == accepted(8 * width, 8 * height, levels_of(network, 8)), (height, width)
        if height % 4 == width % 4 == 0:  # the autoencoder takes multiples of its own factor
            pixels = torch.zeros(1, 3, height, width)
            seen = runs(lambda pixels=pixels: vae.decode(vae.encode(pixels).latent_dist.mode()))
            assert seen == accepted(width, height, levels_of(vae)), (height, width)


def test_the_message_names_size_wish_and_way_out():
    with pytest.raises(
        FiguraInputError, match="64 x 32 pixels.*at least 72 pixels.*raise the width"
    ) as caught:
        check_least(64, 32, [Levels((32, 32, 32, 64), 8), Levels((64, 64))])
    assert caught.value.what == "size"
    with pytest.raises(FiguraInputError, match="at least 128 pixels"):
        check_least(64, 64, [Levels((32, 32, 32, 64), 8)], multiple=64)
    check_least(8, 72, [Levels((32, 32, 32, 64), 8)])


def test_released_networks_take_any_size():
    check_least(1, 1, [Levels((320, 640, 1280, 1280), 8), Levels((128, 256, 512, 512))])
