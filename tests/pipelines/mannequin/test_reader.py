"""The reader: its parts by themselves, and the shipped networks on figures they never saw."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from comfyui_figura.pipelines.common.errors import FiguraInputError, FiguraWeightsError
from comfyui_figura.pipelines.common.training.configs import TrainerConfig
from comfyui_figura.pipelines.mannequin import captions, configs
from comfyui_figura.pipelines.mannequin.palette import CLOTHES, WALLS
from comfyui_figura.pipelines.mannequin.reader import (
    colors,
    commands,
    data,
    networks,
    scores,
    softening,
)
from comfyui_figura.pipelines.mannequin.reader import reading as reading_module
from comfyui_figura.pipelines.mannequin.reader.configs import HELD_OUT_SEED, ReaderConfig
from comfyui_figura.pipelines.mannequin.reader.reading import (
    SHIPPED,
    Reader,
    canonical,
    load_reader,
    save_reader,
)
from comfyui_figura.pipelines.mannequin.reader.targets import ATTRIBUTES, KINDS, PARTS, target_of
from comfyui_figura.pipelines.mannequin.scene import render

COUNT = 48


@pytest.fixture(scope="module")
def shipped():
    return load_reader()


@pytest.fixture(scope="module")
def held_out():
    return scores.held_out(COUNT)


# The shipped networks. Floors lie under what docs/results/mannequin.md states for more figures: of 48, one
# is .02, and colours are stated at .98 and more.


def test_shipped_colours_kinds_and_pose_are_read_right(shipped, held_out):
    pixels, truths = held_out
    found = scores.truth_scores(shipped.read(pixels), truths)
    for slot in ("hair", "top", "bottom", "shoes", "wall"):
        assert found[f"color_{slot}"] >= 0.95, (slot, found)
    for kind in ("hair", "top", "bottom", "shoes"):
        assert found[f"kind_{kind}"] >= 0.93, (kind, found)
    assert found["pck"] >= 0.95 and found["iou_figure"] >= 0.93, found


def test_shipped_reads_soft_and_half_size_pictures(shipped, held_out):
    pixels, truths = held_out
    found = scores.truth_scores(shipped.read(softening.blurred(pixels, 2.0)), truths)
    assert min(found[f"color_{slot}"] for slot in ("top", "bottom", "shoes")) >= 0.93, found
    assert found["pck"] >= 0.9
    small, small_truths = scores.held_out(COUNT, size=(64, 32))
    readings = shipped.read(small)
    right = [r.colors.get("top") == t.colors["top"] for r, t in zip(readings, small_truths, strict=True)]
    assert np.mean(right) >= 0.95
    points = np.stack([r.keypoints for r in readings])
    assert np.nanmean(scores.pck(points, np.stack([t.points for t in small_truths]), 64)) >= 0.93


def test_shipped_answers_follow_the_picture_and_not_a_habit(shipped, held_out):
    """Read against other figures' truth the scores fall to chance (.125) and a quarter."""
    pixels, truths = held_out
    found = scores.truth_scores(shipped.read(pixels), truths[1:] + truths[:1])
    assert found["clothes_colors"] < 0.3 and found["all_three"] < 0.1


def test_shipped_file_is_small_and_tells_its_format():
    assert SHIPPED.stat().st_size < 2_000_000
    assert (SHIPPED.parent / "README.md").is_file()


def test_features_tell_blurred_figures_from_sharp_ones(shipped):
    """Of 120 figures the distance of the means alone: covariances of 64 features need more. Measured 1.6
    between renders and 9.5 to blurred ones with 100."""
    pixels, _ = scores.held_out(240, world=2)
    one, two = (shipped.features(part).numpy() for part in pixels.split(120))
    soft = shipped.features(softening.blurred(pixels[:120], 2.0)).numpy()
    assert one.shape == (120, networks.FEATURES)
    far, near = (((side.mean(0) - two.mean(0)) ** 2).sum() for side in (soft, one))
    assert far > 3 * near
    assert scores.frechet_distance(soft, two) > 1.5 * scores.frechet_distance(one, two)


