"""Tiny bases: their layout and families, the words they know, and training one for 20 steps with resume."""

import json
from pathlib import Path

import pytest
import torch
from comfyui_figura.pipelines.base.commands import pack
from comfyui_figura.pipelines.base.configs import NewConfig, PackConfig, TextConfig
from comfyui_figura.pipelines.common import base_model, ldm_text, text
from comfyui_figura.pipelines.common.compact_text import CompactText, compact, words_of
from comfyui_figura.pipelines.common.diffusion_training import DiffusionTask, NoiseSchedule
from comfyui_figura.pipelines.common.errors import FiguraInputError, FiguraWeightsError
from comfyui_figura.pipelines.common.training.configs import TrainerConfig
from comfyui_figura.pipelines.common.training.loop import train
from comfyui_figura.pipelines.common.weights import load_state_dict

CAPTION = "a man with short gray hair, red sweater"


def config(people, base, out, steps=20, **more):
    trainer = TrainerConfig(
        out, steps=steps, batch=4, checkpoint_every=10, log_every=5, sample_every=0, cpu=True
    )
    return TextConfig(
        trainer, base_path=base, data=[people], size=(64, 32), held_out=4, warmup=2, preview_steps=2, **more
    )


@pytest.mark.parametrize("family", ["sd15", "sd21"])
def test_a_new_base_opens_and_packs(family, bases, tmp_path):
    base = base_model.open_base(bases[family], unet=True)
    (name,) = base.encoders
    assert name == {"sd15": "clip_l", "sd21": "clip_h"}[family]
    assert base.unet.config.use_linear_projection == (family == "sd21")
    words = text.encode(base.encoders, [CAPTION]).embeds
    sample, time = torch.randn(1, 4, 8, 4), torch.tensor([5])
    with torch.no_grad():
        want = base.unet(sample, time, words).sample
    sizes = []
    for few in (False, True):
        pack(PackConfig(bases[family], tmp_path / "one.safetensors", half=False, few_words=few))
        single = base_model.open_base(tmp_path / "one.safetensors", unet=True)
        assert list(single.encoders) == [name]
        torch.testing.assert_close(text.encode(single.encoders, [CAPTION]).embeds, words, rtol=0, atol=1e-6)
        with torch.no_grad():
            torch.testing.assert_close(single.unet(sample, time, words).sample, want, rtol=0, atol=1e-5)
        sizes.append((tmp_path / "one.safetensors").stat().st_size)
    assert sizes[0] - sizes[1] > 12_000_000  # three million zeros in fp32


def test_stock_diffusers_opens_the_folder(bases):
    from diffusers import StableDiffusionPipeline

    pipe = StableDiffusionPipeline.from_pretrained(bases["sd15"], local_files_only=True)
    picture = pipe(
        CAPTION, height=64, width=32, num_inference_steps=1, output_type="np", generator=torch.manual_seed(0)
    ).images
    assert picture.shape == (1, 64, 32, 3)


def test_words_of_captions_cover_their_tokens():
    ids = words_of([CAPTION, "a t-shirt, in front of a light blue wall"], "clip_l")
    assert set(text.token_ids("red t-shirt, a man")) <= set(ids) and ids == sorted(set(ids))


def test_only_known_words_are_stored_and_come_back():
    table = torch.zeros(ldm_text.VOCABULARY, 8)
    table[[3, 77, 49407]] = torch.randn(3, 8)
    few = compact({ldm_text.TOKENS: table})
    assert few[ldm_text.TOKENS].shape == (3, 8) and few[ldm_text.ROWS].tolist() == [3, 77, 49407]
    assert torch.equal(ldm_text.text_names(few)[ldm_text.TOKENS], table)
    for rows in (torch.tensor([1, 2]), torch.tensor([1, 2, ldm_text.VOCABULARY]), torch.tensor([-1, 2, 3])):
        with pytest.raises(FiguraWeightsError):
            ldm_text.text_names(few | {ldm_text.ROWS: rows})


