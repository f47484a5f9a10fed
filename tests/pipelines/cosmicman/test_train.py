"""HOLA in training: captions and masks together, the golden formula, 20 steps and resume."""

import random
from dataclasses import replace

import pytest
import torch
from comfyui_figura.pipelines.base.configs import NewConfig
from comfyui_figura.pipelines.base.new import write_new
from comfyui_figura.pipelines.base.vae_task import new_vae
from comfyui_figura.pipelines.common.dense_captions import all_texts
from comfyui_figura.pipelines.common.diffusion_training import Said, say
from comfyui_figura.pipelines.common.errors import FiguraInputError
from comfyui_figura.pipelines.common.people_dataset import group_masks
from comfyui_figura.pipelines.common.training.configs import TrainerConfig
from comfyui_figura.pipelines.common.training.loop import train
from comfyui_figura.pipelines.common.weights import load_state_dict
from comfyui_figura.pipelines.common.write_base import WEIGHTS, write_module
from comfyui_figura.pipelines.cosmicman import hola
from comfyui_figura.pipelines.cosmicman.configs import HolaConfig, TrainConfig
from comfyui_figura.pipelines.cosmicman.train import HolaTask, spans_of
from comfyui_figura.pipelines.mannequin import formats, storage
from comfyui_figura.pipelines.mannequin.configs import demo

SIZE = (64, 32)


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def people(tmp_path_factory):
    return storage.write_set(formats.CosmicMan(demo(*SIZE), 6), tmp_path_factory.mktemp("people"), 24)


@pytest.fixture(scope="module")
def base(tmp_path_factory, people):
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("base")
    write_module(folder / "vae", new_vae((32, 32, 32, 32), 1), WEIGHTS)
    return write_new(NewConfig(folder / "base", folder / "vae", [people]))


def config(people, base, out, weight=1.0, stride=8, **more):
    trainer = TrainerConfig(
        out, steps=20, batch=4, checkpoint_every=10, log_every=5, sample_every=0, cpu=True
    )
    defaults = {"lr": 1e-3, "train_text": True, "cache_latents": True, "drop_per": "sample", "held_out": 4}
    defaults["hola"] = HolaConfig(weight, stride)
    return TrainConfig(trainer, base, [people], SIZE, **(defaults | more))


def test_every_group_of_a_sentence_has_its_place(people, base, tmp_path):
    task = HolaTask(config(people, base, tmp_path))
    for place in task.places[:8]:
        record = task.record(place)
        said = say(record, random.Random(0), sentences=1.0, drop=0.5)
        spans = spans_of(said, "clip_l")
        for text, span in zip(all_texts(record.shot, record.attributes), spans, strict=True):
            shot = text == "a full-body shot"  # not in the sentence
            assert (span is None) == (not text or shot), (said.caption, text)


def test_the_whole_persons_texts_can_be_left_out(people, base, tmp_path):
    parts_only = HolaTask(config(people, base, tmp_path, hola=HolaConfig(1.0, 8, whole_figure=False)))
    released = HolaTask(config(people, base, tmp_path))
    for place in released.places[:4]:
        said = say(released.record(place), random.Random(place), sentences=0.0, drop=0.1)
        for group, own, other in zip(
            said.groups, released._spans(said), parts_only._spans(said), strict=True
        ):
            assert other == (None if group in (0, 1, 2) else own)
    assert parts_only._spans(Said()) == released._spans(Said())


def test_masks_follow_the_shuffled_texts_and_vanish_with_dropped_groups(people, base, tmp_path):
    task = HolaTask(config(people, base, tmp_path))
    place = task.places[0]
    record, parts = task.record(place), task.read([place])["parts"][0]
    own = group_masks(parts.numpy(), record)
    said = say(record, random.Random(3), sentences=0.0, drop=0.4)
    masks = task._masks(place, parts, said)
    texts = all_texts(record.shot, record.attributes)
    dropped = 0
    for text, group, mask in zip(said.texts, said.groups, masks, strict=True):
        if group is None:
            assert text == "" and not mask.any()
            dropped += 1
        else:
            assert sorted(text.split()) == sorted(texts[group].split()) and torch.equal(mask, own[group])
    assert dropped > 3


