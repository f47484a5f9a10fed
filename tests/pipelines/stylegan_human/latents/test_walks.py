"""Ways between people: where they begin and end, what lies between, and what is refused."""

import pytest
import torch
from comfyui_figura.pipelines.common.errors import FiguraInputError
from comfyui_figura.pipelines.stylegan_human.generate import sample_ws
from comfyui_figura.pipelines.stylegan_human.latents.latents import seeds_to_z
from comfyui_figura.pipelines.stylegan_human.latents.walks import (
    corner_grid,
    frame_count,
    path_of_seeds,
    path_of_ws,
    random_walk,
    smooth_z,
)


def test_the_released_interpolation(generator):
    """From the second seed towards the first; rounding apart, the mapping of the mixed z."""
    ws = path_of_seeds(generator, [4, 3], 4, 0.8)
    z = seeds_to_z([3, 4], 32).float()
    assert len(ws) == 5
    assert torch.equal(ws[:1], sample_ws(generator, [4], 0.8))
    expected = generator.mapping(0.75 * z[:1] + 0.25 * z[1:], None, 0.8)
    torch.testing.assert_close(ws[3:4], expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("space", ["z", "w", "w+"])
@pytest.mark.parametrize("mode", ["linear", "spherical"])
def test_every_space_joins_the_same_people(generator, space, mode):
    ws = path_of_seeds(generator, [1, 2, 3], 4, 0.7, mode, space)
    ends = sample_ws(generator, [1, 2, 3], 0.7)
    torch.testing.assert_close(ws[[0, 4, 8]], ends, rtol=0, atol=1e-5)
    assert torch.isfinite(ws).all()
    assert len(path_of_seeds(generator, [1, 2, 3], 4, 0.7, mode, space, loop=True)) == 12


def test_straight_lines_in_w_and_w_plus_agree_and_differ_from_z(generator):
    """Truncation is affine, so it commutes with a straight line; the mapping network is not."""
    paths = {space: path_of_seeds(generator, [1, 2], 4, 0.7, "linear", space) for space in ("z", "w", "w+")}
    torch.testing.assert_close(paths["w"], paths["w+"], rtol=0, atol=1e-5)
    assert not torch.allclose(paths["z"][2], paths["w"][2], atol=1e-3)
    arc = path_of_seeds(generator, [1, 2], 4, 0.7, "spherical", "w")
    assert not torch.allclose(arc[2], paths["w"][2], atol=1e-4)


def test_walks_through_latents(generator):
    ws = sample_ws(generator, [1, 2, 3])
    open_walk, loop = path_of_ws(ws, 4), path_of_ws(ws, 4, loop=True)
    assert len(open_walk) == 2 * 4 + 1 and len(loop) == 3 * 4
    assert torch.allclose(open_walk[4], ws[1]) and torch.equal(open_walk[-1], ws[2])


def test_a_random_walk_is_smooth_and_closed():
    """Neighbours, the last and the first too, lie far nearer than people apart; the scale is one."""
    z = smooth_z(7, 40, 16, 5)
    steps = (z - z.roll(1, 0)).norm(dim=1)
    assert steps.max() < 0.4 * (z[0] - z[20]).norm()
    assert z.square().mean().item() == pytest.approx(1, abs=1e-5)
    assert torch.equal(z, smooth_z(7, 40, 16, 5)) and not torch.equal(z, smooth_z(8, 40, 16, 5))


def test_random_walk_latents(generator):
    ws = random_walk(generator, 3, 6, 2.0, 0.5)
    assert ws.shape == (6, generator.config.num_ws, 32)
    cut = generator.mapping.truncation_cutoff  # v1 leaves later rows as they are
    average = random_walk(generator, 3, 6, 2.0, 0.0)[:, :cut]
    assert torch.allclose(average, generator.mapping.w_avg.expand_as(average))


@pytest.mark.parametrize("mode", ["linear", "spherical"])
def test_corner_grid(generator, mode):
    corners = sample_ws(generator, [1, 2, 3, 4])
    grid = corner_grid(corners, 3, 5, mode).unflatten(0, (3, 5))
    for place, corner in zip([(0, 0), (0, 4), (2, 0), (2, 4)], corners, strict=True):
        torch.testing.assert_close(grid[place], corner, rtol=0, atol=1e-5)
    if mode == "linear":
        torch.testing.assert_close(grid[1, 2], corners.mean(dim=0), rtol=0, atol=1e-5)
    pair = corner_grid(corners[:2], 2, 3, mode).unflatten(0, (2, 3))
    torch.testing.assert_close(pair[0], pair[1])
    torch.testing.assert_close(pair[0, 2], corners[1], rtol=0, atol=1e-5)


def test_frames_are_rounded():
    assert [frame_count(*film) for film in ((2.0, 5), (1.26, 10), (0.001, 10))] == [10, 13, 1]


NAN = float("nan")
BAD = {
    "one stop": lambda g: path_of_seeds(g, [1], 4),
    "no steps": lambda g: path_of_seeds(g, [1, 2], 0),
    "too many frames": lambda g: path_of_seeds(g, [1, 2], 10**6),
    "unknown space": lambda g: path_of_seeds(g, [1, 2], 4, space="x"),
    "unknown mode": lambda g: path_of_seeds(g, [1, 2], 4, mode="curly"),
    "psi NaN": lambda g: path_of_seeds(g, [1, 2], 4, psi=NAN),
    "loop of one": lambda g: path_of_ws(sample_ws(g, [1]), 4, loop=True),
    "no frames": lambda g: random_walk(g, 1, 0, 2.0),
    "smoothness NaN": lambda g: random_walk(g, 1, 4, NAN),
    "three corners": lambda g: corner_grid(sample_ws(g, [1, 2, 3]), 2, 2),
    "one column": lambda g: corner_grid(sample_ws(g, [1, 2]), 2, 1),
    "film of no length": lambda g: frame_count(0, 10),
    "film of NaN": lambda g: frame_count(NAN, 10),
}


@pytest.mark.parametrize("case", BAD)
def test_refused(generator, case):
    with pytest.raises(FiguraInputError):
        BAD[case](generator)