def test_a_compact_encoder_says_the_same_and_gives_back_what_it_learnt(bases):
    (encoder,) = base_model.open_base(bases["sd15"]).encoders.values()
    few = CompactText(encoder, words_of([CAPTION], "clip_l"))
    ids = text.padded_ids([CAPTION])
    with torch.no_grad():
        want = encoder(ids).last_hidden_state
        torch.testing.assert_close(few(ids).last_hidden_state, want, rtol=0, atol=1e-6)
        few.encoder.get_input_embeddings().weight += 1
        changed = few(ids).last_hidden_state
    whole = few.whole(encoder)
    torch.testing.assert_close(whole(ids).last_hidden_state, changed, rtol=0, atol=1e-6)
    untouched = next(i for i in range(1000) if i not in few.ids)
    table, before = (e.get_input_embeddings().weight for e in (whole, encoder))
    assert torch.equal(table[untouched], before[untouched])


@pytest.mark.parametrize("kind", ["epsilon", "v_prediction"])
def test_noise_and_target_belong_together(kind):
    """From x_t and the target, x_0 comes back: the identities of DDPM and of v-prediction."""
    schedule = NoiseSchedule({"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear",
                              "prediction_type": kind})  # fmt: skip
    clean, noise, times = torch.randn(3, 4, 2, 2), torch.randn(3, 4, 2, 2), torch.tensor([0, 500, 999])
    noisy, target = schedule.noisy(clean, noise, times), schedule.target(clean, noise, times)
    a = schedule.alphas[times][:, None, None, None]
    back = (noisy - (1 - a).sqrt() * target) / a.sqrt() if kind == "epsilon" else (
        a.sqrt() * noisy - (1 - a).sqrt() * target
    )  # fmt: skip
    torch.testing.assert_close(back, clean, rtol=0, atol=1e-4)
    assert schedule.steps == 1000 and schedule.alphas[-1].item() == pytest.approx(0.00466, abs=1e-5)


def test_twenty_steps_fall_and_a_resumed_run_is_the_same_bit_for_bit(people, bases, tmp_path):
    whole, halves = tmp_path / "whole", tmp_path / "halves"
    settings = config(people, bases["sd15"], whole)
    task = DiffusionTask(settings)
    before = probe(task, task.modules["denoiser"])
    train(task, settings.trainer)
    assert probe(task, task.modules["denoiser"]) < 0.9 * before

    def killed(done, total, preview=None):
        if done >= 4 * 13:
            raise KeyboardInterrupt

    settings = config(people, bases["sd15"], halves)
    with pytest.raises(KeyboardInterrupt):
        train(DiffusionTask(settings), settings.trainer, killed)
    train(DiffusionTask(settings), settings.trainer)
    for name in ("weights", "averages", "optimizers"):
        one, other = (
            load_state_dict(f / "checkpoints" / "step_00000020" / f"{name}.safetensors")
            for f in (whole, halves)
        )
        assert one.keys() == other.keys() and all(torch.equal(one[key], other[key]) for key in one), name
    assert (whole / "log.jsonl").read_bytes() == (halves / "log.jsonl").read_bytes()
    made = base_model.open_base(whole / "model", unet=True)
    start = base_model.open_base(bases["sd15"], unet=True)
    for got, was in ((made.unet, start.unet), (made.encoders["clip_l"], start.encoders["clip_l"])):
        assert any(not torch.equal(a, b) for a, b in zip(got.parameters(), was.parameters(), strict=True))


@torch.no_grad()
def probe(task, network):
    """The noise loss on all pictures at fixed times and noise, whatever the training batches were."""
    rng = torch.Generator().manual_seed(0)
    places = task.places
    batch = task.read(places)
    clean = batch["mean"] * task.scaling
    noise, times = torch.randn(clean.shape, generator=rng), torch.arange(len(places)) * 900 // len(places)
    ids = text.padded_ids([task.record(place).caption for place in places])
    answer = network(task.noise.noisy(clean, noise, times), times, ids)
    return torch.nn.functional.mse_loss(answer, noise).item()


