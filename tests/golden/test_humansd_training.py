"""HumanSD's losses, one training step and the varied samples against the original trainer and loader.

``FIGURA_GOLDEN`` names another folder of the same files; all sizes but the heads' width are read from them.
"""

import json
import os
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from comfyui_figura.pipelines.common.base_model import build_vae
from comfyui_figura.pipelines.common.diffusion_training import NoiseSchedule
from comfyui_figura.pipelines.common.ldm import strip_prefix
from comfyui_figura.pipelines.common.weights import load_state_dict, read_header
from comfyui_figura.pipelines.humansd.dataset import PoseDataset
from comfyui_figura.pipelines.humansd.skeleton import draw_skeleton
from comfyui_figura.pipelines.humansd.training import losses
from comfyui_figura.pipelines.humansd.training.augmentation import Draws, varied
from comfyui_figura.pipelines.humansd.training.step import average_decay, sampled_latents
from comfyui_figura.pipelines.humansd.unet import build_unet
from comfyui_figura.pipelines.pose.estimators import higherhrnet
from PIL import Image

GOLDEN = Path(os.environ.get("FIGURA_GOLDEN") or Path(__file__).parent / "data")
TRAINING = GOLDEN / "humansd_training"
HEAD_WIDTH = 16  # of the golden network (its README); no shape tells it
NAMES = [
    f"heatmap_{posterior}_thr{threshold}_w{weight}"
    for posterior in ("mean", "sampled") for threshold in (0.05, 0.2) for weight in (0.1, 1.0)
]  # fmt: skip


@pytest.fixture(scope="module")
def golden():
    return load_state_dict(GOLDEN / "humansd" / "tensors.safetensors")


@pytest.fixture(scope="module")
def checkpoint():
    path = GOLDEN / "humansd" / "tiny_ckpt.safetensors"
    return {name: tensor.float() for name, tensor in load_state_dict(path).items()}


@pytest.fixture(scope="module")
def autoencoder(checkpoint):
    return build_vae(strip_prefix(checkpoint, "first_stage_model."), {}, "VAE")


@pytest.fixture(scope="module")
def estimator(checkpoint):
    header = read_header(GOLDEN / "humansd" / "tiny_ckpt.safetensors")
    config = higherhrnet.config_of(header, "mmpose_model.")
    return higherhrnet.from_state(checkpoint, config, "mmpose_model.", "tiny_ckpt")


def close(actual, expected, tolerance):
    worst = (actual - expected).abs().max().item()
    assert worst <= tolerance, f"differs by {worst:.2e}, allowed {tolerance:.0e}"


def joint_weights(name, autoencoder, estimator):
    """The loss that a case's name describes, and its draw."""
    posterior, threshold, weight = re.fullmatch(r"heatmap_(\w+)_thr([\d.]+)_w([\d.]+)", name).groups()
    return losses.JointWeights(
        autoencoder, estimator, float(weight), float(threshold)
    ), posterior == "sampled"


def predicted(unet, golden):
    joined = torch.cat([golden["loss.x_noisy"], golden["loss.c_concat"]], 1)
    return unet(joined, golden["loss.t"], golden["loss.context"]).sample


@pytest.fixture(scope="module")
def prediction(checkpoint, golden):
    unet = build_unet(strip_prefix(checkpoint, "model.diffusion_model."), HEAD_WIDTH)
    with torch.no_grad():
        return predicted(unet, golden)


def test_the_forward_process(golden):
    noisy = NoiseSchedule().noisy(golden["loss.x_start"], golden["loss.noise"], golden["loss.t"])
    close(noisy, golden["loss.x_noisy"], 1e-5)


def test_the_noise_loss(golden, prediction):
    close(losses.noise_loss(prediction, golden["loss.noise"]), golden["loss.original"].squeeze(), 1e-4)


@pytest.mark.parametrize("name", NAMES)
def test_the_released_weighting(name, golden, prediction, autoencoder, estimator):
    weights, sampled = joint_weights(name, autoencoder, estimator)
    draw = (lambda like: golden["loss.posterior_eps"]) if sampled else None
    loss = weights.loss(prediction, golden["loss.noise"], draw)
    close(loss, golden[f"loss.{name}"].squeeze(), 2e-4)


