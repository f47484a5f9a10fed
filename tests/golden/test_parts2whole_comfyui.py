"""Parts2Whole on ComfyUI's own UNet, ModelPatcher and samplers against the published code's tensors.

Tolerances as in ``test_parts2whole.py``. Where ComfyUI's own sampling ends at sigma 0 and the published
scheduler at 0.029, the test hands ComfyUI's sampler the published sigmas.
"""

import json
import os
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

pytest.importorskip("comfy.samplers", reason="ComfyUI is not here (COMFYUI_PATH)")

import comfy.model_management
import comfy.sample
import comfy.samplers
from comfyui_figura.nodes.parts2whole import bridge
from comfyui_figura.nodes.parts2whole.patches import Strengths
from comfyui_figura.pipelines.parts2whole import checkpoint, generate, reference

GOLDEN = Path(os.environ.get("FIGURA_GOLDEN") or Path(__file__).parent / "data")
DATA = GOLDEN / "parts2whole"
META = json.loads((DATA / "meta.json").read_text())
INPUTS = load_file(DATA / "inputs.safetensors")
WANTED = load_file(DATA / "outputs.safetensors")
FP32 = torch.float32


@pytest.fixture(scope="module", autouse=True)
def inference():
    with torch.inference_mode():
        yield


@pytest.fixture(scope="module")
def loaded():
    """MODEL and bundle of the golden folder, which has no encoders."""
    path = DATA / "checkpoint"
    weights, decoupled = checkpoint.load_unet(path)
    model = bridge._unet(weights, FP32, "unet")
    model.add_object_patch("model_sampling", bridge._sampling(model, path))
    reference_unet = bridge._unet(checkpoint.load_reference_unet(path), FP32, "reference_unet")
    guider = bridge.host.as_patcher(generate.load_guider(path))
    return model, bridge.Bundle("golden", reference_unet, guider, "densepose", decoupled)


def make_bank(bundle, order=None, masks=True, compatible=False, store=None):
    found = []
    order = list(range(len(META["labels"]))) if order is None else order
    comfy.model_management.load_models_gpu([bundle.reference])
    for i in order:
        mask = INPUTS[f"ref{i}.mask"] if masks else torch.ones_like(INPUTS[f"ref{i}.mask"])
        part = reference.PartFeatures(META["labels"][i], 1.0, mask)
        latents = bundle.reference.model.process_latent_out(INPUTS[f"ref{i}.latents"])
        bridge.read_part(bundle.reference, part, latents, INPUTS[f"ref{i}.label_embeds"], store)
        found.append(part)
    embeds = [INPUTS[f"ref{i}.image_embeds"] for i in order]
    size = META["width"], META["height"]
    return reference.make_bank(found, embeds, INPUTS["ref0.label_embeds"], size, compatible)


@pytest.fixture(scope="module")
def bank(loaded):
    return make_bank(loaded[1])


def pose_features(bundle):
    guider = bridge.host.on_device(bundle.guider)
    return guider(INPUTS["pose_image"].to(bundle.guider.load_device)).cpu()


def patched(loaded, bank, pose=True, dc=True, **strengths):
    model, bundle = loaded
    features = pose_features(bundle) if pose else None
    return bridge.apply(model, bundle, bank, Strengths(**strengths), features, dc)


def predict(model, chunks=(1, 0), batch=1, latents=None, sigma=None):
    """Noise prediction of ComfyUI's UNet, [len(chunks) * batch, 4, h, w], in the order of ``chunks``."""
    comfy.model_management.load_models_gpu([model])
    text = {0: INPUTS["prompt_embeds"], 1: INPUTS["negative_embeds"]}
    context = torch.cat([text[chunk].expand(batch, -1, -1) for chunk in chunks])
    x = INPUTS["latents"].repeat(len(context), 1, 1, 1)
    options = {**model.model_options["transformer_options"], "cond_or_uncond": list(chunks)}
    model.pre_run()
    timesteps = torch.full((len(x),), float(META["timestep"]))
    return model.model.diffusion_model(x, timesteps=timesteps, context=context, transformer_options=options)


def error(a, b):
    return (a - b).abs().max().item()


def test_bank(bank):
    wanted = load_file(DATA / "bank_masked_cond.safetensors")
    assert len(wanted) == len(bank.blocks) * len(bank.parts)
    for name, tensor in wanted.items():
        block, ref = name.rsplit(".transformer_blocks.0.ref", 1)
        assert error(bank.parts[int(ref)].full(block), tensor) <= 2e-4, name


