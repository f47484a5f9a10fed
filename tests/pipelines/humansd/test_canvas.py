"""Pictures brought to the canvas."""

import pytest
import torch
from comfyui_figura.pipelines.common.errors import FiguraInputError
from comfyui_figura.pipelines.humansd.canvas import check_size, nearest_size, on_canvas, resize


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        ((512, 512), (512, 512)),
        ((500, 333), (512, 320)),
        ((1, 1), (64, 64)),
        ((96, 160), (128, 128)),
        ((97, 159), (128, 128)),
    ],
)
def test_nearest(size, expected):
    """Halves go to the even multiple: 96 = 1.5 x 64 becomes 128, 160 = 2.5 x 64 becomes 128."""
    assert nearest_size(*size) == expected


def test_shrinking_averages():
    image = torch.rand(1, 128, 128, 3)
    small = resize(image, 64, 64)
    means = image.reshape(1, 64, 2, 64, 2, 3).mean((2, 4))
    torch.testing.assert_close(small, means, rtol=0, atol=1e-5)


def test_enlarging_keeps_even_colours():
    image = torch.full((2, 32, 32, 3), 0.25)
    torch.testing.assert_close(resize(image, 64, 96), torch.full((2, 64, 96, 3), 0.25), rtol=0, atol=1e-5)


def test_same_size_is_untouched():
    image = torch.rand(1, 64, 64, 3)
    assert torch.equal(on_canvas(image), image)


def test_planes_lie_together():
    assert on_canvas(torch.rand(2, 64, 128, 3)).movedim(-1, 1).is_contiguous()


@pytest.mark.parametrize("sides", [(0, 64), (65, 64), (64, 100), (64, 8192), (-64, 64)])
def test_sides_that_cannot_be(sides):
    with pytest.raises(FiguraInputError):
        check_size(*sides)
    assert check_size(64, 4096) == (64, 4096)