@torch.no_grad()
@pytest.mark.parametrize("threshold", [0.05, 0.2])
def test_what_the_weighting_goes_through(threshold, golden, prediction, autoencoder, estimator):
    error = prediction - golden["loss.noise"]
    close(error, golden["loss.mid.diff_latent"], 1e-4)
    picture = losses.shown(autoencoder, error)
    close(picture, ((golden["loss.mid.diff_decoded"] + 1) / 2).clamp(0, 1), 5e-4)
    coarse, fine = estimator(picture)
    close(coarse, golden["loss.mid.head0"], 1e-3)
    close(fine, golden["loss.mid.head1"], 1e-3)
    heatmaps = estimator.heatmaps_and_tags(picture)[0]
    image = losses.weight_image(heatmaps, threshold, picture.shape[-2:])
    same = (image - golden[f"loss.mid.pose_weight_image_thr{threshold}"]).abs() <= 1e-2
    assert same.float().mean() >= 0.995  # a heat map may pass the threshold on another machine
    weights = losses.JointWeights(autoencoder, estimator, 1.0, threshold).weights(error) - 1
    close(weights, golden[f"loss.mid.weight_latent_mean_thr{threshold}"], 1e-2)


def test_the_papers_weighting_adds_where_joints_are_seen(golden, prediction, autoencoder, estimator):
    noise = golden["loss.noise"]
    plain = losses.noise_loss(prediction, noise)
    paper = losses.JointWeights(autoencoder, estimator, 0.5, 0.05, paper=True)
    weights = paper.weights(prediction - noise)
    assert weights.shape == (len(noise), 1, *noise.shape[2:])
    assert weights.min() >= 1 and weights.max() <= 1.5 and weights.max() > 1
    assert plain < paper.loss(prediction, noise) <= 1.5 * plain + 1e-4
    never = losses.JointWeights(autoencoder, estimator, 0.5, 1e9, paper=True)
    torch.testing.assert_close(never.loss(prediction, noise), plain)


def case_names():
    path = TRAINING / "train_step.json"
    return list(json.loads(path.read_text())["cases"]) if path.is_file() else []


@pytest.mark.parametrize("case", case_names())
def test_one_training_step(case, golden, checkpoint, autoencoder, estimator):
    """Loss, gradients, AdamW's update and the average after it, for every tensor of the UNet."""
    about = json.loads((TRAINING / "train_step.json").read_text())
    want, recorded = about["cases"][case], load_state_dict(TRAINING / "train_step.safetensors")
    state = strip_prefix(checkpoint, "model.diffusion_model.")
    unet = build_unet({key: tensor.clone() for key, tensor in state.items()}, HEAD_WIDTH).train()
    unet.requires_grad_(True)
    if case == "full_step_original":
        loss = full_step(unet, autoencoder, recorded)
    else:
        loss = loss_of(case, predicted(unet, golden), golden, autoencoder, estimator)
    assert abs(loss.item() - want["loss"]) <= (1e-5 if "heatmap" not in case else 2e-4)
    loss.backward()
    assert not any(p.grad is not None for module in (autoencoder, estimator) for p in module.parameters())
    check_gradients(case, unet, about["param_names"], want, recorded)
    check_update(case, unet, about["param_names"], want, recorded)


def loss_of(case, prediction, golden, autoencoder, estimator):
    if case == "original":
        return losses.noise_loss(prediction, golden["loss.noise"])
    weights, sampled = joint_weights(case, autoencoder, estimator)
    draw = (lambda like: golden["loss.posterior_eps"]) if sampled else None
    return weights.loss(prediction, golden["loss.noise"], draw)


def full_step(unet, autoencoder, recorded):
    """From pictures, with the recorded draws in the place of random ones."""
    latents = []
    for name, draw in (("jpg_u8", "posterior_eps_image"), ("pose_img_u8", "posterior_eps_pose")):
        pixels = recorded[f"step.{name}"].permute(0, 3, 1, 2).float() / 127.5 - 1
        latents.append(sampled_latents(autoencoder, pixels, lambda like, draw=draw: recorded[f"step.{draw}"]))
    noise, times = recorded["step.noise"], recorded["step.t"]
    noisy = NoiseSchedule().noisy(latents[0], noise, times)
    prediction = unet(torch.cat([noisy, latents[1]], 1), times, recorded["step.context"]).sample
    return losses.noise_loss(prediction, noise)


def named_parameters(unet, names):
    """diffusers' parameters under the released names: (released name, parameter, released shape's view)."""
    from comfyui_figura.pipelines.common import ldm

    config = ldm.unet_config_from_diffusers(dict(unet.config))
    own = dict(unet.named_parameters())
    places = ldm.unet_to_ldm({name: torch.tensor(float(n)) for n, name in enumerate(own)}, config)
    order = list(own)
    found = {name: own[order[int(place)]] for name, place in places.items()}
    return {name: found[name.removeprefix("model.diffusion_model.")] for name in names}