def test_pose_features(loaded):
    assert error(pose_features(loaded[1]), WANTED["pose_feature"]) <= 1e-5


@pytest.mark.parametrize(
    "case, bank_options, options",
    [
        ("eps.cfg.mask.dc", {}, {}),
        ("eps.cfg.nomask.dc", {"masks": False}, {}),
        ("eps.cfg.mask.nodc", {}, {"dc": False}),
        ("eps.cfg.mask.dc.nopose", {}, {"pose": False}),
        ("eps.cfg.mask.dc.reversed", {"order": list(range(len(META["labels"])))[::-1]}, {}),
        ("eps.cfg.mask.dc.first_ref_only", {"order": [0]}, {}),
    ],
)
def test_noise_prediction(loaded, case, bank_options, options):
    model = patched(loaded, make_bank(loaded[1], **bank_options), **options)
    assert error(predict(model), WANTED[case]) <= 1e-4


@pytest.mark.parametrize("chunks", [(0, 1), (1, 0), (0,), (1,), (0, 0, 1), (1, 0, 0, 1)])
@pytest.mark.parametrize("batch", [1, 2])
def test_any_order_and_number_of_rows(loaded, bank, chunks, batch):
    wanted = WANTED["eps.cfg.mask.dc"]
    rows = torch.cat([wanted[1 - chunk : 2 - chunk].expand(batch, -1, -1, -1) for chunk in chunks])
    assert error(predict(patched(loaded, bank), chunks, batch), rows) <= 1e-4


def test_noise_prediction_with_bank_in_float16(loaded):
    got = predict(patched(loaded, make_bank(loaded[1], store=torch.float16)))
    assert error(got, WANTED["eps.cfg.mask.dc.fp16bank"]) <= 3e-4


def test_sigma_range_of_the_loader(loaded):
    sampling = loaded[0].get_model_object("model_sampling")
    assert float(sampling.sigma_min) == pytest.approx(0.029167, abs=1e-6)
    assert float(sampling.sigma_max) == pytest.approx(25.146, abs=1e-3)


def test_ddim_uniform_visits_the_published_timesteps(loaded):
    sampling = loaded[0].get_model_object("model_sampling")
    for steps in (META["sampling"]["steps"], 50):
        sigmas = comfy.samplers.calculate_sigmas(sampling, "ddim_uniform", steps)[:-1]
        wanted = list(range(1, 1000, 1000 // steps))[::-1]
        assert [round(float(sampling.timestep(sigma))) for sigma in sigmas] == wanted


def test_sampling(loaded, bank):
    settings = META["sampling"]
    model = patched(loaded, bank)
    sampling = model.get_model_object("model_sampling")
    sigmas = torch.cat([sampling.sigma(torch.tensor([float(t)])) for t in settings["timesteps"]])
    sigmas = torch.cat([sigmas, sampling.sigmas[:1]])  # the published last step ends at timestep 0
    # ComfyUI's x is the published latent divided by the square root of alpha-bar
    x = INPUTS["latents"] * (1 + sigmas[0] ** 2).sqrt()
    got = []

    def callback(step, denoised, x, total):
        got.append(x / (1 + sigmas[step] ** 2).sqrt())

    noise = (x - 0) / sigmas[0]
    guider = comfy.samplers.CFGGuider(model)
    conds = [[[INPUTS[name], {}]] for name in ("prompt_embeds", "negative_embeds")]
    guider.set_conds(*conds)
    guider.set_cfg(settings["guidance_scale"])
    sampling_of_noise = type(sampling).noise_scaling
    type(sampling).noise_scaling = lambda self, sigma, noise, latent, max_denoise=False: noise * sigma
    try:
        final = guider.sample(
            noise, torch.zeros_like(noise), comfy.samplers.sampler_object("euler"), sigmas, callback=callback
        )
    finally:
        type(sampling).noise_scaling = sampling_of_noise
    final = model.model.process_latent_in(final) / (1 + sigmas[-1] ** 2).sqrt()
    for i, latents in enumerate(got[1:]):
        wanted = WANTED[f"sample.linear.after_step{i}"]
        assert error(latents, wanted) <= 1e-4 * wanted.abs().max()
    wanted = WANTED["sample.linear.final"]
    assert error(final, wanted) <= 1e-4 * wanted.abs().max()
    wrong = WANTED["sample.scaled_linear.final"]
    assert error(final, wrong) > 1e-2 * wrong.abs().max()  # the schedule is not Stable Diffusion's
