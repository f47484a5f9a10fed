"""Measures of likeness: the formula of LPIPS, the layouts of weight files, the stand-in, bad files."""

import pytest
import torch
import torch.nn.functional as F
from comfyui_figura.pipelines.common.errors import FiguraWeightsError
from comfyui_figura.pipelines.common.perceptual import PixelsAndGradients, distance
from comfyui_figura.pipelines.common.perceptual_file import ALEX, VGG, load_perceptual

WIDTH = 6


def classifier(network, seed=0):
    """Random weights in torchvision's layout: its names, kernels and classifier part, fewer channels."""
    generator, state, width = torch.Generator().manual_seed(seed), {}, 3
    for number in (number for stage in network.stages for number in stage):
        kernel = 3 if network is VGG else {0: 11, 3: 5}.get(number, 3)
        size = (WIDTH, width, kernel, kernel)
        state[f"features.{number}.weight"] = torch.randn(size, generator=generator) / (kernel * width**0.5)
        state[f"features.{number}.bias"] = torch.randn(WIDTH, generator=generator) * 0.1
        width = WIDTH
    return state | {"classifier.6.weight": torch.zeros(10, 4)}


def linear(count=5, width=WIDTH):
    generator = torch.Generator().manual_seed(9)
    return {f"lin{i}.model.1.weight": torch.rand(1, width, 1, 1, generator=generator) for i in range(count)}


def pictures(height=64, width=32):
    generator = torch.Generator().manual_seed(3)
    return torch.rand(2, 2, 3, height, width, generator=generator) * 2 - 1


def lpips_by_hand(network, state, weights, a, b):
    """Equation 1 of the paper, written out step by step with convolutions from torch.nn.functional."""
    total = 0
    shift, scale = torch.tensor([-0.030, -0.088, -0.188]), torch.tensor([0.458, 0.448, 0.450])
    x, y = ((v - shift[:, None, None]) / scale[:, None, None] for v in (a, b))
    for i, stage in enumerate(network.stages):
        if network.pools[i]:
            x, y = (F.max_pool2d(v, network.pools[i], 2) for v in (x, y))
        for number in stage:
            kernel, bias = state[f"features.{number}.weight"], state[f"features.{number}.bias"]
            stride, padding = network.first if number == 0 else (1, kernel.shape[-1] // 2)
            x, y = (F.conv2d(v, kernel, bias, stride, padding).relu() for v in (x, y))
        unit = [v / (v.square().sum(1, keepdim=True).sqrt() + 1e-10) for v in (x, y)]
        squares = (unit[0] - unit[1]).square() * weights[f"lin{i}.model.1.weight"]
        total = total + squares.sum(1).mean((1, 2))
    return total


def whole(network, state):
    """The names of a whole LPIPS model: slices that keep torchvision's numbers."""
    place = {number: i + 1 for i, stage in enumerate(network.stages) for number in stage}
    convolutions = {
        f"net.slice{place[int(key.split('.')[1])]}.{key.removeprefix('features.')}": tensor
        for key, tensor in state.items()
        if key.startswith("features")
    }
    return convolutions | linear() | {"scaling_layer.shift": torch.zeros(1, 3, 1, 1)}


@pytest.mark.parametrize("network", [ALEX, VGG], ids=["alex", "vgg"])
def test_lpips_is_the_papers_formula_in_every_layout(network, tmp_path):
    state, (a, b) = classifier(network), pictures()
    torch.save(state, tmp_path / "net.pth")
    torch.save(linear(), tmp_path / "lin.pth")
    torch.save(whole(network, state), tmp_path / "whole.pth")
    expected = lpips_by_hand(network, state, linear(), a, b)
    for files in (["net.pth", "lin.pth"], ["lin.pth", "net.pth"], ["whole.pth"]):
        measure = load_perceptual(*[tmp_path / file for file in files])
        assert measure.is_lpips and measure.title == f"LPIPS ({network.name})"
        assert torch.allclose(measure(a, b), expected, rtol=1e-5)  # float32 sums in another order
        assert torch.equal(measure(a, a), torch.zeros(2))


def test_a_classifier_alone_weighs_all_channels_alike_and_is_not_called_lpips(tmp_path):
    torch.save(classifier(VGG), tmp_path / "vgg16.pth")
    measure = load_perceptual(tmp_path / "vgg16.pth")
    assert not measure.is_lpips and "LPIPS" not in measure.title
    ones = {key: torch.ones_like(tensor) for key, tensor in linear().items()}
    a, b = pictures()
    assert torch.allclose(measure(a, b), lpips_by_hand(VGG, classifier(VGG), ones, a, b), rtol=1e-5)


@pytest.mark.parametrize("network", [ALEX, VGG], ids=["alex", "vgg"])
def test_gradients_reach_the_picture_and_no_weight(network, tmp_path):
    torch.save(classifier(network), tmp_path / "net.pth")
    measure = load_perceptual(tmp_path / "net.pth")
    assert not any(parameter.requires_grad for parameter in measure.parameters())
    a, b = pictures(8, 4)  # smaller than the networks can take: enlarged
    a.requires_grad_()
    measure(a, b).sum().backward()
    assert torch.isfinite(a.grad).all() and a.grad.abs().max() > 0
    black = torch.full((1, 3, 64, 32), -1.0, requires_grad=True)
    measure(black, black.detach() + 0.1).sum().backward()
    assert torch.isfinite(black.grad).all()


def test_the_stand_in(tmp_path):
    """Zero for equal pictures, more for larger and for coarser differences, one gradient for every pixel."""
    measure, (a, _) = PixelsAndGradients(), pictures()
    assert torch.equal(measure(a, a), torch.zeros(2)) and not measure.is_lpips
    noise = torch.randn(a.shape, generator=torch.Generator().manual_seed(1)) * 0.1
    assert (measure(a, a + noise) < measure(a, a + 2 * noise)).all()
    assert torch.allclose(measure(a, a + 0.1), torch.full((2,), 0.01), rtol=1e-4), "a shift is all pixels"
    vector = measure.features(a)
    assert torch.allclose(distance(vector, measure.features(a + noise)), measure(a, a + noise))
    pixels = a.clone().requires_grad_()
    measure(pixels, a + noise).sum().backward()
    assert (pixels.grad != 0).all()
    assert torch.isfinite(measure(a[:, :, :1, :1], a[:, :, :1, :1] + 1)).all(), "one pixel has no gradients"


def test_wrong_files(tmp_path):
    torch.save(linear(), tmp_path / "lin.pth")
    torch.save(classifier(ALEX), tmp_path / "alex.pth")
    torch.save(linear(width=4), tmp_path / "other.pth")
    torch.save({"synthesis.b4.const": torch.zeros(4, 4, 2)}, tmp_path / "gan.pth")
    broken = classifier(VGG)
    del broken["features.14.bias"]
    torch.save(broken, tmp_path / "broken.pth")
    (tmp_path / "page.pth").write_text("<html>quota</html>")
    torch.jit.script(torch.nn.Conv2d(3, 4, 3)).save(tmp_path / "vgg16.pt")
    cases = {
        ("lin.pth",): "without the network", ("alex.pth", "other.pth"): "for \\[4, 4, 4, 4, 4\\] channels",
        ("gan.pth",): "StyleGAN2", ("broken.pth",): "features.14", ("page.pth",): "web page",
        ("none.pth",): "no such file", ("vgg16.pt",): "torchvision's vgg16 with LPIPS",
    }  # fmt: skip
    for files, words in cases.items():
        with pytest.raises(FiguraWeightsError, match=words):
            load_perceptual(*[tmp_path / file for file in files])
