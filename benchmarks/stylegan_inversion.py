"""A step of the search and a step of the tuning, at full size, against the reference's networks.

``FIGURA_REFERENCE`` as in ``benchmarks.stylegan_human``. Both sides take the same step: the same weights,
Adam, losses and measure; the other side draws with the reference's generator and its CPU operations. Two
measures: ``cheap`` (pixels and gradients), where the generator is nearly all of the step, and ``lpips``, with
random weights of the published networks' sizes: VGG16 at 256x256 in the search, AlexNet at full size in the
tuning. Records that are not measured anew stay as they were. ``python -m benchmarks.stylegan_inversion peak
<ours|reference> <search|tune> <model>`` prints one peak, in MiB; ``… curves <picture>`` plots
the inversion of tiny generators' own pictures.
"""

import json
import os
import resource
import subprocess
import sys
import warnings
from collections.abc import Callable

import torch
from torch import Tensor

from pipelines.common.perceptual import DeepFeatures, Perceptual, PixelsAndGradients, Stage, distance
from pipelines.common.perceptual_file import ALEX, VGG, Network
from pipelines.common.seeds import generator as seeded
from pipelines.demo.stylegan_human import random_generator
from pipelines.stylegan_human.configs import tiny
from pipelines.stylegan_human.generate import sample_ws, synthesize
from pipelines.stylegan_human.inversion.project import (
    Projector,
    noise_correlation,
    normalize_,
    shrunk,
    w_statistics,
)
from pipelines.stylegan_human.inversion.run import run as watch
from pipelines.stylegan_human.inversion.settings import ProjectSettings, TuneSettings
from pipelines.stylegan_human.inversion.target import psnr
from pipelines.stylegan_human.inversion.tune import Tuner
from pipelines.stylegan_human.networks.generator import Generator, build

from .measure import RESULTS, Record, compare, record
from .stylegan_human import MODELS, REFERENCE, _reference

RUNS = [
    ("v2_512x256", "search", "cheap", 3), ("v2_512x256", "tune", "cheap", 3),
    ("v2_512x256", "search", "lpips", 3), ("v2_512x256", "tune", "lpips", 3),
    ("v2_1024x512", "search", "cheap", 3), ("v2_1024x512", "tune", "cheap", 3),
    ("v3t_512x256", "search", "cheap", 1), ("v3t_512x256", "tune", "cheap", 1),
]  # fmt: skip
PEAKS = [(model, work) for model in ("v2_512x256", "v2_1024x512") for work in ("search", "tune")]
OTHER = "reference, CPU ref ops"
SEARCH = ProjectSettings.published(samples=50, jitter=0.0)
TUNE = TuneSettings(threshold=None)
WIDTHS = {"alex": (64, 192, 384, 256, 256), "vgg": (64, 128, 256, 512, 512)}


def run() -> list[Record]:
    """Time every step, then its peak memory. Without a reference there is nothing to say."""
    warnings.filterwarnings("ignore")
    if not REFERENCE:
        print("FIGURA_REFERENCE is not set: inversion is not measured anew.")
        return _stored()
    wanted = os.environ.get("FIGURA_BENCH", "")
    runs = [entry for entry in RUNS if wanted in "_".join(entry[:3])]
    records = [_timed(*entry) for entry in runs]
    records += [_peak(*entry) for entry in PEAKS if wanted in "peak_" + "_".join(entry)]
    names = {entry.name for entry in records}
    return [entry for entry in _stored() if entry.name not in names] + records


def _stored() -> list[Record]:
    path = RESULTS / "stylegan_inversion.json"
    return [Record(**entry) for entry in json.loads(path.read_text())] if path.is_file() else []