def test_cached_latents_are_those_of_the_pictures_and_are_kept(people, bases, tmp_path):
    cached = DiffusionTask(config(people, bases["sd15"], tmp_path))
    live = DiffusionTask(config(people, bases["sd15"], tmp_path, cache_latents=False))
    one, other = cached.batch([3, 5]), live.batch([3, 5])
    with torch.no_grad():
        posterior = cached.base.vae.encode(other["pixels"]).latent_dist
    torch.testing.assert_close(one["mean"], posterior.mean, rtol=1e-2, atol=1e-2)  # kept in fp16
    assert one["place"].tolist() == other["place"].tolist()
    stamp = (tmp_path / "latents.safetensors").stat().st_mtime_ns
    DiffusionTask(config(people, bases["sd15"], tmp_path))
    assert (tmp_path / "latents.safetensors").stat().st_mtime_ns == stamp


def test_a_picture_drawn_alone_is_the_one_of_the_batch(people, bases, tmp_path):
    task = DiffusionTask(config(people, bases["sd15"], tmp_path))
    both = task.draw([CAPTION, "a woman"], [7, 8])
    alone = task.draw(["a woman"], [8])
    torch.testing.assert_close(both[1:], alone, rtol=0, atol=1e-4)  # fp32, other batch size
    assert both.shape == (2, 3, 64, 32) and both.abs().max() <= 1


def test_captions_are_dropped_and_varied_by_the_given_chance(people, bases, tmp_path):
    import random

    task = DiffusionTask(config(people, bases["sd15"], tmp_path, drop_text=0.5))
    said = task._say([0] * 400, random.Random(0))
    empty = sum(not one.caption for one in said)
    assert 150 < empty < 250
    sentence = task.record(0).sentence
    assert 0.3 < sum(one.caption == sentence for one in said) / (400 - empty) < 0.7
    per_batch = DiffusionTask(config(people, bases["sd15"], tmp_path, drop_text=0.5, drop_per="batch"))
    drops = [{not one.caption for one in per_batch._say([0] * 4, random.Random(n))} for n in range(20)]
    assert all(len(kinds) == 1 for kinds in drops) and {True} in drops and {False} in drops


@pytest.mark.parametrize(
    "change, word",
    [
        ({"data": []}, "data"),
        ({"size": (60, 32)}, "size"),
        ({"lr": 0.0}, "lr"),
        ({"drop_text": 1.5}, "drop_text"),
        ({"ema": 1.0}, "ema"),
        ({"score": "no.such.module:f"}, "score"),
    ],
)
def test_settings_that_cannot_work(people, bases, tmp_path, change, word):
    settings = {**config(people, bases["sd15"], tmp_path).__dict__, **change}
    with pytest.raises(FiguraInputError, match=word):
        DiffusionTask(TextConfig(**settings))


def test_a_base_that_is_not_there(people, tmp_path):
    with pytest.raises(FiguraInputError, match="base"):
        DiffusionTask(config(people, tmp_path / "none", tmp_path))


@pytest.mark.parametrize("change, word", [({"widths": (96,)}, "widths"), ({"text_width": 32}, "text-width")])
def test_a_new_base_of_impossible_sizes(people, vae_folder, tmp_path, change, word):
    from comfyui_figura.pipelines.base.new import write_new

    with pytest.raises(FiguraInputError, match=word):
        write_new(NewConfig(tmp_path / "base", vae_folder, [people], **change))
    assert not (tmp_path / "base").exists()


def test_the_index_names_what_is_there(bases):
    index = json.loads((bases["sd21"] / "model_index.json").read_text())
    assert index["text_encoder"] == ["transformers", "CLIPTextModel"]
    assert all(
        (bases["sd21"] / part).is_dir() for part in ("unet", "vae", "text_encoder", "tokenizer", "scheduler")
    )


def test_mannequins_drawn_in_memory_train_as_the_folder(people, bases, tmp_path):
    """Vocabulary, latents and updates: nothing tells the two apart."""
    drawn, states = Path(".mannequin.stream:people,count=24,seed=5"), []
    for data in (people, drawn):
        made = config(data, bases["sd15"], tmp_path / data.name, steps=3, train_text=True, cache_latents=True)
        train(DiffusionTask(made), made.trainer)
        states.append(load_state_dict(tmp_path / data.name / "model" / "unet"))
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])
