"""Searching, tuning, encoder, states and folders, on tiny networks."""

import json

import pytest
import torch
import torch.nn.functional as F
from comfyui_figura.pipelines.common.errors import FiguraInputError, FiguraWeightsError
from comfyui_figura.pipelines.common.images import to_image, write_png
from comfyui_figura.pipelines.common.perceptual import PixelsAndGradients
from comfyui_figura.pipelines.demo.inversion import write_models
from comfyui_figura.pipelines.demo.stylegan_human import random_generator
from comfyui_figura.pipelines.stylegan_human.configs import tiny
from comfyui_figura.pipelines.stylegan_human.generate import sample_ws, synthesize
from comfyui_figura.pipelines.stylegan_human.inversion.encoder import Encoder, EncoderConfig, encode
from comfyui_figura.pipelines.stylegan_human.inversion.encoder_file import check_encoder, load_encoder
from comfyui_figura.pipelines.stylegan_human.inversion.folder import FolderInversion, FolderSettings
from comfyui_figura.pipelines.stylegan_human.inversion.invert import compare, find_latents, tune_generator
from comfyui_figura.pipelines.stylegan_human.inversion.project import Projector
from comfyui_figura.pipelines.stylegan_human.inversion.run import run
from comfyui_figura.pipelines.stylegan_human.inversion.settings import (
    LocalitySettings,
    ProjectSettings,
    TuneSettings,
)
from comfyui_figura.pipelines.stylegan_human.inversion.state_file import StateFile
from comfyui_figura.pipelines.stylegan_human.inversion.target import psnr, target_pixels
from comfyui_figura.pipelines.stylegan_human.inversion.tune import Locality, Tuner
from comfyui_figura.pipelines.stylegan_human.latents.latent_file import load_latents
from comfyui_figura.pipelines.stylegan_human.loading import load_generator
from safetensors.torch import load

MEASURE = PixelsAndGradients()


@pytest.fixture(scope="module")
def generator():
    return random_generator(tiny(2))


def drawn(generator, seed=3, psi=0.7):
    ws = sample_ws(generator, [seed], psi)
    return ws, synthesize(generator, ws).clamp(-1, 1)


@pytest.mark.parametrize("version", [1, 2, 3])
def test_a_generators_own_picture_comes_back(version):
    """30 dB and more after tuning, on every generation; the search alone is some way there."""
    generator = random_generator(tiny(version))
    if version == 1:  # its random colours leave the range by far, and what is cut off cannot be found again
        with torch.no_grad():
            generator.synthesis.torgb_weight.mul_(0.15)
            generator.synthesis.torgb_bias.mul_(0.15)
    _, target = drawn(generator)
    search, steps = (30, 30) if version == 3 else (60, 80)
    found = find_latents(generator, target, MEASURE, ProjectSettings(steps=search))
    tuned = tune_generator(generator, target, found, MEASURE, TuneSettings(steps=steps, learning_rate=4e-3))
    told = compare(generator, tuned.generator, target, found, MEASURE)
    assert told.after.psnr >= 30 and told.after.psnr > told.before.psnr
    average = generator.mapping.w_avg.expand(1, generator.config.num_ws, -1)
    start = psnr(synthesize(generator, average), target)[0]
    assert told.before.psnr > start + 3, "the search found more than the average person"
    assert tuned.curve[-1][0] < tuned.curve[0][0]


def test_w_plus_comes_closer_than_w(generator):
    ws = sample_ws(generator, [1, 2], 0.8)
    mixed = torch.cat([ws[:1, :4], ws[1:, 4:]], dim=1)  # no single w draws this
    target = synthesize(generator, mixed).clamp(-1, 1)
    losses = {}
    for space in ("w", "w+"):
        work = Projector(generator, target, MEASURE, ProjectSettings(space=space, steps=40))
        run(work)
        losses[space] = work.curve[-1][0]
        rows = work.ws()
        assert torch.equal(rows[:, :1].expand_as(rows), rows) == (space == "w")
    assert losses["w+"] < 0.8 * losses["w"]