def _timed(model: str, work: str, likeness: str, repeats: int) -> Record:
    generator, target, measure = _scene(model, work, likeness)
    ours, other = _ours(work, generator, target, measure), _theirs(work, generator, target, measure)
    first, second = ours(), other()
    if not abs(first - second) <= 1e-3 * abs(second):
        raise RuntimeError(f"{model} {work}: first losses {first:.6g} and {second:.6g} differ")
    print(f"{model} {work} {likeness}: first losses {first:.6g} and {second:.6g}", flush=True)
    return compare(f"{work}_{model}_{likeness}", ours, other, OTHER, repeats, warm=True)


def _scene(model: str, work: str, likeness: str) -> tuple[Generator, Tensor, Perceptual]:
    torch.manual_seed(0)
    generator = build(MODELS[model])
    target = torch.rand(1, 3, *generator.image_size) * 2 - 1
    if likeness == "cheap":
        return generator, target, PixelsAndGradients()
    return generator, target, _random_lpips(VGG if work == "search" else ALEX)


def _random_lpips(network: Network) -> Perceptual:
    stages, width = [], 3
    for numbers, channels, pool in zip(network.stages, WIDTHS[network.name], network.pools, strict=True):
        layers = []
        for number in numbers:
            kernel = 3 if network is VGG else {0: 11, 3: 5}.get(number, 3)
            stride, padding = network.first if number == 0 else (1, kernel // 2)
            layers.append(torch.nn.Conv2d(width, channels, kernel, stride, padding))
            width = channels
        stages.append(Stage(layers, pool))
    weights = [torch.rand(channels) for channels in WIDTHS[network.name]]
    return DeepFeatures(stages, weights, network.name, network.smallest)


def _pivot(generator: Generator) -> Tensor:
    seeded = torch.Generator().manual_seed(1)
    return torch.randn(1, generator.config.num_ws, generator.config.w_dim, generator=seeded) * 0.5


def _ours(work: str, generator: Generator, target: Tensor, measure: Perceptual) -> Callable[[], float]:
    if work == "search":
        task = Projector(generator, target, measure, SEARCH)
    else:
        task = Tuner(generator, target, _pivot(generator), measure, TUNE)

    def step() -> float:
        task.step()
        task.done += 1
        return task.curve[-1][0]

    return step


def _theirs(work: str, generator: Generator, target: Tensor, measure: Perceptual) -> Callable[[], float]:
    network = _reference(generator)
    if work == "search":
        return _their_search(network, generator, target, measure)
    return _their_tuning(network, generator, target, measure)


def _their_search(network, generator: Generator, target: Tensor, measure: Perceptual) -> Callable[[], float]:
    """The released search written anew around the reference's generator, drawing our random numbers."""
    average, spread = w_statistics(generator, SEARCH.samples)
    network.requires_grad_(False)
    w = average.expand(1, 1, -1).clone().requires_grad_()
    maps = [buffer for name, buffer in network.synthesis.named_buffers() if name.endswith("noise_const")]
    seeds = seeded(SEARCH.seed)
    for buffer in maps:
        buffer.copy_(torch.randn(buffer.shape, generator=seeds))
        buffer.requires_grad_()
    optimizer = torch.optim.Adam([w, *maps], lr=0.0)
    with torch.no_grad():
        wanted = measure.features(shrunk(target, True))

    def step() -> float:
        jittered = w + torch.randn(w.shape, generator=seeds) * spread * SEARCH.jitter
        pixels = network.synthesis(
            jittered.repeat(1, generator.config.num_ws, 1), noise_mode="const", force_fp32=True
        )
        loss = distance(measure.features(shrunk(pixels, True)), wanted).sum()
        if maps:
            loss = loss + noise_correlation(maps) * SEARCH.noise_weight
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        normalize_(maps)
        return loss.item()

    return step


def _their_tuning(network, generator: Generator, target: Tensor, measure: Perceptual) -> Callable[[], float]:
    network.requires_grad_(True)
    pivot, optimizer = _pivot(generator), torch.optim.Adam(network.parameters(), lr=TUNE.learning_rate)
    with torch.no_grad():
        wanted = measure.features(target)

    def step() -> float:
        pixels = network.synthesis(pivot, noise_mode="const", force_fp32=True)
        loss = (pixels - target).square().mean() + distance(measure.features(pixels), wanted).sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss.item()

    return step


def _peak(model: str, work: str) -> Record:
    def measured(side: str) -> float:
        command = [sys.executable, "-m", "benchmarks.stylegan_inversion", "peak", side, work, model]
        return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()[-1])

    return record(f"peak_{work}_{model}", measured("ours"), measured("reference"), OTHER, "MiB")