def test_features_do_not_depend_on_the_batch(shipped, held_out):
    pixels, _ = held_out
    together, alone = shipped.features(pixels[:5]), shipped.features(pixels[2:3])
    assert torch.allclose(together[2:3], alone, atol=1e-5)


# Its parts.


def test_held_out_figures_are_none_of_those_trained_on():
    assert ReaderConfig(TrainerConfig(out=SHIPPED)).world_seed != HELD_OUT_SEED
    with pytest.raises(FiguraInputError):
        ReaderConfig(TrainerConfig(out=SHIPPED), world_seed=HELD_OUT_SEED).check()


def test_targets_are_the_pictures_own_truth():
    picture = render(configs.demo(), 4, 8)
    target, look = target_of(picture), picture.people[0].look
    assert target.colors == {
        "hair": look.hair.color, "top": look.top.color, "bottom": look.bottom.color,
        "shoes": look.shoes.color, "wall": picture.backdrop.words[2:-5],
    }  # fmt: skip
    kinds = {name: KINDS[name][index] for name, index in zip(KINDS, target.kinds, strict=True)}
    assert kinds["top"] == look.top.kind and kinds["bottom"] == look.bottom.kind
    values = dict(zip(ATTRIBUTES, target.attributes, strict=True))
    assert values["top red"] == pytest.approx(CLOTHES[look.top.color][0] / 255)
    assert values["left_ankle y"] == pytest.approx(picture.people[0].keypoints[15, 1] / 128)


def test_a_mirrored_figure_has_mirrored_truth():
    figures = data.Figures(3)
    batch = figures.batch([0, 1, 2])
    turned = data.mirrored(batch, torch.tensor([True, False, True]))
    assert torch.equal(turned["pixels"][0], batch["pixels"][0].flip(2))
    assert torch.equal(turned["pixels"][1], batch["pixels"][1])
    left, right = PARTS.index("left shoe"), PARTS.index("right shoe")
    assert torch.equal(turned["parts"][0] == left, (batch["parts"][0] == right).flip(1))
    assert torch.allclose(turned["points"][0, 9, 0], 63 - batch["points"][0, 10, 0])
    wrist = ATTRIBUTES.index("left_wrist x"), ATTRIBUTES.index("right_wrist x")
    assert turned["attributes"][2, wrist[0]] == pytest.approx(
        63 / 128 - float(batch["attributes"][2, wrist[1]])
    )
    yaw = ATTRIBUTES.index("yaw")
    assert turned["attributes"][0, yaw] == -batch["attributes"][0, yaw]
    again = data.mirrored(turned, torch.tensor([True, False, True]))
    assert all(torch.allclose(again[name], batch[name]) for name in batch)


def test_joint_targets_are_found_where_they_were_put():
    points = torch.tensor([[[20.0, 40.0, 2.0], [0.5, 127.0, 2.0], [33.3, 7.8, 1.0]]])
    from comfyui_figura.pipelines.mannequin.reader.training import joint_target

    found = networks.joint_points(joint_target(points, 64, 32).clamp(min=1e-12).log())
    assert torch.allclose(found[..., :2], points[..., :2], atol=1.0)
    assert (found[..., 2] > 0.8).all()


@pytest.mark.parametrize("region", ["top", "wall", "hair", "skin"])
def test_named_colours_read_as_themselves_in_light_and_shade(region):
    for name, color in colors.NAMES[region].items():
        for light in (0.94, 1.0, 1.04):
            assert colors.name_color(region, np.clip(np.array(color) * light, 0, 255)) == name


def test_a_region_that_is_not_there_has_no_colour():
    image, none = np.zeros((8, 8, 3)), np.zeros((8, 8))
    assert colors.region_color(image, none) is None
    some = none.copy()
    some[:4] = 0.9
    image[:4] = (200, 50, 56)
    assert colors.region_color(image, some).tolist() == [200, 50, 56]


def test_captions_are_read_back_word_for_word():
    for index in range(60):
        picture = render(configs.demo(), 7, index)
        asked, target = scores.parse_caption(captions.short_caption(picture)), target_of(picture)
        assert asked.colors == target.colors
        assert asked.kinds == {name: KINDS[name][i] for name, i in zip(KINDS, target.kinds, strict=True)}
    assert scores.parse_caption("nothing of the kind") == scores.Asked()


