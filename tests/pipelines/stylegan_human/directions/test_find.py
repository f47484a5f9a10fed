"""From pictures to a direction: by a function, by labels, by texts; the channels of StyleSpace."""

import sys

import pytest
import torch
from comfyui_figura.pipelines import __main__ as figura
from comfyui_figura.pipelines.common.errors import FiguraInputError, FiguraWeightsError
from comfyui_figura.pipelines.demo.network_pickle import write_network
from comfyui_figura.pipelines.demo.stylegan_human import random_generator, write_clip
from comfyui_figura.pipelines.stylegan_human.configs import tiny
from comfyui_figura.pipelines.stylegan_human.directions.attribute import (
    area,
    labels_of_seeds,
    load_attribute,
    mean_rows,
    numbers,
    on_square,
    parse_label,
    read_labels,
    score_people,
)
from comfyui_figura.pipelines.stylegan_human.directions.clip_score import TextContrast, load_clip
from comfyui_figura.pipelines.stylegan_human.directions.direction_file import load_direction
from comfyui_figura.pipelines.stylegan_human.directions.fit import fit_direction
from comfyui_figura.pipelines.stylegan_human.directions.style_space import (
    channel_scores,
    strongest_channels,
    styles_of,
)
from comfyui_figura.pipelines.stylegan_human.generate import sample_ws, synthesize
from comfyui_figura.pipelines.stylegan_human.latents.edit import EVERY_ROW, style_layers, sweep
from safetensors.torch import load_file, save_file


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    path = tmp_path_factory.mktemp("cli") / "network.pkl"
    write_network(path, random_generator(tiny(2)))
    return path


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    """A tiny CLIP with random weights, as one file."""
    path = tmp_path_factory.mktemp("clip") / "tiny_clip.safetensors"
    write_clip(path)
    return path


def redness(images):
    return images[..., 0].mean(dim=(1, 2)) - images[..., 1:].mean(dim=(1, 2, 3))


@pytest.mark.parametrize("version", [1, 2])  # a random v3 is hardly linear in w, and slow
def test_an_attribute_found_from_pictures_can_be_edited(version):
    """Redness, learnt from 150 people, tried on one of them: strength moves the redness its own way."""
    generator = random_generator(tiny(version))
    ws = sample_ws(generator, range(150))
    fit = fit_direction(mean_rows(ws, None), score_people(generator, ws, redness))
    assert fit.measure == "R2" and fit.score > 0.3
    pixels = sweep(generator, ws[:1], [(fit.edit([EVERY_ROW], "red"), 0.0)], 0, [-2.0, 0.0, 2.0])
    less, same, more = redness(((pixels + 1) / 2).clamp(0, 1).movedim(1, -1)).tolist()
    assert less < same < more


def test_pictures_are_asked_a_few_at_a_time(generator):
    sizes = []

    def attribute(images):
        sizes.append(len(images))
        assert images.shape[-1] == 3 and 0 <= images.min() <= images.max() <= 1
        return [0.0] * len(images)

    assert score_people(generator, sample_ws(generator, range(7)), attribute, batch=3) == [0.0] * 7
    assert sizes == [3, 3, 1]


def test_answers_that_are_no_numbers():
    assert numbers(torch.tensor([1, 2]), 2) == [1.0, 2.0]
    for answer in ([1.0], None, ["red", "blue"], 3.0, torch.zeros(2, 2)):
        with pytest.raises(FiguraInputError):
            numbers(answer, 2)


def test_functions_by_name(tmp_path, monkeypatch):
    (tmp_path / "figura_test_attribute.py").write_text(
        "def mean(images):\n    return images.mean(dim=(1, 2, 3))\n"
    )
    monkeypatch.chdir(tmp_path)
    before = list(sys.path)
    assert load_attribute("figura_test_attribute:mean")(torch.ones(2, 4, 4, 3)).tolist() == [1, 1]
    assert sys.path == before
    for name in ("figura_test_attribute", "figura_test_attribute:median", "nowhere:mean", ":", "sys:path"):
        with pytest.raises(FiguraInputError, match="attribute"):
            load_attribute(name)


def test_labels(tmp_path):
    assert labels_of_seeds("3,5-6", (2, 3, 5, 6), 4) == [0, 1, 1, 1]
    for chosen, seeds in (("9", (1, 2)), ("1", None), ("", (1, 2)), ("one", (1, 2))):
        with pytest.raises(FiguraInputError, match="seeds with it"):
            labels_of_seeds(chosen, seeds, 2)
    words = [parse_label(word) for word in ("yes", " No ", "2.5", "TRUE", 1)]
    assert words == [1, 0, 2.5, 1, 1] and parse_label("?") != parse_label("?")
    (tmp_path / "labels.csv").write_text("seed,label\n4,yes\n9,no\n11,0.5\n")
    assert read_labels(tmp_path / "labels.csv") == {4: 1.0, 9: 0.0, 11: 0.5}
    for content in ("", "a,b\n1,2\n", "seed,label\nfour,yes\n", "seed,label\n4,maybe\n"):
        (tmp_path / "bad.csv").write_text(content)
        with pytest.raises(FiguraInputError):
            read_labels(tmp_path / "bad.csv")
    with pytest.raises(FiguraInputError):
        read_labels(tmp_path / "nowhere.csv")


