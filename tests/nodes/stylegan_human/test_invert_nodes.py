"""The inversion nodes: a picture comes back, work stops and goes on, and bad input gets a sentence."""

import json
from pathlib import Path

import pytest
import torch

pytest.importorskip("comfy", reason="no ComfyUI: set COMFYUI_PATH")

import comfy.model_management as management  # noqa: E402
import folder_paths  # noqa: E402
from comfyui_figura.nodes import host  # noqa: E402
from comfyui_figura.nodes.stylegan_human.edit import FiguraStyleGANEdit, FiguraStyleGANSeFa  # noqa: E402
from comfyui_figura.nodes.stylegan_human.generate import FiguraStyleGANSampler  # noqa: E402
from comfyui_figura.nodes.stylegan_human.invert import (  # noqa: E402
    FiguraStyleGANEncoderLoader,
    FiguraStyleGANInvert,
    FiguraStyleGANPerceptualLoader,
    FiguraStyleGANSaveNetwork,
    FiguraStyleGANTune,
)
from comfyui_figura.nodes.stylegan_human.loaders import FiguraStyleGANLoader  # noqa: E402
from comfyui_figura.pipelines.common.errors import FiguraInputError, FiguraWeightsError  # noqa: E402
from comfyui_figura.pipelines.demo.inversion import write_models  # noqa: E402
from comfyui_figura.pipelines.demo.stylegan_human import random_generator  # noqa: E402
from comfyui_figura.pipelines.stylegan_human.configs import V2Config, tiny  # noqa: E402
from comfyui_figura.pipelines.stylegan_human.generate import sample_ws  # noqa: E402
from comfyui_figura.pipelines.stylegan_human.latents.latent_file import Latents  # noqa: E402

NAN = float("nan")
FILES = {
    "network": "alexnet-owt-7be5be79.pth", "lpips": "alex.pth", "encoder": "e4e_w+.pt",
}  # fmt: skip


@pytest.fixture(scope="module", autouse=True)
def folders(tmp_path_factory):
    """Model, output and temp folders of our own, with tiny weights in the released layouts."""
    root = tmp_path_factory.mktemp("comfy")
    write_models(root / "models")
    names = {"perceptual", "stylegan_encoders", "stylegan_human"}
    before = {name: folder_paths.folder_names_and_paths[name] for name in names}
    kept = folder_paths.get_output_directory(), folder_paths.get_temp_directory()
    for name in names:
        places = [str(root / "models" / name)] + [str(root / "output" / name)] * (name == "stylegan_human")
        folder_paths.folder_names_and_paths[name] = (places, before[name][1])
    folder_paths.filename_list_cache.clear()
    folder_paths.set_output_directory(str(root / "output"))
    folder_paths.set_temp_directory(str(root / "temp"))
    yield root
    folder_paths.folder_names_and_paths.update(before)
    folder_paths.set_output_directory(kept[0])
    folder_paths.set_temp_directory(kept[1])
    folder_paths.filename_list_cache.clear()


@pytest.fixture(scope="module")
def stylegan():
    with torch.inference_mode(False):
        return host.as_patcher(random_generator(tiny(2)))


def picture(stylegan, seed=7):
    return FiguraStyleGANSampler.execute(stylegan, seed, 1, 0.7, "const").result[0]


def measure():
    return FiguraStyleGANPerceptualLoader.execute(FILES["network"], FILES["lpips"]).result[0]


def invert(stylegan, image=None, mode="w", steps=4, fit="exact", seed=0, **options):
    image = picture(stylegan) if image is None else image
    return FiguraStyleGANInvert.execute(stylegan, image, mode, steps, fit, seed, **options)


def tune(
    stylegan, image=None, latent=None, steps=3, threshold=0.0, keep_others=False, fit="exact", **options
):
    image = picture(stylegan) if image is None else image
    latent = Latents(sample_ws(stylegan.model, [7], 0.7).cpu()) if latent is None else latent
    return FiguraStyleGANTune.execute(
        stylegan, image, latent, steps, threshold, keep_others, fit, **options
    )  # fmt: skip


