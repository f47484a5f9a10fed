"""One training step of Parts2Whole against the original trainer, with everything that may be dropped.

``FIGURA_GOLDEN`` names another folder of the same files; sizes are read from them.
"""

import json
import os
from pathlib import Path

import pytest
import torch
from comfyui_figura.pipelines.common.diffusion_training import NoiseSchedule
from comfyui_figura.pipelines.parts2whole import checkpoint, generate
from comfyui_figura.pipelines.parts2whole.training.network import Composer, Reference
from comfyui_figura.pipelines.parts2whole.unet import build_unet
from safetensors.torch import load_file

GOLDEN = Path(os.environ.get("FIGURA_GOLDEN") or Path(__file__).parent / "data")
DATA, FOLDER = GOLDEN / "parts2whole_training", GOLDEN / "parts2whole" / "checkpoint"
SCALE = 0.18215
pytestmark = pytest.mark.skipif(not (DATA / "train_step.json").is_file(), reason="golden fixtures not found")


@pytest.fixture(scope="module")
def inputs():
    return load_file(DATA / "train_inputs.safetensors")


@pytest.fixture(scope="module")
def recorded():
    return load_file(DATA / "train_outputs.safetensors")


@pytest.fixture(scope="module")
def about():
    return json.loads((DATA / "train_step.json").read_text())


def composer(store=None, checkpointing=False):
    weights, _ = checkpoint.load_unet(FOLDER)
    made = Composer(
        build_unet(weights), build_unet(checkpoint.load_reference_unet(FOLDER)), generate.load_guider(FOLDER),
        store=store,
    )  # fmt: skip
    if checkpointing:
        made.unet.enable_gradient_checkpointing()
        made.reference_unet.enable_gradient_checkpointing()
    return made


def reference(inputs, index, size):
    rows = len(inputs["noise"])
    mask = inputs.get(f"ref{index}.mask_u8")
    return Reference(
        inputs[f"ref{index}.latents_unscaled"] * SCALE,
        torch.ones(rows, 1, *size) if mask is None else mask.float() / 255,
        inputs[f"ref{index}.label_embeds"], torch.ones(rows, dtype=torch.bool),
    )  # fmt: skip


def predicted(made, case, inputs, labels):
    """The prediction of a case, with what it drops left out."""
    noisy = NoiseSchedule(generate.SCHEDULER).noisy(
        inputs["target.latents_unscaled"] * SCALE, inputs["noise"], inputs["timesteps"]
    )
    text = inputs["caption_embeds"].clone()
    images = torch.stack([inputs[f"ref{index}.image_embeds"] for index in range(len(labels))], 1)
    if case == "text_dropped_sample0":
        text[0], images[0] = 0, 0
    size = inputs["pose_image_u8"].shape[-2:]
    acting = [reference(inputs, index, size) for index in range(len(labels))]
    acting = {"references_dropped": [], "one_reference_dropped": acting[1:]}.get(case, acting)
    pose = None if case == "pose_dropped" else inputs["pose_image_u8"].float() / 255
    return made(noisy, inputs["timesteps"], text, images, acting, pose), noisy


def released_names(made):
    """Trained parameters under the released trainer's names."""
    found = {f"{part}.{name}": p for part in ("unet", "reference_unet", "pose_guider")
             for name, p in getattr(made, part).named_parameters()}  # fmt: skip
    return found | {f"unet.{name}": p for name, p in made.decoupled().items()}


def case_names():
    path = DATA / "train_step.json"
    return list(json.loads(path.read_text())["cases"]) if path.is_file() else []


@pytest.mark.parametrize("case", case_names())
def test_one_training_step(case, inputs, recorded, about):
    """Loss, prediction, every gradient, AdamW's clipped update. Tolerances: the golden set's README."""
    want = about["cases"][case]
    made = composer(torch.float16 if want["bank_dtype"] == "float16" else None)
    prediction, noisy = predicted(made, case, inputs, about["labels"])
    torch.testing.assert_close(noisy, recorded["noisy_latents"], rtol=0, atol=1e-5)
    worst = (prediction - recorded[f"{case}.model_pred"]).abs().max()
    assert worst <= (3e-4 if made.store else 1e-4)  # a feature may round to float16's other neighbour
    loss = torch.nn.functional.mse_loss(prediction, inputs["noise"])
    assert abs(loss.item() - want["loss"]) <= 1e-5
    loss.backward()
    parameters = released_names(made)
    assert [parameters[name].requires_grad for name in about["param_names"]] == [
        bool(trained) for trained in about["trainable"]
    ]
    check_gradients(case, parameters, about, want, recorded)
    check_update(case, made, parameters, about, want, recorded)


def check_gradients(case, parameters, about, want, recorded):
    total = want["total_grad_norm_before_clip"]
    norms = recorded[f"{case}.grad_norm"]
    for name, norm in zip(about["param_names"], norms.tolist(), strict=True):
        gradient = parameters[name].grad
        if norm != norm:  # not a number: no gradient
            assert gradient is None, name
        elif norm > 1e-4 * total:
            assert gradient.norm().item() == pytest.approx(norm, rel=1e-3), name
        else:
            assert abs(gradient.norm().item() - norm) <= 2e-5 * total, name
    for name, gradient in recorded.items():
        if name.startswith(f"{case}.grad."):
            mine = parameters[name.removeprefix(f"{case}.grad.")].grad
            assert (mine - gradient).norm() <= 1e-3 * gradient.norm() + 2e-5 * total


def check_update(case, made, parameters, about, want, recorded):
    """AdamW's first step is the gradient's sign, so a tiny gradient may step the other way: up to 1 %."""
    after = {name: tensor for name, tensor in recorded.items() if name.startswith(f"{case}.after_step.")}
    if not after:
        return
    trained = [p for p in made.parameters() if p.requires_grad]
    settings = want["optimizer"]
    optimizer = torch.optim.AdamW(
        trained, settings["lr"], settings["betas"], settings["eps"], settings["weight_decay"]
    )
    torch.nn.utils.clip_grad_norm_([p for p in trained if p.grad is not None], want["max_grad_norm"])
    optimizer.step()
    for name, tensor in after.items():
        off = (parameters[name.removeprefix(f"{case}.after_step.")].detach() - tensor).abs()
        assert off.max() <= 2 * settings["lr"] + 1e-7
        assert (off > 1e-7).float().mean() <= 0.01


def test_gradient_checkpointing_changes_nothing(inputs, about):
    case, gradients = "none_dropped_bank32", []
    for checkpointing in (False, True):
        made = composer(checkpointing=checkpointing)
        prediction, _ = predicted(made, case, inputs, about["labels"])
        torch.nn.functional.mse_loss(prediction, inputs["noise"]).backward()
        gradients.append({name: p.grad for name, p in released_names(made).items() if p.grad is not None})
    assert gradients[0].keys() == gradients[1].keys()
    total = torch.stack([gradient.norm() for gradient in gradients[0].values()]).norm()
    for name, gradient in gradients[0].items():
        assert (gradient - gradients[1][name]).norm() <= 1e-5 * total, name
