"""Augmentation where the golden fixtures do not reach: gradients, rates, other shapes."""

import pytest
import torch
import torch.nn.functional as F
from comfyui_figura.pipelines.common.errors import FiguraInputError
from comfyui_figura.pipelines.stylegan_human.training.augmentation.control import AugmentControl
from comfyui_figura.pipelines.stylegan_human.training.augmentation.pipe import PIPES, AugmentPipe
from comfyui_figura.pipelines.stylegan_human.training.augmentation.resampling import sample
from comfyui_figura.pipelines.stylegan_human.training.losses import r1_penalty


def pipe(steps, p=1.0, seed=0):
    made = AugmentPipe(steps, p)
    made.generator = torch.Generator().manual_seed(seed)
    return made


def test_sampling_and_its_two_derivatives():
    """Against torch's own grid_sample, and numerically where torch has none."""
    source = torch.Generator().manual_seed(0)
    pixels = torch.randn(2, 3, 5, 4, generator=source, dtype=torch.float64, requires_grad=True)
    grid = torch.rand(2, 6, 3, 2, generator=source, dtype=torch.float64) * 2.4 - 1.2
    wanted = F.grid_sample(pixels, grid, align_corners=False)
    torch.testing.assert_close(sample(pixels, grid), wanted)
    weights = torch.randn(wanted.shape, generator=source, dtype=torch.float64)
    (ours,) = torch.autograd.grad((sample(pixels, grid) * weights).sum(), pixels)
    (theirs,) = torch.autograd.grad((wanted * weights).sum(), pixels)
    torch.testing.assert_close(ours, theirs)
    assert torch.autograd.gradgradcheck(lambda x: sample(x, grid).square(), (pixels,))


def test_r1_through_every_augmentation_can_be_differentiated():
    pixels = torch.rand(4, 3, 32, 16, requires_grad=True)
    head = torch.nn.Conv2d(3, 1, 3)
    logits = head(pipe("bgcfnc")(pixels)).square().mean(dim=(1, 2, 3))
    r1_penalty(logits, pixels).mean().backward()
    assert head.weight.grad is not None and head.weight.grad.abs().sum() > 0


@pytest.mark.parametrize("steps", list(PIPES))
@pytest.mark.parametrize("size", [(64, 32), (32, 32), (8, 4)])
def test_any_shape_keeps_its_shape(steps, size):
    pixels = torch.rand(3, 3, *size) * 2 - 1
    augmented = pipe(steps)(pixels)
    assert augmented.shape == pixels.shape and augmented.isfinite().all()
    assert not torch.allclose(augmented, pixels, atol=1e-2)


def test_share_of_pictures_that_change():
    """p is the probability per picture; 400 pictures, so that 0.3 comes out within 0.1."""
    pixels = torch.rand(400, 3, 8, 4)
    changed = (pipe("noise", 0.3)(pixels) - pixels).abs().amax(dim=(1, 2, 3)) > 1e-6
    assert changed.float().mean().item() == pytest.approx(0.3, abs=0.1)


def test_same_generator_same_pictures():
    pixels = torch.rand(4, 3, 16, 8)
    assert torch.equal(pipe("bgc", 0.6, 3)(pixels), pipe("bgc", 0.6, 3)(pixels))
    assert not torch.equal(pipe("bgc", 0.6, 3)(pixels), pipe("bgc", 0.6, 4)(pixels))


@pytest.mark.parametrize("steps", ["bgx", (), ("xflip", "blur")])
def test_unknown_augmentations(steps):
    with pytest.raises(FiguraInputError, match="--augpipe"):
        AugmentPipe(steps)


def test_strength_has_a_floor_and_no_verdict_leaves_it():
    control = AugmentControl(0.6, kimg=0.1, p=0.05)
    control.adjust(4)
    assert control.p == 0.05
    control.report(torch.full((4,), -1.0))
    control.adjust(4)
    assert control.p == 0 and control.count == 0


def test_fixed_strength_never_moves():
    control = AugmentControl(None, p=0.2)
    control.report(torch.ones(4))
    assert not control.due(4)
    control.adjust(4)
    assert control.p == 0.2