def test_free_noise_stays_noise_and_is_dropped(generator):
    _, target = drawn(generator)
    work = Projector(generator, target, MEASURE, ProjectSettings.published(steps=5))
    run(work)
    for noise in work.maps:
        assert abs(noise.mean().item()) < 1e-5 and abs(noise.square().mean().item() - 1) < 1e-5
    assert torch.equal(work.result(), synthesize(generator, work.ws()))


def test_neither_search_nor_tuning_touches_the_generator(generator):
    before = {name: value.clone() for name, value in generator.state_dict().items()}
    flags = [parameter.requires_grad for parameter in generator.parameters()]
    ws, target = drawn(generator)
    find_latents(generator, target, MEASURE, ProjectSettings.published(steps=2))
    tuned = tune_generator(generator, target, ws, MEASURE, TuneSettings(steps=2)).generator
    assert all(torch.equal(value, before[name]) for name, value in generator.state_dict().items())
    assert flags == [parameter.requires_grad for parameter in generator.parameters()]
    assert not any(parameter.requires_grad for parameter in tuned.parameters())
    assert torch.equal(tuned.mapping.fc0.weight, generator.mapping.fc0.weight)
    assert not torch.equal(tuned.synthesis.b64.conv1.weight, generator.synthesis.b64.conv1.weight)


def test_locality_neighbours_lie_at_their_distance(generator):
    ws, _ = drawn(generator)
    place = Locality(generator, [ws], MEASURE, LocalitySettings(distance=3.0, samples=2), seed=5)
    near = place.neighbours(4, 0)
    assert near.shape == (2, *ws.shape[1:])
    assert torch.allclose((near - ws).norm(dim=(1, 2)), torch.full((2,), 3.0), rtol=1e-4)
    assert torch.equal(near, place.neighbours(4, 0)) and not torch.equal(near, place.neighbours(5, 0))
    assert place.loss(generator.synthesis, 0, 0).item() < 1e-9, "an untouched generator draws them as before"


@pytest.mark.parametrize("kind", ["search", "tuning"])
def test_a_killed_process_goes_on_from_the_last_state(generator, kind, tmp_path):
    """No interrupt: the file written every few steps alone brings it to the same result, to the bit."""
    ws, target = drawn(generator)

    def begin():
        if kind == "search":
            return Projector(generator, target, MEASURE, ProjectSettings.published(steps=7))
        settings = TuneSettings(steps=7, threshold=None, locality=LocalitySettings())
        return Tuner(generator, target, ws, MEASURE, settings)

    whole = begin()
    run(whole)
    state = StateFile(tmp_path / "state.safetensors", "mine", every=2)

    class Killed(Exception):
        pass

    started = begin()
    step = started.step

    def killed():
        if started.done == 5:
            raise Killed
        return step()

    started.step = killed
    with pytest.raises(Killed):
        run(started, state=state)
    again = begin()
    run(again, state=state)
    assert again.curve == whole.curve
    for name, value in whole.variables().items():
        assert torch.equal(again.variables()[name], value), name


def test_foreign_and_broken_states_are_left_alone(generator, tmp_path, caplog):
    ws, target = drawn(generator)
    path = tmp_path / "state.safetensors"
    work = Tuner(generator, target, ws, MEASURE, TuneSettings(steps=3))
    StateFile(path, "theirs").write(work)
    assert not StateFile(path, "mine").resume(work)
    path.write_bytes(path.read_bytes()[:-7])
    assert not StateFile(path, "theirs").resume(work) and "starting anew" in caplog.text