def truthful(picture):
    """A reading without fault."""
    target = target_of(picture)
    kinds = {name: KINDS[name][index] for name, index in zip(KINDS, target.kinds, strict=True)}
    return reading_module.Reading(dict(target.colors), kinds, target.points, target.parts), target


def test_scores_are_one_for_the_truth_and_count_each_fault():
    pairs = [truthful(render(configs.demo(), 8, index)) for index in range(20)]
    readings, truths = [list(side) for side in zip(*pairs, strict=True)]
    texts = [captions.short_caption(render(configs.demo(), 8, index)) for index in range(20)]
    assert [reading.caption for reading in readings] == texts
    perfect = scores.truth_scores(readings, truths)
    assert all(value == 1.0 for value in perfect.values()), perfect
    asked = scores.caption_scores(readings, texts)
    assert asked.pop("swapped") == 0.0 and all(value == 1.0 for value in asked.values())
    wrong = readings[0]
    swapped = replace(
        wrong, colors={**wrong.colors, "top": wrong.colors["bottom"], "bottom": wrong.colors["top"]}
    )
    moved = wrong.keypoints + np.array([6.0, 0, 0], np.float32)
    spoiled = [replace(swapped, keypoints=moved), *readings[1:]]
    found = scores.truth_scores(spoiled, truths)
    assert found["color_top"] == 0.95 and found["all_three"] == 0.95 and found["color_shoes"] == 1.0
    assert found["pck"] == pytest.approx(0.95, abs=1e-6)
    assert scores.caption_scores(spoiled, texts)["swapped"] > 0


def test_frechet_distance_of_known_gaussians():
    """Means 3 apart and deviations 1 and 2 in each of 4 directions: 9 + 4 (1 - 2)^2 = 13."""
    draw = np.random.default_rng(0)
    one = draw.normal(size=(200_000, 4))
    two = draw.normal(size=(200_000, 4)) * 2
    two[:, 0] += 3
    assert scores.frechet_distance(one, two) == pytest.approx(13, rel=0.02)
    assert scores.frechet_distance(one, one) == pytest.approx(0, abs=1e-6)
    with pytest.raises(FiguraInputError):
        scores.frechet_distance(one[:1], two)


def test_a_pass_that_changes_nothing_costs_nothing(shipped):
    pixels, truths = scores.held_out(12)
    direct = scores.truth_scores(shipped.read(pixels), truths)
    assert scores.round_trip_scores(shipped, lambda x: x, 12) == direct
    ruined = scores.round_trip_scores(shipped, lambda x: torch.zeros_like(x), 12)
    assert ruined["clothes_colors"] < 0.3


def test_the_command_measures_behind_an_autoencoder(tmp_path, shipped, capsys):
    """The demo bases' own: clothes are read through it, the wall's colour suffers (docs/results)."""
    vae = SHIPPED.parents[1] / "base" / "vae"
    commands.read(commands.ReadConfig(through=vae, count=8, out=tmp_path / "o.json"))
    found = json.loads((tmp_path / "o.json").read_text())
    assert found["demo_clothes_colors"] >= 0.95 and found["lively_clothes_colors"] >= 0.9
    direct = scores.truth_scores(shipped.read(scores.held_out(8)[0]), scores.held_out(8)[1])
    assert {f"demo_{name}" for name in direct} <= set(found)
    assert 0.5 < found["demo_iou_figure"] < direct["iou_figure"]


def test_softening_is_a_function_of_its_generator_and_keeps_the_range():
    pixels = data.Figures(3).batch([0, 1, 2, 3])["pixels"]
    one, two = (softening.soften(pixels, torch.Generator().manual_seed(5)) for _ in range(2))
    assert torch.equal(one, two) and one.abs().max() <= 1 and not torch.equal(one, pixels)
    flat = torch.full((1, 3, 32, 16), 0.3)
    assert torch.allclose(softening.blurred(flat, 2.0), flat, atol=1e-6)


