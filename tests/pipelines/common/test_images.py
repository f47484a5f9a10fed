"""Picture layouts: exact conversions, and every malformed picture answered in words."""

import numpy as np
import pytest
import torch
from comfyui_figura.pipelines.common.errors import FiguraInputError
from comfyui_figura.pipelines.common.images import (
    check_image,
    read_image,
    to_image,
    to_pixels,
    to_uint8,
    write_png,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image


def test_layouts_are_inverse():
    image = torch.rand(2, 5, 7, 3)
    pixels = to_pixels(image)
    assert pixels.shape == (2, 3, 5, 7) and pixels.min() >= -1 and pixels.max() <= 1
    assert torch.allclose(to_image(pixels), image, atol=1e-6)  # one rounding each way
    assert to_image(pixels).is_contiguous()


def test_uint8_truncates_as_stylegan_does():
    values = torch.tensor([-2.0, -1.0, -0.5, 0.0, 0.999, 1.0, 2.0]).reshape(1, 1, 1, 7)
    assert to_uint8(values).reshape(-1).tolist() == [0, 0, 64, 128, 255, 255, 255]


def test_grey_alpha_and_integers():
    assert torch.equal(check_image(torch.full((1, 2, 2, 1), 0.5)), torch.full((1, 2, 2, 3), 0.5))
    half = torch.cat([torch.zeros(1, 1, 1, 3), torch.full((1, 1, 1, 1), 0.25)], -1)
    assert check_image(half).unique().item() == 0.75 and check_image(half, background=0).unique().item() == 0
    assert check_image(torch.full((1, 1, 1, 3), 255, dtype=torch.uint8)).unique().item() == 1


def test_clamps_with_one_warning_and_leaves_the_input_alone(caplog):
    image = torch.tensor([-0.5, 0.5, 1.5]).reshape(1, 1, 1, 3)
    assert check_image(image).reshape(-1).tolist() == [0, 0.5, 1]
    assert len(caplog.records) == 1 and image.min() == -0.5


@pytest.mark.parametrize(
    "image, words",
    [
        (torch.rand(2, 2, 3), r"shape \[2, 2, 3\]"), (None, "NoneType"),
        (torch.rand(0, 2, 2, 3), "empty batch"), (torch.rand(1, 0, 2, 3), "empty batch"),
        (torch.rand(1, 2, 2, 2), "2 channels"),
        (torch.rand(1, 2, 2, 5), "5 channels"), (torch.full((1, 2, 2, 3), torch.nan), "12 values"),
        (torch.full((1, 1, 1, 3), torch.inf), "infinite"),
    ],
)  # fmt: skip
def test_malformed_pictures(image, words):
    with pytest.raises(FiguraInputError, match=words) as caught:
        check_image(image, "skeleton")
    assert caught.value.what == "skeleton"


@settings(max_examples=200, deadline=None)
@given(
    shape=st.lists(st.integers(0, 9), min_size=0, max_size=5),
    dtype=st.sampled_from(
        [torch.uint8, torch.float16, torch.float32, torch.float64, torch.bool, torch.int64]
    ),
    fill=st.sampled_from([0, 1, 2, -3, float("nan"), float("inf")]),
)
def test_any_tensor_gives_a_picture_or_the_typed_error(shape, dtype, fill):
    image = torch.zeros(shape, dtype=dtype)
    if dtype.is_floating_point:
        image.fill_(fill)
    try:
        result = check_image(image)
    except FiguraInputError:
        return
    assert result.ndim == 4 and result.shape[-1] == 3 and result.dtype == torch.float32
    assert 0 <= result.min() and result.max() <= 1


def test_reads_what_it_wrote(tmp_path):
    image = torch.randint(0, 256, (6, 4, 3), dtype=torch.uint8)
    write_png(tmp_path / "x.png", image.numpy())
    assert torch.equal((read_image(tmp_path / "x.png", least=4)[0] * 255).round().byte(), image)
    write_png(tmp_path / "y.png", image / 255)
    assert (tmp_path / "x.png").read_bytes() == (tmp_path / "y.png").read_bytes()


def test_exif_turns_and_alpha_lies_on_white(tmp_path):
    picture = Image.fromarray(np.arange(6, dtype=np.uint8).reshape(2, 3) * 40)
    exif = Image.Exif()
    exif[0x0112] = 6  # turn by a quarter
    picture.save(tmp_path / "x.png", exif=exif)
    assert read_image(tmp_path / "x.png", least=2).shape == (1, 3, 2, 3)
    Image.new("RGBA", (2, 2), (0, 0, 0, 0)).save(tmp_path / "y.png")
    assert read_image(tmp_path / "y.png", least=2).min() == 1
    with pytest.raises(FiguraInputError, match="2 x 2 pixels.*at least 8 pixels"):
        read_image(tmp_path / "y.png")


@pytest.mark.parametrize("content", [b"", b"<html>", b"\x89PNG\r\n\x1a\n broken"])
def test_broken_files(content, tmp_path):
    (tmp_path / "x.png").write_bytes(content)
    with pytest.raises(FiguraInputError, match=r"x\.png"):
        read_image(tmp_path / "x.png")
    with pytest.raises(FiguraInputError):
        read_image(tmp_path / "absent.png")
