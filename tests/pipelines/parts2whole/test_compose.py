"""The command line: settings, files of settings, seeds, batches, the compatible switch."""

import json

import numpy as np
import pytest
import torch
from comfyui_figura.pipelines.common.errors import FiguraInputError
from comfyui_figura.pipelines.common.images import write_png
from comfyui_figura.pipelines.demo import parts2whole as demo
from comfyui_figura.pipelines.parts2whole import compose, generate
from comfyui_figura.pipelines.parts2whole.configs import GenerateConfig, PartConfig
from PIL import Image
from torch.nn.modules.module import register_module_forward_pre_hook


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    folder = tmp_path_factory.mktemp("compose")
    with torch.random.fork_rng():
        torch.manual_seed(3)
        demo.write_folder(folder / "Parts2Whole")
    for part in demo.draw_parts():
        write_png(folder / f"{part.label}.png", part.image[0])
        write_png(folder / f"{part.label} mask.png", part.mask[0, ..., None].expand(-1, -1, 3))
    write_png(folder / "pose.png", demo.draw_pose()[0])
    return folder


@pytest.fixture(scope="module")
def model(base):
    return generate.load(base / "Parts2Whole")


def config(base, **changes):
    values = {
        "model": base / "Parts2Whole", "face": PartConfig(base / "face.png", base / "face mask.png"),
        "shoes": PartConfig(base / "shoes.png"), "pose": base / "pose.png", "width": 64, "height": 96,
        "steps": 2, "out": base / "out", "prompt": "a person",
    }  # fmt: skip
    return GenerateConfig(**(values | changes))


def pixels(paths):
    return [np.asarray(Image.open(path)).astype(int) for path in paths]


def test_batches_do_not_change_pictures(base):
    """Seed 42 + i, whatever the batch; one grey level for another batch's rounding."""
    together = pixels(compose.run(config(base, count=3, batch=2, out=base / "a")))
    alone = pixels(compose.run(config(base, seed=44, out=base / "b")))
    assert [path.name for path in sorted((base / "a").iterdir())] == ["42.png", "43.png", "44.png"]
    assert together[0].shape == (96, 64, 3)
    assert np.abs(together[2] - alone[0]).max() <= 1
    assert np.abs(together[0] - together[1]).max() > 10


@pytest.mark.parametrize("suffix", ["json", "toml"])
def test_file_of_settings_equals_flags(base, suffix):
    if suffix == "toml":
        pytest.importorskip("tomllib")
        text = "\n".join([
            'model = "Parts2Whole"', 'prompt = "a person"', 'pose = "pose.png"', "width = 64", "height = 96",
            "steps = 2", 'out = "c"', 'shoes = "shoes.png"', "[face]", 'image = "face.png"',
            'mask = "face mask.png"',
        ])  # fmt: skip
    else:
        text = json.dumps({"model": "Parts2Whole", "prompt": "a person", "pose": "pose.png", "width": 64,
                           "height": 96, "steps": 2, "out": "c", "shoes": "shoes.png",
                           "face": {"image": "face.png", "mask": "face mask.png"}})  # fmt: skip
    (base / f"job.{suffix}").write_text(text)
    got = pixels(compose.run(GenerateConfig(file=base / f"job.{suffix}")))
    wanted = pixels(compose.run(config(base, out=base / "d")))
    assert np.array_equal(got[0], wanted[0]) and (base / "c" / "42.png").is_file()


@pytest.mark.parametrize(
    "settings, message",
    [
        ({"promt": "a"}, "unknown setting 'promt'"),
        ({"steps": "many"}, "steps"),
        ({"steps": True}, "steps"),
        ({"face": 3}, "picture's path"),
        ({"face": {"picture": "a.png"}}, "unknown setting 'picture'"),
        ([1], "list"),
    ],
)
def test_bad_files_of_settings(base, settings, message):
    (base / "bad.json").write_text(json.dumps(settings))
    with pytest.raises(FiguraInputError, match=message):
        compose.run(GenerateConfig(file=base / "bad.json"))