def peak(side: str, work: str, model: str) -> float:
    """Peak resident memory, in MiB, of a process that takes two steps."""
    torch.set_num_threads(1)
    warnings.filterwarnings("ignore")
    generator, target, measure = _scene(model, work, "cheap")
    step = (_ours if side == "ours" else _theirs)(work, generator, target, measure)
    step(), step()
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def curves(out: str) -> None:
    """Invert each tiny generator's own picture and plot how far pixels are off, in dB, step by step.

    60 steps of the search, then 60 of the tuning at rate 0.004, measured by pixels and gradients.
    """
    torch.set_num_threads(1)
    _plot({f"v{number}": _own_picture(number) for number in (1, 2, 3)}, out)


def _plot(curves: dict[str, list[float]], out: str) -> None:
    """PSNR over steps; the grey line stands at 30 dB, the dotted one where the tuning begins."""
    from PIL import Image, ImageDraw

    width, height, left, bottom = 640, 320, 40, 290
    picture = Image.new("RGB", (width, height), "white")
    pen, steps = ImageDraw.Draw(picture), max(len(levels) for levels in curves.values())
    top = max(max(levels) for levels in curves.values()) + 2

    def place(step: float, level: float) -> tuple[float, float]:
        return left + step / steps * (width - left - 90), bottom - level / top * (bottom - 10)

    for level in range(0, int(top) + 1, 10):
        pen.line([place(0, level), place(steps, level)], fill="grey" if level == 30 else "#dddddd")
        pen.text((8, place(0, level)[1] - 6), f"{level} dB", fill="black")
    for level in range(0, int(top), 2):
        pen.line([place(steps / 2, level), place(steps / 2, level + 0.8)], fill="grey")
    for (name, levels), colour in zip(curves.items(), ("#1f77b4", "#ff7f0e", "#2ca02c"), strict=True):
        pen.line([place(i + 1, level) for i, level in enumerate(levels)], fill=colour, width=2)
        pen.text((width - 84, place(0, levels[-1])[1] - 6), f"{name} {levels[-1]:.1f} dB", fill=colour)
    pen.text(
        (left, height - 18),
        f"{steps // 2} steps of the search, then {steps // 2} of the tuning",
        fill="black",
    )
    picture.save(out)


def _own_picture(number: int) -> list[float]:
    generator = random_generator(tiny(number))
    if number == 1:  # its random colours leave the range by far, and what is cut off cannot be found again
        with torch.no_grad():
            generator.synthesis.torgb_weight.mul_(0.15)
            generator.synthesis.torgb_bias.mul_(0.15)
    target = synthesize(generator, sample_ws(generator, [3], 0.7)).clamp(-1, 1)
    measure, levels = PixelsAndGradients(), []
    work = Projector(generator, target, measure, ProjectSettings(steps=60))
    watch(work, lambda *_: levels.append(psnr(work.picture, target)[0]))
    settings = TuneSettings(steps=60, learning_rate=0.004, threshold=None)
    tuner = Tuner(generator, target, work.ws(), measure, settings)
    watch(tuner, lambda *_: levels.append(psnr(tuner.picture, target)[0]))
    return levels


if __name__ == "__main__":
    if sys.argv[1] == "curves":
        curves(sys.argv[2])
    else:
        print(peak(*sys.argv[2:]))
