"""Parts2Whole's standalone code against tensors made by the published code with random weights.

Tolerances are those of the golden data's own notes (float32, CPU): bank 2e-4, pose 1e-5, noise prediction
1e-4, sampling 1e-4 of the largest value. Wrong behaviour shows at 1e-2 and above.
"""

import json
import os
from pathlib import Path

import pytest
import torch
from comfyui_figura.pipelines.parts2whole import checkpoint, generate, parts, reference, segment
from comfyui_figura.pipelines.parts2whole.unet import Condition, build_unet, conditioned, read_part
from safetensors.torch import load_file

GOLDEN = Path(os.environ.get("FIGURA_GOLDEN") or Path(__file__).parent / "data")
DATA = GOLDEN / "parts2whole"
META = json.loads((DATA / "meta.json").read_text())
INPUTS = load_file(DATA / "inputs.safetensors")
WANTED = load_file(DATA / "outputs.safetensors")
SCALE = META["guidance_scales"][0]


@pytest.fixture(scope="module")
def model():
    weights, dc = checkpoint.load_unet(DATA / "checkpoint")
    guider = generate.load_guider(DATA / "checkpoint")
    reference_unet = build_unet(checkpoint.load_reference_unet(DATA / "checkpoint"))
    return build_unet(weights), dc, guider, reference_unet


def make_bank(model, order=None, masks=True, store=None):
    """The bank of the golden references in ``order`` (all of them by default)."""
    found = []
    order = range(len(META["labels"])) if order is None else order
    for i in order:
        mask = INPUTS[f"ref{i}.mask"] if masks else torch.ones_like(INPUTS[f"ref{i}.mask"])
        part = reference.PartFeatures(META["labels"][i], 1.0, mask)
        found.append(
            read_part(model[3], part, INPUTS[f"ref{i}.latents"], INPUTS[f"ref{i}.label_embeds"], store)
        )
    embeds = [INPUTS[f"ref{i}.image_embeds"] for i in order]
    return reference.make_bank(found, embeds, INPUTS["ref0.label_embeds"], (META["width"], META["height"]))


@pytest.fixture(scope="module")
def bank(model):
    return make_bank(model)


def predict(model, bank, cfg=True, dc=True, pose=True, full=False, latents=None, timestep=None):
    """Noise prediction [2 or 1, 4, h, w]: row 0 without, row 1 with the references."""
    unet, decoupled, guider, _ = model
    text = torch.cat(
        [INPUTS["negative_embeds"], INPUTS["prompt_embeds"]] if cfg else [INPUTS["prompt_embeds"]]
    )
    if not dc:
        zeros = torch.zeros_like(bank.image_tokens)
        text = torch.cat([text, torch.cat([zeros, bank.image_tokens] if cfg else [bank.image_tokens])], dim=1)
    condition = Condition(
        bank, decoupled.project(bank.padded_tokens()) if dc else None,
        guider(INPUTS["pose_image"]) if pose else None, (False, True) if cfg else (True,), full=full,
    )  # fmt: skip
    latents = (INPUTS["latents"] if latents is None else latents).expand(len(text), -1, -1, -1)
    with conditioned(unet, condition), torch.inference_mode():
        return unet(latents, timestep or META["timestep"], encoder_hidden_states=text).sample


def error(a, b):
    return (a - b).abs().max().item()


def test_pose_features(model):
    assert error(model[2](INPUTS["pose_image"]), WANTED["pose_feature"]) <= 1e-5


@pytest.mark.parametrize("name", [name for name in WANTED if name.startswith("mask_level.")])
def test_level_mask(name):
    _, size, ref = name.split(".")
    wanted = WANTED[name]
    got = parts.level_mask(INPUTS[f"{ref}.mask"], wanted.numel())
    assert error(got, wanted.flatten()) <= 1e-6


def test_bank(bank):
    wanted = load_file(DATA / "bank_masked_cond.safetensors")
    assert len(wanted) == len(bank.blocks) * len(bank.parts)
    for name, tensor in wanted.items():
        block, ref = name.rsplit(".transformer_blocks.0.ref", 1)
        assert error(bank.parts[int(ref)].full(block), tensor) <= 2e-4, name