def test_fit():
    generator = random_generator(tiny(2))
    wide = torch.rand(1, 40, 40, 3)
    with pytest.raises(FiguraInputError, match="32 x 64"):
        target_pixels(wide, generator)
    padded = target_pixels(wide, generator, "pad")
    assert (
        padded.shape == (1, 3, 64, 32)
        and (padded[:, :, 0] > 0.999).all()
        and (padded[:, :, 32] < 0.999).all()
    )
    stretched = target_pixels(wide, generator, "stretch")
    assert stretched.shape == (1, 3, 64, 32) and (stretched < 1).any(dim=1).float().mean() > 0.99
    same = torch.rand(1, 64, 32, 3)
    assert torch.equal(target_pixels(same, generator), same.movedim(-1, 1) * 2 - 1)
    assert target_pixels(torch.rand(1, 66, 33, 3), generator).shape == (1, 3, 64, 32)


def test_psnr():
    a = torch.zeros(1, 3, 8, 4)
    assert psnr(a, a) == [99.0]
    assert psnr(a, a + 0.2) == pytest.approx([20.0], abs=1e-4), "a tenth of the range"


# e4e


def test_encoder_file_is_read_as_released(tmp_path):
    """Rows are w and differences from it, the average is added, 8-bit shrinking as Pillow does it."""
    write_models(tmp_path)
    encoder = load_encoder(tmp_path / "stylegan_encoders/e4e_w+.pt")
    generator = random_generator(tiny(2))
    check_encoder(encoder, generator)
    _, target = drawn(generator)
    ws = encode(encoder, target)
    assert ws.shape == (1, 10, 32) and torch.equal(ws, encode(encoder, target))
    pixels = torch.rand(1, 3, 256, 128) * 2 - 1
    encoder.latent_avg = None
    rows = encoder(pixels)
    coarse, middle, _ = encoder._features(pixels)
    heads = {0: encoder.styles[0](coarse), 5: encoder.styles[5](middle)}
    assert torch.allclose(rows[:, 0], heads[0])
    assert torch.allclose(rows[:, 5], heads[0] + heads[5])
    encoder.latent_avg = torch.ones(10, 32)
    assert torch.allclose(encoder(pixels), rows + 1)


def released(**changes):
    sizes = EncoderConfig(rows=10, w_dim=16, widths=(8, 8, 8, 8, 16), squeezed=4)
    state = {f"encoder.{name}": value for name, value in Encoder(sizes).state_dict().items()}
    return {"state_dict": state, "latent_avg": torch.ones(10, 16)} | changes


def test_encoder_options(tmp_path):
    """pSp makes every row whole; the average is only added where the options say so; safetensors work."""
    torch.manual_seed(0)
    content, pixels = released(), torch.rand(1, 3, 256, 128)
    results = {}
    for name, options in {
        "plain": {},
        "without": {"start_from_latent_avg": False},
        "psp": {"encoder_type": "GradualStyleEncoder", "start_from_latent_avg": False},
    }.items():
        torch.save(content | {"opts": options}, tmp_path / f"{name}.pt")
        results[name] = load_encoder(tmp_path / f"{name}.pt")(pixels)
    assert torch.allclose(results["plain"], results["without"] + 1)
    assert torch.allclose(results["psp"][:, 0], results["without"][:, 0])
    assert torch.allclose(results["psp"][:, 1:], results["without"][:, 1:] - results["without"][:, :1])
    from safetensors.torch import save_file

    save_file(content["state_dict"] | {"latent_avg": content["latent_avg"]}, tmp_path / "e.safetensors")
    assert torch.equal(load_encoder(tmp_path / "e.safetensors")(pixels), results["plain"])
    older = {key: value for key, value in content["state_dict"].items() if "num_batches" not in key}
    torch.save(content | {"state_dict": older}, tmp_path / "older.pt")
    assert torch.equal(load_encoder(tmp_path / "older.pt")(pixels), results["plain"])