@pytest.mark.parametrize("version", [1, 2, 3])
@pytest.mark.parametrize("options", [{}, {"mode": "w+", "as_published": True}], ids=["plain", "published"])
def test_every_generation_inverts_and_tunes(version, options):
    with torch.inference_mode(False):
        stylegan = host.as_patcher(random_generator(tiny(version)))
    before = {name: value.clone() for name, value in stylegan.model.state_dict().items()}
    image = picture(stylegan)
    latent, drawn, comparison = invert(stylegan, image, **options).result
    tuned, better, _ = tune(stylegan, image, latent).result
    assert drawn.shape == better.shape == image.shape and comparison.shape[2] > 2 * image.shape[2]
    assert not drawn.requires_grad and drawn.is_contiguous()
    assert torch.equal(FiguraStyleGANSampler.execute(tuned, 0, 1, 0.7, "const", 0, latent).result[0], better)
    after = stylegan.model.state_dict()
    assert all(torch.equal(after[name], before[name]) for name in before), "the network given is never moved"


def test_a_picture_of_the_network_comes_back(stylegan):
    """Inversion alone finds it again, tuning brings it to 30 dB and more; both say how far they came."""
    image = picture(stylegan, 3)
    found = invert(stylegan, image, steps=250)
    tuned = tune(stylegan, image, found.result[0], steps=250)
    drawn, better = found.result[1], tuned.result[1]
    decibels = [-10 * torch.log10((x - image).square().mean()).item() for x in (drawn, better)]
    assert decibels[1] >= 30 and decibels[1] > decibels[0] > 20
    words = json.dumps(tuned.ui.as_dict())
    assert f"{decibels[1]:.1f} dB" in words and "no LPIPS weights" in words and "250 updates" in words


def test_batches_tune_one_network_to_all(stylegan):
    images = torch.cat([picture(stylegan, 3), picture(stylegan, 4)])
    latent = invert(stylegan, images).result[0]
    assert len(latent.ws) == 2
    alone = invert(stylegan, images[1:]).result[0]
    assert torch.equal(latent.ws[1:], alone.ws), "a batch is its pictures one by one"
    _, drawn, comparison = tune(stylegan, images, latent).result
    assert len(drawn) == len(comparison) == 2


def test_lpips_names_itself_and_may_stop_the_tuning(stylegan):
    perceptual = measure()
    found = invert(stylegan, perceptual=perceptual)
    assert "LPIPS (alex)" in json.dumps(found.ui.as_dict())
    tuned = tune(stylegan, latent=found.result[0], perceptual=perceptual, threshold=10.0, steps=50)
    assert "0 updates" in json.dumps(tuned.ui.as_dict())
    assert "50 updates" in json.dumps(tune(stylegan, threshold=10.0, steps=50).ui.as_dict()), (
        "the threshold is one of LPIPS and does not count without"
    )


def test_keeping_others_keeps_them(stylegan):
    """The same tuning with and without locality: others change less with it."""
    image = picture(stylegan, 3)
    latent = Latents(sample_ws(stylegan.model, [5], 0.7).cpu())
    other = picture(stylegan, 9)
    change = []
    for keep in (False, True):
        tuned = tune(stylegan, image, latent, steps=25, keep_others=keep, learning_rate=0.005).result[0]
        change.append((picture(tuned, 9) - other).abs().mean().item())
    assert change[1] < change[0]


def test_encoder_reads_off_without_a_search(stylegan):
    encoder = FiguraStyleGANEncoderLoader.execute(FILES["encoder"]).result[0]
    first = invert(stylegan, mode="encoder", encoder=encoder, steps=1).result[0]
    second = invert(stylegan, mode="encoder", encoder=encoder, steps=999).result[0]
    assert torch.equal(first.ws, second.ws) and first.ws.shape == (1, 10, 32)