def test_encoder_hidden_states(bank):
    wanted = WANTED["encoder_hidden_states.cfg.dc"]
    tokens = bank.padded_tokens()
    image = torch.cat([torch.zeros_like(tokens), tokens])
    text = torch.cat([INPUTS["negative_embeds"], INPUTS["prompt_embeds"]])
    assert torch.equal(torch.cat([text, image], dim=1), wanted)


@pytest.mark.parametrize("full", [False, True], ids=["fast", "published"])
@pytest.mark.parametrize(
    "case, bank_options, options",
    [
        ("eps.cfg.mask.dc", {}, {}),
        ("eps.cfg.nomask.dc", {"masks": False}, {}),
        ("eps.cfg.mask.nodc", {}, {"dc": False}),
        ("eps.cfg.mask.dc.nopose", {}, {"pose": False}),
        ("eps.cfg.mask.dc.reversed", {"order": list(range(len(META["labels"])))[::-1]}, {}),
        ("eps.cfg.mask.dc.first_ref_only", {"order": [0]}, {}),
        ("eps.single.mask.dc", {}, {"cfg": False}),
    ],
)
def test_noise_prediction(model, case, bank_options, options, full):
    got = predict(model, make_bank(model, **bank_options), full=full, **options)
    assert error(got, WANTED[case]) <= 1e-4


def test_noise_prediction_with_bank_in_float16(model):
    got = predict(model, make_bank(model, store=torch.float16))
    assert error(got, WANTED["eps.cfg.mask.dc.fp16bank"]) <= 3e-4
    assert error(got, WANTED["eps.cfg.mask.dc"]) > 3e-4  # the rounding is really there


@pytest.mark.parametrize("scale", META["guidance_scales"])
def test_guidance(model, bank, scale):
    got = generate.guide(predict(model, bank), scale)
    assert error(got, WANTED[f"guided.cfg.mask.dc.s{scale}"]) <= 5e-4


@pytest.mark.parametrize("schedule", ["linear", "scaled_linear"])
def test_sampling(model, bank, schedule):
    settings = META["sampling"]
    scheduler = generate.make_scheduler(settings["schedulers"][schedule])
    seen = []

    def step(latents, timestep):
        eps = predict(model, bank, latents=latents, timestep=timestep)
        return generate.guide(eps, settings["guidance_scale"])

    latents = INPUTS["latents"]
    scheduler.set_timesteps(settings["steps"])
    assert scheduler.timesteps.tolist() == settings["timesteps"]
    got = generate.sample(
        scheduler, latents, settings["steps"], step, lambda done, total, latents: seen.append(latents)
    )
    final = WANTED[f"sample.{schedule}.final"]
    assert error(got, final) <= 1e-4 * final.abs().max()
    if schedule == "linear":
        for i, latents in enumerate(seen):
            wanted = WANTED[f"sample.linear.after_step{i}"]
            assert error(latents, wanted) <= 1e-4 * wanted.abs().max()


SEGMENTS = GOLDEN / "parts2whole_training"
CASES = json.loads((SEGMENTS / "segformer_parts.json").read_text())


@pytest.mark.parametrize("case", CASES["cases"])
@pytest.mark.parametrize("dress_rule", [True, False])
def test_part_masks(case, dress_rule):
    tensors = load_file(SEGMENTS / "segformer_parts.safetensors")
    got = segment.part_masks(tensors[f"{case}.labels"][None], dress_rule)
    for part in parts.LABELS:
        wanted = tensors[f"{case}.{part}" if dress_rule else f"{case}.plain.{part}"]
        assert torch.equal((got[part][0] * 255).to(wanted.dtype), wanted), part


def test_class_map():
    tensors = load_file(SEGMENTS / "segformer_parts.safetensors")
    name = next(name for name in tensors if name.startswith("logits.labels_at_"))
    wanted = tensors[name]
    assert torch.equal(segment.class_map(tensors["logits"], wanted.shape)[0], wanted.long())