def test_wrong_encoders(tmp_path):
    missing = released()
    del missing["state_dict"]["encoder.body.4.res_layer.1.weight"]
    wrong = released()
    wrong["state_dict"]["encoder.latlayer1.weight"] = torch.zeros(3, 3, 1, 1)
    none = {"state_dict": {"encoder.styles.0.convs.0.weight": torch.zeros(2, 2, 3, 3)}}
    for name, content in {"missing": missing, "wrong": wrong, "none": none}.items():
        torch.save(content, tmp_path / f"{name}.pt")
        with pytest.raises(FiguraWeightsError, match=f"{name}.pt"):
            load_encoder(tmp_path / f"{name}.pt")
    torch.save({"features.0.weight": torch.zeros(1)}, tmp_path / "other.pt")
    with pytest.raises(FiguraWeightsError, match="e4e"):
        load_encoder(tmp_path / "other.pt")
    torch.save(released(), tmp_path / "good.pt")
    with pytest.raises(FiguraInputError, match="10 rows of 16"):
        check_encoder(load_encoder(tmp_path / "good.pt"), random_generator(tiny(2)))


# folders


SETTINGS = FolderSettings(ProjectSettings(steps=3), TuneSettings(steps=2))


def pictures(folder, generator, seeds):
    folder.mkdir()
    for seed in seeds:
        write_png(folder / f"{seed}.png", to_image(drawn(generator, seed)[1])[0])
    return folder


def test_a_bad_picture_is_listed_and_the_others_are_done(generator, tmp_path):
    images, out = pictures(tmp_path / "in", generator, [1, 2]), tmp_path / "out"
    (images / "0.png").write_bytes(b"no picture")
    write_png(images / "pixel.png", torch.zeros(1, 1, 3))
    write_png(images / "wide.png", torch.zeros(20, 80, 3))
    (images / "notes.txt").write_text("no picture either")
    work = FolderInversion(generator, MEASURE, SETTINGS, out)
    work.run(images)
    assert work.done == ["1.png", "2.png"]
    assert [failure.name for failure in work.failures] == ["0.png", "pixel.png", "wide.png"]
    assert sorted(path.name for path in out.iterdir() if not path.name.startswith(".")) == ["1.png", "2.png"]
    files = sorted(path.name for path in (out / "1.png").iterdir())
    assert files == ["comparison.png", "latent.safetensors", "network.safetensors", "result.json"]
    told = json.loads((out / "1.png/result.json").read_text())
    latents, tuned = (
        load_latents(out / "1.png/latent.safetensors"),
        load_generator(out / "1.png/network.safetensors"),
    )
    again = psnr(synthesize(tuned, latents.ws), target_pixels(_read(images / "1.png"), generator))
    assert again == pytest.approx([told["after"]["psnr"]], abs=1e-3)


def _read(path):
    from comfyui_figura.pipelines.common.images import read_image

    return read_image(path)


def test_a_second_run_does_only_what_is_missing(generator, tmp_path, monkeypatch):
    images, out = pictures(tmp_path / "in", generator, [1, 2]), tmp_path / "out"
    FolderInversion(generator, MEASURE, SETTINGS, out).run(images)
    before = {path: path.read_bytes() for path in out.rglob("*.safetensors")}
    (out / "2.png/result.json").unlink()  # as if killed just before the end
    touched = {path: path.stat().st_mtime_ns for path in (out / "1.png").iterdir()}
    FolderInversion(generator, MEASURE, SETTINGS, out).run(images)
    assert same(before, {path: path.read_bytes() for path in out.rglob("*.safetensors")})
    assert {path: path.stat().st_mtime_ns for path in (out / "1.png").iterdir()} == touched
    other = FolderSettings(SETTINGS.project, TuneSettings(steps=3))
    FolderInversion(generator, MEASURE, other, out).run(images)
    assert (out / "1.png/network.safetensors").read_bytes() != before[out / "1.png/network.safetensors"]


def same(a, b):
    """Tensors alike to the bit, file by file; the order of a file's metadata varies."""
    return a.keys() == b.keys() and all(_equal(load(a[path]), load(b[path])) for path in a)


