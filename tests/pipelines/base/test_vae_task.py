"""The autoencoder's trainer: losses by hand, standardisation, skeletons, settings, 20 steps and resume."""

import json
import math

import numpy as np
import pytest
import torch
from comfyui_figura.pipelines.base import standardise
from comfyui_figura.pipelines.base.configs import VaeConfig
from comfyui_figura.pipelines.base.skeletons import draw_random
from comfyui_figura.pipelines.base.vae_task import (
    VaeTask,
    new_vae,
    pixel_weights,
    psnr,
    reconstruction_loss,
)
from comfyui_figura.pipelines.common.base_model import build_vae
from comfyui_figura.pipelines.common.base_parts import read_module
from comfyui_figura.pipelines.common.errors import FiguraInputError
from comfyui_figura.pipelines.common.schedules import cosine_with_warmup
from comfyui_figura.pipelines.common.training.configs import TrainerConfig
from comfyui_figura.pipelines.common.training.loop import train
from comfyui_figura.pipelines.common.weights import load_state_dict


def config(people, out, steps=20, **more):
    trainer = TrainerConfig(
        out, steps=steps, batch=2, checkpoint_every=10, log_every=5, sample_every=0, cpu=True
    )
    return VaeConfig(trainer, [people], (64, 32), (32, 32, 32, 32), held_out=4, lr=3e-3, warmup=2, **more)


def test_small_parts_weigh_more_and_the_background_one():
    labels = np.zeros((20, 20), np.uint8)
    labels[:10, :10] = 4  # a quarter of the picture
    labels[15, :4] = 9  # one hundredth
    weights = pixel_weights(labels, figure=3.0, small=0.05)
    assert weights[19, 19] == 1 and weights[0, 0] == 3
    assert weights[15, 0] == pytest.approx(3 * math.sqrt(0.05 / 0.01), rel=1e-6)


def test_the_loss_by_hand():
    pixels = torch.zeros(1, 3, 2, 2)
    back = torch.zeros(1, 3, 2, 2)
    back[..., 0, 0] = 0.5
    weights = torch.ones(1, 1, 2, 2)
    weights[..., 0, 0] = 4
    plain = 4 * (0.5 + 0.25) / 4  # one of four pixels
    assert reconstruction_loss(back, pixels, weights, 0).item() == pytest.approx(plain)
    # both axes: two pairs, one of them off by 0.5 under the smaller root weight of the pair (1)
    edges = 2 * (0.5 / 2)
    assert reconstruction_loss(back, pixels, weights, 2.0).item() == pytest.approx(plain + 2 * edges)


def test_psnr_of_a_known_error():
    pixels, back = torch.zeros(1, 3, 4, 4), torch.full((1, 3, 4, 4), 0.2)
    assert psnr(back, pixels) == pytest.approx(20, abs=1e-4)  # an error of 0.1 of the range
    mask = torch.zeros(1, 1, 4, 4)
    mask[..., 0, 0] = 1
    back[..., 0, 0] = 0.02
    assert psnr(back, pixels, mask) == pytest.approx(40, abs=1e-3)


def test_cosine():
    rates = [cosine_with_warmup(step, 4, 100) for step in (0, 3, 50, 100)]
    assert rates == pytest.approx([0.25, 0.5 * (1 + math.cos(0.03 * math.pi)), 0.5, 0.01])
    assert cosine_with_warmup(90, 4, 100, cosine=False) == 1


def test_standardised_latents_decode_to_the_same_picture():
    torch.manual_seed(1)
    vae = new_vae((32, 32, 32, 32), 1).eval()
    pixels = torch.rand(6, 3, 64, 32) * 2 - 1
    with torch.no_grad():
        before = vae.encode(pixels).latent_dist
        picture = vae.decode(before.mean).sample
        mean, deviation = standardise.latent_statistics(vae, pixels)
        standardise.fold(vae, mean, deviation)
        after = vae.encode(pixels).latent_dist
    found = (after.mean * standardise.FACTOR).transpose(0, 1).flatten(1)
    torch.testing.assert_close(found.mean(1), torch.zeros(4), rtol=0, atol=1e-4)
    torch.testing.assert_close(found.std(1), torch.ones(4), rtol=0, atol=1e-4)
    scale = (deviation * standardise.FACTOR)[None, :, None, None]
    torch.testing.assert_close(after.std * scale, before.std, rtol=1e-4, atol=1e-6)
    with torch.no_grad():  # fp32, another order of sums
        torch.testing.assert_close(vae.decode(after.mean).sample, picture, rtol=0, atol=1e-4)


def test_skeletons_are_drawn_alike_and_differ():
    first = draw_random(3, (64, 32))
    assert first.shape == (64, 32, 3) and (first == draw_random(3, (64, 32))).all()
    assert (first != draw_random(4, (64, 32))).any()
    drawn = first.any(-1)
    assert 0.03 < drawn.mean() < 0.6 and not first[~drawn].any()


@pytest.mark.parametrize(
    "change, word",
    [
        ({"data": []}, "data"),
        ({"size": (60, 32)}, "size"),
        ({"widths": (32, 48)}, "widths"),
        ({"lr": float("nan")}, "lr"),
        ({"skeletons": 1.0}, "skeletons"),
    ],
)
def test_settings_that_cannot_work(people, tmp_path, change, word):
    settings = {**config(people, tmp_path).__dict__, **change}
    with pytest.raises(FiguraInputError, match=word):
        VaeTask(VaeConfig(**settings))


def log_of(folder):
    return [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]


def test_twenty_steps_fall_and_a_resumed_run_is_the_same_bit_for_bit(people, tmp_path):
    whole, halves = tmp_path / "whole", tmp_path / "halves"
    train(VaeTask(config(people, whole)), config(people, whole).trainer)
    lines = log_of(whole)
    assert lines[-1]["loss"] < 0.95 * lines[0]["loss"]  # 1.62 after 1.86 when written

    def killed(done, total, preview=None):
        if done >= 2 * 13:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(VaeTask(config(people, halves)), config(people, halves).trainer, killed)
    train(VaeTask(config(people, halves)), config(people, halves).trainer)
    for name in ("weights", "averages", "optimizers"):
        one, other = (
            load_state_dict(f / "checkpoints" / "step_00000020" / f"{name}.safetensors")
            for f in (whole, halves)
        )
        assert one.keys() == other.keys() and all(torch.equal(one[key], other[key]) for key in one), name
    assert log_of(halves) == lines
    settings, state = read_module(halves / "vae")
    vae = build_vae(state, settings, "vae")
    assert vae.config.scaling_factor == pytest.approx(0.18215)


def test_a_reader_is_asked_about_held_out_pictures(people, tmp_path):
    asked = VaeTask(config(people, tmp_path))
    asked.score = lambda pictures, records: {"pictures": float(len(pictures)), "records": float(len(records))}
    found = asked.measure(0)
    assert found["pictures"] == found["records"] == 4 and found["psnr"] > 0
    trained = {asked.sets[0].records[place].path for _, place in asked.places}
    assert not trained & {record.path for record in asked.held_out(4)[2]}