def test_areas():
    assert area(torch.tensor([[[0.0, 1.0]], [[0.0, 0.0]]])) == [0.5, 0.0]
    for mask in (None, torch.zeros(2, 2), torch.zeros(0, 4, 4)):
        with pytest.raises(FiguraInputError, match="masks"):
            area(mask)


def test_the_whole_person_fits_on_the_square():
    images = torch.zeros(1, 64, 32, 3)
    square = on_square(images, 32)
    assert square.shape == (1, 3, 32, 32)
    dark = (square[0, 0] < 0.5).float()
    assert dark[:, :6].sum() == dark[:, 26:].sum() == 0 and dark[:, 10:22].mean() == 1


def test_text_contrast_is_transformers(clip):
    """Against CLIPModel's own logits, its temperature taken off."""
    clip = load_clip(clip)
    model = clip.model
    images = torch.rand(3, 64, 32, 3, generator=torch.Generator().manual_seed(0))
    scores = TextContrast(clip, "a long dress", "short trousers")(images)
    from comfyui_figura.pipelines.common.text import padded_ids
    from comfyui_figura.pipelines.stylegan_human.directions.clip_score import DEVIATION, MEAN

    mean, deviation = (torch.tensor(value)[:, None, None] for value in (MEAN, DEVIATION))
    pixels = (on_square(images, clip.image_size) - mean) / deviation
    with torch.no_grad():
        output = model(input_ids=padded_ids(["a long dress", "short trousers"]), pixel_values=pixels)
    logits = output.logits_per_image / model.logit_scale.exp() * 100
    torch.testing.assert_close(torch.tensor(scores), logits[:, 0] - logits[:, 1], rtol=0, atol=1e-4)


def test_a_clip_with_its_config_beside_it(clip, tmp_path):
    """The folder that transformers saves gives the same model as the file alone."""
    model = load_clip(clip)
    model.model.save_pretrained(tmp_path / "folder")
    again = load_clip(tmp_path / "folder")
    images = torch.rand(2, 64, 32, 3)
    one, two = (TextContrast(found, "a", "b")(images) for found in (model, again))
    assert one == pytest.approx(two, abs=1e-4)


def test_files_that_are_no_clip(clip, tmp_path):
    state = load_file(clip)
    save_file({k: v for k, v in state.items() if not k.startswith("text")}, tmp_path / "vision.safetensors")
    with pytest.raises(FiguraWeightsError, match="picture half"):
        load_clip(tmp_path / "vision.safetensors")
    save_file({"other": torch.zeros(2)}, tmp_path / "other.safetensors")
    (tmp_path / "page.safetensors").write_bytes(b"<html>")
    for name in ("other.safetensors", "page.safetensors", "nowhere.safetensors"):
        with pytest.raises(FiguraInputError):
            load_clip(tmp_path / name)


@pytest.mark.parametrize(("text", "versus"), [("", "b"), ("a", " "), ("a", "a")])
def test_texts_refused(clip, text, versus):
    with pytest.raises(FiguraInputError, match="text"):
        TextContrast(load_clip(clip), text, versus)


def test_styles_of_a_thousand_at_once(generator):
    """In batches, the same as one by one: 1e-5, matrix products of another size round differently."""
    ws = sample_ws(generator, range(40))
    batched = styles_of(generator, ws, batch=16)
    assert len(batched) == len(style_layers(generator.synthesis))
    single = [styles_of(generator, row) for row in ws.split(1)]
    for i, styles in enumerate(batched):
        torch.testing.assert_close(styles, torch.cat([found[i] for found in single]), rtol=1e-5, atol=1e-5)


def test_the_channel_that_carries_the_attribute_is_found():
    generator = torch.Generator().manual_seed(0)
    styles = [torch.randn(200, 8, generator=generator), 5 * torch.randn(200, 4, generator=generator)]
    chosen = styles[1][:, 2] > 0
    edit, best = strongest_channels(styles, chosen, 1)
    assert best[0][:2] == (1, 2) and edit.styles.keys() == {1}
    assert edit.styles[1].nonzero().flatten().tolist() == [2]
    difference = styles[1][chosen, 2].mean() - styles[1][~chosen, 2].mean()
    assert edit.styles[1][2] == pytest.approx(difference.item(), rel=1e-5)
    assert strongest_channels(styles, chosen, 1, layer=0)[1][0][0] == 0
    scores = channel_scores(styles, chosen)[1]
    assert scores.abs().argmax() == 2 and scores[2] == pytest.approx(0.8, abs=0.1)  # sqrt(2/pi)
    for options in ({"count": 0}, {"layer": 5}):
        with pytest.raises(FiguraInputError):
            strongest_channels(styles, chosen, **options)
    with pytest.raises(FiguraInputError, match="labels"):
        strongest_channels(styles, torch.zeros(200, dtype=torch.bool))