def _equal(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def test_an_interrupted_folder_goes_on(generator, tmp_path):
    images = pictures(tmp_path / "in", generator, [1, 2])
    expected = FolderInversion(generator, MEASURE, SETTINGS, tmp_path / "whole")
    expected.run(images)
    seen = []

    def bar(name):
        def progress(done, total, preview=None):
            seen.append(name)
            if len(seen) == 7:
                raise KeyboardInterrupt

        return progress

    with pytest.raises(KeyboardInterrupt):
        FolderInversion(generator, MEASURE, SETTINGS, tmp_path / "out", progress=bar).run(images)
    assert not (tmp_path / "out/2.png").exists(), "nothing half-written"
    FolderInversion(generator, MEASURE, SETTINGS, tmp_path / "out").run(images)
    for name in ("1.png", "2.png"):
        assert (tmp_path / "whole" / name / "comparison.png").read_bytes() == (
            tmp_path / "out" / name / "comparison.png"
        ).read_bytes()
        for file in ("latent.safetensors", "network.safetensors"):
            whole, resumed = (tmp_path / where / name / file for where in ("whole", "out"))
            assert same({file: whole.read_bytes()}, {file: resumed.read_bytes()}), (name, file)
    assert not list((tmp_path / "out/.unfinished").iterdir())


def test_one_network_for_all(generator, tmp_path):
    images, out = pictures(tmp_path / "in", generator, [1, 2]), tmp_path / "out"
    settings = FolderSettings(SETTINGS.project, SETTINGS.tune, together=True)
    FolderInversion(generator, MEASURE, settings, out).run(images)
    assert (out / "network.safetensors").is_file() and not (out / "1.png/network.safetensors").exists()
    assert json.loads((out / "2.png/result.json").read_text())["updates"] == 4


def test_no_pictures(generator, tmp_path):
    with pytest.raises(FiguraInputError, match="--images"):
        FolderInversion(generator, MEASURE, SETTINGS, tmp_path / "out").run(tmp_path / "nowhere")


def test_command_line(generator, tmp_path, capsys, monkeypatch):
    from comfyui_figura.pipelines.__main__ import main
    from comfyui_figura.pipelines.stylegan_human.loading import save_generator

    save_generator(tmp_path / "network.safetensors", generator)
    write_models(tmp_path)
    images = pictures(tmp_path / "in", generator, [1])
    write_png(images / "wide.png", torch.zeros(20, 80, 3))
    arguments = [
        "stylegan", "invert", "--network", str(tmp_path / "network.safetensors"), "--images", str(images),
        "--out", str(tmp_path / "out"), "--search.steps", "2", "--tuning.steps", "2", "--published",
        "--keep-others", "--perceptual", str(tmp_path / "perceptual/alexnet-owt-7be5be79.pth"),
        str(tmp_path / "perceptual/alex.pth"), "--device", "cpu",
    ]  # fmt: skip
    monkeypatch.setattr("sys.argv", ["figura", *arguments])
    main()
    said = capsys.readouterr().out
    assert "LPIPS (alex)" in said and "1 picture(s)" in said and "left out: wide.png" in said
    told = json.loads((tmp_path / "out/1.png/result.json").read_text())
    assert told["updates"] == 2 and told["after"]["title"] == "LPIPS (alex)"


def test_the_search_compares_at_256(monkeypatch):
    from comfyui_figura.pipelines.stylegan_human.inversion.project import shrunk

    pixels = torch.rand(1, 3, 512, 256)
    assert shrunk(pixels, squash=True).shape == (1, 3, 256, 256)
    kept = shrunk(pixels, squash=False)
    assert kept.shape == (1, 3, 256, 128) and torch.allclose(kept, F.avg_pool2d(pixels, 2), atol=1e-6)
    assert shrunk(pixels[:, :, :200], squash=True).shape == (1, 3, 200, 256), "only what is higher"