def check_gradients(case, unet, names, want, recorded):
    parameters = named_parameters(unet, names)
    norms = torch.stack([p.grad.norm() for p in parameters.values()])
    total = norms.norm().item()
    assert total == pytest.approx(want["total_grad_norm"], rel=1e-3)
    real = recorded[f"{case}.grad_norm"] > 1e-4 * total
    error = (norms - recorded[f"{case}.grad_norm"]).abs()
    relative = 1e-3 if "heatmap" not in case else 5e-3
    assert (error[real] / recorded[f"{case}.grad_norm"][real]).max() <= relative
    assert error[~real].max() <= 1e-6 * total if (~real).any() else True
    for name, gradient in recorded.items():
        if name.startswith(f"{case}.grad."):
            mine = parameters[name.removeprefix(f"{case}.grad.")].grad
            assert (mine - gradient).norm() <= relative * gradient.norm() + 1e-6 * total


def check_update(case, unet, names, want, recorded):
    """AdamW's first step is the gradient's sign, so a tiny gradient may step the other way: up to 1 %."""
    parameters = named_parameters(unet, names)
    before = {name: p.detach().clone() for name, p in parameters.items()}
    settings = want["optimizer"]
    optimizer = torch.optim.AdamW(
        parameters.values(), settings["lr"], settings["betas"], settings["eps"], settings["weight_decay"]
    )
    optimizer.step()
    decay = average_decay(0, 0.9999)
    assert decay == pytest.approx(want["ema_decay_first_update"])
    for name, tensor in recorded.items():
        for kind in ("after_step", "ema"):
            if name.startswith(f"{case}.{kind}."):
                own = name.removeprefix(f"{case}.{kind}.")
                now = parameters[own].detach()
                mine = now if kind == "after_step" else decay * before[own] + (1 - decay) * now
                off = (mine - tensor).abs()
                assert off.max() <= 2 * settings["lr"] + 1e-7
                assert (off > 1e-7).float().mean() <= (0.02 if "heatmap" in case else 0.01)


def augmented_cases():
    path = TRAINING / "dataset_cases.json"
    return sorted(json.loads(path.read_text())["cases"]) if path.is_file() else []


def draws_of(transforms) -> Draws:
    """A case's recorded draws."""
    done = {step["name"]: step for step in transforms if step["applied"]}
    colours = {
        child["name"]: child["params"]
        for child in done.get("OneOf", {}).get("children", [])
        if child["applied"]
    }
    hue, tint = colours.get("HueSaturationValue"), colours.get("RGBShift")
    light = done.get("RandomBrightnessContrast", {}).get("params")
    start = done["RandomCrop"]["params"]
    return Draws(
        start["h_start"], start["w_start"], "HorizontalFlip" in done, "VerticalFlip" in done,
        done["Rotate"]["params"]["angle"] if "Rotate" in done else None,
        (hue["hue_shift"], hue["sat_shift"], hue["val_shift"]) if hue else None,
        (tint["r_shift"], tint["g_shift"], tint["b_shift"]) if tint else None,
        (light["alpha"], light["beta"]) if light else None,
    )  # fmt: skip


@pytest.mark.parametrize("case", augmented_cases())
def test_varied_samples(case):
    """Pictures within 2/255 (1 % of the pixels may differ more after a turn or a change of hue), joints
    within 1e-3 of a pixel, skeletons equal in 99.5 % of the pixels."""
    truth = json.loads((TRAINING / "dataset_cases.json").read_text())
    about, side = truth["cases"][case], truth["image_size"]
    item = PoseDataset(TRAINING / "dataset").read(about["index"])
    draws = draws_of(about["transforms"])
    image, people = varied(item.image, item.people, (side, side), draws)
    golden = np.asarray(Image.open(TRAINING / "dataset_out" / f"{case}_jpg.png").convert("RGB")).astype(int)
    off = np.abs(image.astype(int) - golden).max(-1) > 2
    assert off.mean() <= (0.01 if draws.turn is not None or draws.shift is not None else 0)
    with np.load(TRAINING / "dataset_pose.npz") as file:
        joints = file[f"{case}.pose"][: len(people)]
    faulty = {tuple(place[:2]) for place in about["joints_outside_source_but_kept_at_its_corner"]}
    for n, k in np.ndindex(people.shape[:2]):
        if (n, k) in faulty:  # the released loader draws joints from outside the picture at its corner
            assert people[n, k, 2] == 0
        else:
            np.testing.assert_allclose(people[n, k], joints[n, k], atol=1e-3)
    if not faulty:
        pose = np.asarray(Image.open(TRAINING / "dataset_out" / f"{case}_pose.png").convert("RGB"))
        assert (draw_skeleton(people, side, side, truth["keypoint_thresh"]) == pose).all(-1).mean() >= 0.995