@pytest.mark.parametrize(
    "bad",
    [
        torch.zeros(3, 128, 64), torch.zeros(0, 3, 128, 64), torch.zeros(1, 1, 128, 64),
        torch.zeros(1, 3, 64, 64), torch.zeros(1, 3, 4, 2), torch.full((1, 3, 128, 64), float("nan")),
        torch.full((1, 3, 128, 64), 200.0),
        np.zeros((1, 3, 128, 64)),
    ],
)  # fmt: skip
def test_pictures_that_cannot_be_read_are_refused(bad):
    with pytest.raises(FiguraInputError):
        canonical(bad)


@pytest.mark.parametrize("size", [(64, 32), (130, 64), (512, 256), (33, 17)])
def test_pictures_of_any_size_are_read_and_points_are_theirs(shipped, size):
    pixels, truths = scores.held_out(3, size=size)
    readings = shipped.read(pixels)
    assert readings[0].parts.shape == (128, 64)
    ankles = np.stack([r.keypoints[15:, 1] for r in readings])
    assert (ankles < size[0]).all() and (ankles > size[0] * 0.7).all()


def test_a_saved_reader_reads_the_same(tmp_path, shipped):
    save_reader(shipped, tmp_path / "r.safetensors")
    again = load_reader(tmp_path / "r.safetensors")
    pixels, _ = scores.held_out(3)
    assert torch.equal(again.features(pixels), shipped.features(pixels))


def test_another_file_is_refused(tmp_path):
    (tmp_path / "r.safetensors").write_bytes(b"no weights")
    with pytest.raises(FiguraWeightsError):
        load_reader(tmp_path / "r.safetensors")
    reader = Reader(networks.BodyNet(), networks.AttributeNet())
    del reader.body.maps
    save_reader(reader, tmp_path / "part.safetensors")
    with pytest.raises(FiguraWeightsError):
        load_reader(tmp_path / "part.safetensors")


def test_a_short_training_learns_and_writes_its_file(tmp_path, capsys):
    config = ReaderConfig(
        TrainerConfig(tmp_path / "run", steps=14, batch=6, sample_every=14, log_every=2, cpu=True),
        pictures=30, held_out=6, average=0.5,
    )  # fmt: skip
    commands.train_reader(config)
    log = [json.loads(line) for line in (tmp_path / "run/log.jsonl").read_text().splitlines()]
    assert log[-1]["parts"] < 0.8 * log[0]["parts"]
    load_reader(tmp_path / "run/reader.safetensors")
    assert list((tmp_path / "run/samples").glob("readings_*.png"))


def test_walls_of_the_palette_are_told_apart():
    assert {colors.name_color("wall", np.array(color)) for color in WALLS.values()} == set(WALLS)


def test_one_network_is_trained_and_the_other_kept(tmp_path, shipped):
    trainer = TrainerConfig(tmp_path / "run", steps=2, batch=4, sample_every=0, cpu=True)
    config = ReaderConfig(trainer, pictures=30, only="attributes", start=SHIPPED, average=0.0)
    commands.train_reader(config)
    found = load_reader(tmp_path / "run/reader.safetensors")
    for name, value in shipped.body.state_dict().items():
        assert torch.equal(value, found.body.state_dict()[name]), name
    moved = (found.attributes.out.weight - shipped.attributes.out.weight).abs()
    assert (moved > 0).float().mean() > 0.3  # the others by less than float16 keeps


def test_trainers_reach_the_reader_by_name():
    from types import SimpleNamespace

    from comfyui_figura.pipelines.common.feature_distances import feature_network
    from comfyui_figura.pipelines.common.named_function import named

    pictures = [render(configs.demo(), HELD_OUT_SEED, index) for index in range(8)]
    records = [SimpleNamespace(caption=captions.short_caption(picture)) for picture in pictures]
    score = named(".demo.scores:captions")
    found = score(np.stack([picture.image for picture in pictures]), records)
    assert found["clothes_colors"] >= 0.9
    assert score(np.stack([picture.image for picture in pictures]), records[1:] + records[:1]) != found
    network = feature_network(".mannequin.reader.reading:load_reader")
    assert network.features(torch.zeros(2, 3, 64, 32)).shape == (2, networks.FEATURES)