def test_style_channels_edit_the_picture(generator):
    ws = sample_ws(generator, range(40))
    values = torch.tensor(score_people(generator, ws, redness))
    edit, _ = strongest_channels(styles_of(generator, ws), values > values.median(), 12)
    plain, edited = synthesize(generator, ws[:1]), synthesize(generator, ws[:1], edits=[(edit, 1.0)])
    images = [((pixels + 1) / 2).clamp(0, 1).movedim(1, -1) for pixels in (plain, edited)]
    assert redness(images[1]) > redness(images[0])


def run(monkeypatch, network, output, *words):
    monkeypatch.setattr(
        sys, "argv", ["figura", "stylegan", "find", str(output), "--network", str(network), *words]
    )
    figura.main()


def test_find_by_a_function(network, tmp_path, monkeypatch, capsys):
    (tmp_path / "figura_test_red.py").write_text(
        "def red(images):\n    return images[..., 0].mean(dim=(1, 2))\n"
        "def green(images):\n    return images[..., 1].mean(dim=(1, 2))\n"
    )
    monkeypatch.chdir(tmp_path)
    run(
        monkeypatch,
        network,
        tmp_path / "red.safetensors",
        "--attribute",
        "figura_test_red:red",
        "--seeds",
        "0-59",
    )
    assert "R2" in capsys.readouterr().out
    assert load_direction(tmp_path / "red.safetensors").rows.keys() == {EVERY_ROW}
    words = [
        "--attribute",
        "figura_test_red:green",
        "--seeds",
        "0-59",
        "--rows",
        "2-3",
        "--without",
        "red.safetensors",
    ]
    run(monkeypatch, network, tmp_path / "other.safetensors", *words)
    other = load_direction(tmp_path / "other.safetensors")
    assert other.rows.keys() == {2, 3}
    red = load_direction(tmp_path / "red.safetensors").rows[EVERY_ROW]
    assert abs(other.rows[2] @ red) < 1e-4 * red.norm() * other.rows[2].norm()


def test_find_by_labels_and_texts(network, clip, tmp_path, monkeypatch, capsys):
    lines = [f"{seed},{'yes' if seed % 2 else 'no'}" for seed in range(40)]
    (tmp_path / "labels.csv").write_text("\n".join(["seed,label", *lines]) + "\n")
    run(monkeypatch, network, tmp_path / "odd.pt", "--labels", str(tmp_path / "labels.csv"))
    assert "accuracy" in capsys.readouterr().out
    assert load_direction(tmp_path / "odd.pt", [5]).rows[5].shape == (32,)
    words = ["--text", "a dress", "--versus", "trousers", "--clip", str(clip), "--seeds", "0-29"]
    run(monkeypatch, network, tmp_path / "dress.npy", *words)
    assert (tmp_path / "dress.npy").is_file()


def test_find_channels(network, tmp_path, monkeypatch, capsys):
    lines = [f"{seed},{'yes' if seed % 2 else 'no'}" for seed in range(40)]
    (tmp_path / "labels.csv").write_text("\n".join(["seed,label", *lines]) + "\n")
    words = ["--labels", str(tmp_path / "labels.csv"), "--channels", "3"]
    run(monkeypatch, network, tmp_path / "odd.safetensors", *words)
    assert "channels" in capsys.readouterr().out
    edit = load_direction(tmp_path / "odd.safetensors")
    assert not edit.rows and sum(int((vector != 0).sum()) for vector in edit.styles.values()) == 3


BAD_WORDS = [
    (), ("--attribute", "a:b", "--text", "x"), ("--attribute", "nowhere:mean"), ("--labels", "nowhere.csv"),
    ("--text", "a dress"), ("--text", "a", "--versus", "b"),
    ("--attribute", "builtins:len", "--seeds", "0-3"),
    ("--text", "a", "--versus", "b", "--clip", "nowhere"),
]  # fmt: skip


@pytest.mark.parametrize("words", BAD_WORDS, ids=" ".join)
def test_mistakes_end_with_a_sentence(words, network, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as end:
        run(monkeypatch, network, tmp_path / "out.safetensors", *words)
    assert end.value.code == 2
    assert "figura:" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
