"""The few lines it takes to sample with a tiny Parts2Whole in ComfyUI, shared by the tests of its patches."""

import torch
from comfyui_figura.nodes.parts2whole import bridge
from comfyui_figura.pipelines.parts2whole.parts import make_part

import nodes as stock

WIDTH, HEIGHT = 64, 96


def parts(labels=("face", "upper body clothes"), masks=True, weights=(1.0, 1.0)):
    torch.manual_seed(5)
    found = []
    for i, label in enumerate(labels):
        mask = torch.zeros(1, HEIGHT, WIDTH)
        mask[:, 10 * i : 10 * i + 40, 10:40] = 1
        image = torch.rand(1, HEIGHT, WIDTH, 3)
        found.append(make_part(image, label, mask if masks else None, weights[i], index=i + 1))
    return found


def make_bank(loaded, compatible=False, size=(WIDTH, HEIGHT), **options):
    return bridge.encode(loaded[4], *loaded[1:4], parts(**options), *size, compatible)[0]


def text(loaded, words):
    return [[bridge.encode_text(loaded[1], words), {}]]


def sample(
    loaded,
    model,
    prompt="a person",
    cfg=3.0,
    steps=2,
    batch=1,
    sampler="euler",
    scheduler="ddim_uniform",
    size=(WIDTH, HEIGHT),
):
    """KSampler's latents [batch, 4, 12, 8]."""
    latent = {"samples": torch.zeros(batch, 4, size[1] // 8, size[0] // 8)}
    positive = prompt if isinstance(prompt, list) else text(loaded, prompt)
    return stock.common_ksampler(
        model, 7, steps, cfg, sampler, scheduler, positive, text(loaded, ""), latent
    )[0]["samples"]  # fmt: skip


def differs(a, b):
    return (a - b).abs().max().item()