def test_the_loss_is_the_one_of_full_attention_maps(people, base, tmp_path):
    """Against softmax(QK) written out: the same number, from an independent path through the UNet."""
    task = HolaTask(config(people, base, tmp_path))
    batch = task.read(task.places[:3])
    said = [say(task.record(int(p)), random.Random(0), 1.0, 0.0) for p in batch["place"]]
    said[1] = Said()  # dropped text takes no part
    noisy, times = torch.randn(3, 4, 8, 4), torch.tensor([10, 500, 900])
    _, losses = task.forward(noisy, times, said, batch)
    seen = []

    class Recorder:
        def __call__(self, attn, hidden_states, encoder_hidden_states=None, attention_mask=None, **_):
            parts = (
                attn.to_q(hidden_states),
                attn.to_k(encoder_hidden_states),
                attn.to_v(encoder_hidden_states),
            )
            q, k, v = (p.unflatten(-1, (attn.heads, -1)).transpose(1, 2) for p in parts)
            maps = (q @ k.mT * attn.scale).softmax(-1)
            if maps.shape[-2] == 8 * 4:
                seen.append(maps)
            return attn.to_out[0]((maps @ v).transpose(1, 2).flatten(2))

    unet = task.modules["denoiser"].unet
    for name, module in unet.named_modules():
        if name.endswith("attn2"):
            module.processor = Recorder()
    task.answer(noisy, times, said)
    total = []
    for row in (0, 2):
        spans = spans_of(said[row], "clip_l")
        masks = task._masks(int(batch["place"][row]), batch["parts"][row], said[row])
        targets = hola.layer_targets(masks[None], 8, 4)[0].flatten(1)
        layers = []
        for maps in seen:
            columns, wanted = [], []
            for span, target in zip(spans, targets, strict=True):
                if span:
                    own = maps[row][..., span[0] : span[1]]
                    columns.append(torch.cat([own, own.mean(-1, keepdim=True)], -1))
                    wanted.append(target[:, None].expand(-1, columns[-1].shape[-1]))
            layers.append((torch.cat(columns, -1) - torch.cat(wanted, -1)).square().mean((1, 2)))
        total.append(torch.cat(layers).mean())
    assert len(seen) == 3  # one layer down, two up, at the full latent grid
    assert losses["hola"].item() == pytest.approx(torch.stack(total).mean().item(), rel=1e-5)


def test_twenty_steps_and_a_resumed_run_is_the_same_bit_for_bit(people, base, tmp_path):
    whole, halves = tmp_path / "whole", tmp_path / "halves"
    settings = config(people, base, whole)
    train(HolaTask(settings), settings.trainer)

    def killed(done, total, preview=None):
        if done >= 4 * 13:
            raise KeyboardInterrupt

    settings = config(people, base, halves)
    with pytest.raises(KeyboardInterrupt):
        train(HolaTask(settings), settings.trainer, killed)
    train(HolaTask(settings), settings.trainer)
    for name in ("weights", "averages", "optimizers"):
        one, other = (
            load_state_dict(f / "checkpoints" / "step_00000020" / f"{name}.safetensors")
            for f in (whole, halves)
        )
        assert one.keys() == other.keys() and all(torch.equal(one[key], other[key]) for key in one), name
    lines = (whole / "log.jsonl").read_bytes()
    assert lines == (halves / "log.jsonl").read_bytes() and b'"hola"' in lines
    assert (whole / "model" / "model_index.json").is_file()


def test_hola_draws_attention_to_the_groups_own_pixels(people, base, tmp_path):
    """40 updates on 20 pictures: the loss on fixed noise falls clearly with it, and less without."""
    found = {}
    for weight in (0.0, 3.0):
        settings = config(people, base, tmp_path / str(weight), weight, lr=3e-3)
        settings = replace(settings, trainer=replace(settings.trainer, steps=40))
        task = HolaTask(settings)
        train(task, settings.trainer)
        task.needs_parts = True
        batch = task.read(task.places)
        said = [say(task.record(int(p)), random.Random(0), 1.0, 0.0) for p in batch["place"]]
        rng = torch.Generator().manual_seed(0)
        noisy = torch.randn(len(said), 4, 8, 4, generator=rng)
        with torch.no_grad():
            found[weight] = task.forward(noisy, torch.full((len(said),), 600), said, batch)[1]["hola"].item()
    assert found[3.0] < 0.95 * found[0.0], found


@pytest.mark.parametrize(
    "weight, stride, word", [(-1.0, 8, "hola.weight"), (1.0, 0, "hola.stride"), (1.0, 32, "hola.stride")]
)
def test_settings_that_cannot_work(people, base, tmp_path, weight, stride, word):
    with pytest.raises(FiguraInputError, match=word):
        HolaTask(config(people, base, tmp_path, weight, stride))