def test_saved_networks_come_back_through_the_loader(stylegan, folders):
    FiguraStyleGANSaveNetwork.execute(stylegan, "mine")
    FiguraStyleGANSaveNetwork.execute(stylegan, "mine")
    saved = sorted((folders / "output/stylegan_human").iterdir())
    assert [path.name for path in saved] == ["mine_00001_.safetensors", "mine_00002_.safetensors"]
    folder_paths.filename_list_cache.clear()
    again = FiguraStyleGANLoader.execute(saved[0].name).result[0]
    assert torch.equal(picture(again), picture(stylegan))


@pytest.mark.parametrize("stopped_at", [1, 3])
@pytest.mark.parametrize("work", ["search", "search as published", "tuning"])
def test_stopped_work_goes_on_to_the_bit(stylegan, folders, monkeypatch, work, stopped_at):
    image = picture(stylegan)

    def run():
        if work == "tuning":
            return tune(stylegan, image, steps=6, keep_others=True).result[1]
        return invert(stylegan, image, steps=6, as_published="published" in work).result[0].ws

    expected, calls = run(), []
    unfinished = folders / "temp/figura_inversion"

    def interrupted():
        calls.append(1)
        if len(calls) == stopped_at:
            raise management.InterruptProcessingException

    monkeypatch.setattr(management, "throw_exception_if_processing_interrupted", interrupted)
    with pytest.raises(management.InterruptProcessingException):
        run()
    assert len(calls) == stopped_at, "not one step more"
    assert len(list(unfinished.iterdir())) == 1
    calls[:] = [1] * 10
    assert torch.equal(run(), expected)
    assert len(calls) == 10 + 6 - stopped_at, "only the steps that were missing"
    assert not list(unfinished.iterdir())


def test_inputs_are_never_written(stylegan):
    image, latent = picture(stylegan), Latents(sample_ws(stylegan.model, [7], 0.7).cpu())
    copies = image.clone(), latent.ws.clone()
    invert(stylegan, image)
    tune(stylegan, image, latent)
    assert torch.equal(image, copies[0]) and torch.equal(latent.ws, copies[1])


def square(stylegan):
    with torch.inference_mode(False):
        return host.as_patcher(
            random_generator(V2Config(64, square=True, z_dim=32, w_dim=32, channel_base=256, channel_max=8))
        )


def other_encoder():
    encoder = FiguraStyleGANEncoderLoader.execute(FILES["encoder"]).result[0]
    encoder.model.config = type(encoder.model.config)(rows=18, w_dim=32)
    return encoder