def test_files_that_do_not_parse(base):
    (base / "bad.json").write_text("{")
    with pytest.raises(FiguraInputError, match="does not parse"):
        compose.run(GenerateConfig(file=base / "bad.json"))
    with pytest.raises(FiguraInputError, match="readable"):
        compose.run(GenerateConfig(file=base / "missing.json"))


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"model": None}, "model"),
        ({"face": PartConfig(), "shoes": PartConfig()}, "references: got 0"),
        ({"width": 100}, "multiple of 8"),
        ({"width": 64, "height": 64}, "64 x 64 pixels.*at least 72 pixels.*raise"),
        ({"steps": 0}, "steps"),
        ({"count": 0}, "count"),
        ({"seed": -1}, "seed"),
        ({"face": PartConfig(image=compose.Path("no such.png"))}, "no such.png"),
    ],
)
def test_bad_settings_leave_no_file(base, tmp_path, changes, message):
    with pytest.raises(FiguraInputError, match=message):
        compose.run(config(base, out=tmp_path / "out", **changes))
    assert not (tmp_path / "out").exists()


def test_too_small_a_size_is_told_before_any_network_runs(model):
    """64 pixels are one value in the demo model's deepest level."""
    ran = []
    hook = register_module_forward_pre_hook(lambda module, _: ran.append(type(module).__name__))
    try:
        with pytest.raises(FiguraInputError, match="at least 72 pixels"):
            generate.encode_parts(model, demo.draw_parts()[:1], 64, 64)
        assert ran == []
        generate.encode_parts(model, demo.draw_parts()[:1], 64, 72)
        assert ran
    finally:
        hook.remove()


def draw(model, compatible=False, prompt="a person", order=slice(None), **settings):
    bank = generate.encode_parts(model, demo.draw_parts()[:2][order], 64, 96, compatible)
    return generate.generate(model, bank, prompt, seed=3, settings=generate.Settings(steps=2, **settings))


def test_prompt_acts_and_does_not_when_compatible(model):
    assert (draw(model) - draw(model, prompt="a dog")).abs().max() > 1e-3
    assert torch.equal(draw(model, True), draw(model, True, "a dog"))


def test_published_form_of_attention_gives_the_same_picture(model, monkeypatch):
    fast = draw(model)
    kept = generate.Condition
    monkeypatch.setattr(generate, "Condition", lambda *args: kept(*args, full=True))
    assert (draw(model) - fast).abs().max() <= 1e-4 * fast.abs().max()


def test_guidance_one_works_and_strengths_act(model):
    assert torch.isfinite(draw(model, guidance=1.0)).all()
    base = draw(model)
    for name in ("reference_strength", "image_strength"):
        assert (draw(model, **{name: 0.0}) - base).abs().max() > 1e-3


def test_unet_is_left_as_it_was(model):
    before = {name: type(p) for name, p in model.unet.attn_processors.items()}
    weights = {name: x.clone() for name, x in model.unet.state_dict().items()}

    def stop(done, total, preview=None):
        raise KeyboardInterrupt

    bank = generate.encode_parts(model, demo.draw_parts()[:1], 64, 96)
    with pytest.raises(KeyboardInterrupt):
        generate.generate(model, bank, "a", settings=generate.Settings(steps=2), progress=stop)
    assert {name: type(p) for name, p in model.unet.attn_processors.items()} == before
    assert not model.unet.conv_in._forward_hooks
    assert all(torch.equal(weights[name], x) for name, x in model.unet.state_dict().items())


def test_skeleton_is_refused_by_a_densepose_guider(model):
    with pytest.raises(FiguraInputError, match="IUV"):
        generate.read_pose(model.guider, torch.rand(1, 64, 64, 3), (64, 64))