BAD = {
    "one pixel": lambda s: invert(s, torch.zeros(1, 1, 1, 3)),
    "a row of pixels": lambda s: invert(s, torch.zeros(1, 64, 1, 3), fit="stretch"),
    "no picture": lambda s: invert(s, torch.zeros(0, 64, 32, 3)),
    "NaN": lambda s: invert(s, torch.full((1, 64, 32, 3), NAN)),
    "two channels": lambda s: invert(s, torch.zeros(1, 64, 32, 2)),
    "no tensor": lambda s: invert(s, "picture.png"),
    "another shape": lambda s: invert(s, torch.zeros(1, 64, 64, 3)),
    "lying": lambda s: invert(s, torch.zeros(1, 32, 64, 3)),
    "a face network": lambda s: invert(square(s), torch.zeros(1, 64, 32, 3)),
    "unknown fit": lambda s: invert(s, fit="crop"),
    "unknown mode": lambda s: invert(s, mode="z"),
    "no steps": lambda s: invert(s, steps=0),
    "half a step": lambda s: invert(s, steps=1.5),
    "negative seed": lambda s: invert(s, seed=-1),
    "rate NaN": lambda s: invert(s, learning_rate=NAN),
    "no encoder": lambda s: invert(s, mode="encoder"),
    "encoder of another network": lambda s: invert(s, mode="encoder", encoder=other_encoder()),
    "network as encoder": lambda s: invert(s, mode="encoder", encoder=s),
    "network as measure": lambda s: invert(s, perceptual=s),
    "tuning one pixel": lambda s: tune(s, torch.zeros(1, 1, 1, 3)),
    "tuning NaN": lambda s: tune(s, torch.full((1, 64, 32, 3), NAN)),
    "tuning another network's latent": lambda s: tune(s, latent=Latents(torch.zeros(1, 16, 32))),
    "tuning a NaN latent": lambda s: tune(s, latent=Latents(torch.full((1, 10, 32), NAN))),
    "tuning two latents for one": lambda s: tune(s, latent=Latents(torch.zeros(2, 10, 32))),
    "tuning no latent": lambda s: tune(s, latent=torch.zeros(1, 10, 32)),
    "tuning an edited latent": lambda s: tune(s, latent=FiguraStyleGANEdit.execute(
        Latents(torch.zeros(1, 10, 32)), FiguraStyleGANSeFa.execute(s, 0, "2-3").result[0], 1.0).result[0]),
    "tuning without steps": lambda s: tune(s, steps=0),
    "tuning for nothing": lambda s: tune(s, pixel_weight=0.0, perceptual_weight=0.0),
    "tuning rate infinite": lambda s: tune(s, learning_rate=float("inf")),
    "threshold NaN": lambda s: tune(s, threshold=NAN),
    "weight negative": lambda s: tune(s, pixel_weight=-1.0),
    "measure from elsewhere": lambda s: FiguraStyleGANPerceptualLoader.execute("../alex.pth", "none"),
    "encoder as measure": lambda s: FiguraStyleGANPerceptualLoader.execute("e4e_w+.pt", "none"),
    "LPIPS alone": lambda s: FiguraStyleGANPerceptualLoader.execute(FILES["lpips"], "none"),
    "encoder from elsewhere": lambda s: FiguraStyleGANEncoderLoader.execute("/etc/passwd"),
    "saving outside": lambda s: FiguraStyleGANSaveNetwork.execute(s, "../../escape"),
    "saving beside": lambda s: FiguraStyleGANSaveNetwork.execute(s, "../beside"),
    "saving without a name": lambda s: FiguraStyleGANSaveNetwork.execute(s, " "),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_bad_input_gets_a_sentence(stylegan, folders, case):
    before = {path for path in folders.rglob("*") if path.is_file()}
    with pytest.raises(FiguraInputError) as caught:
        BAD[case](stylegan)
    assert str(folders) not in str(caught.value)
    assert {path for path in folders.rglob("*") if path.is_file()} == before, "nothing is left behind"


def test_a_broken_network_stops_with_a_sentence(stylegan):
    with torch.inference_mode(False):
        broken = host.as_patcher(random_generator(tiny(2)))
        with torch.no_grad():
            broken.model.synthesis.b64.torgb.bias.fill_(NAN)
    with pytest.raises(FiguraInputError, match="step 1"):
        invert(broken, torch.zeros(1, 64, 32, 3))


@pytest.mark.parametrize("content", [b"", b"<html>quota</html>", b"PK\x03\x04" + b"\0" * 40])
def test_bad_files(folders, content):
    for folder, load in (
        ("perceptual", lambda name: FiguraStyleGANPerceptualLoader.execute(name, "none")),
        ("stylegan_encoders", FiguraStyleGANEncoderLoader.execute),
    ):
        path = Path(folders / "models" / folder / "bad.pt")
        path.write_bytes(content)
        folder_paths.filename_list_cache.clear()
        with pytest.raises(FiguraWeightsError, match="bad.pt"):
            load("bad.pt")
        path.unlink()
        folder_paths.filename_list_cache.clear()
