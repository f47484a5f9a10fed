"""The nodes themselves: what goes in, what comes out, and what is refused with a sentence."""

from pathlib import Path

import pytest
import torch

pytest.importorskip("comfy.samplers", reason="ComfyUI is not here (COMFYUI_PATH)")

import folder_paths
from comfyui_figura.nodes import parts2whole
from comfyui_figura.nodes.parts2whole import bridge, folders, segmenter
from comfyui_figura.pipelines.common.errors import FiguraInputError
from comfyui_figura.pipelines.demo import parts2whole as demo
from comfyui_figura.pipelines.demo.segformer import draw_figure
from comfyui_figura.pipelines.parts2whole.parts import LABELS

import nodes as stock

NODES = {node.__name__.removeprefix("FiguraParts2Whole"): node for node in parts2whole.NODES}
SIZE = {"width": 64, "height": 96}


@pytest.fixture(scope="module", autouse=True)
def inference():
    with torch.inference_mode():
        yield


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """A models folder as a user's, with the demo's files, known to ComfyUI."""
    root = tmp_path_factory.mktemp("models")
    with torch.inference_mode(False):
        demo.write_models(root)
    patch = pytest.MonkeyPatch()
    for name in ("parts2whole", "segformer", "diffusers"):
        paths, suffixes = folder_paths.folder_names_and_paths[name]
        patch.setitem(folder_paths.folder_names_and_paths, name, ([str(root / name)], suffixes))
    yield root
    patch.undo()


def run(name, **inputs):
    return NODES[name].execute(**inputs).result


@pytest.fixture(scope="module")
def loaded(models):
    return run("Loader", folder=demo.FOLDER, weight_dtype="fp32")


@pytest.fixture(scope="module")
def parts():
    return demo.draw_parts()


@pytest.fixture(scope="module")
def bank(loaded, parts):
    return encode(loaded, parts)[0]


def encode(loaded, parts, **options):
    _, clip, vae, vision, bundle = loaded
    values = SIZE | {"parts2whole": bundle, "clip": clip, "vae": vae, "clip_vision": vision, "parts": parts}
    return run("Encode", **(values | options))


def test_loader_offers_the_folder_and_gives_native_models(loaded):
    model, clip, vae, vision, bundle = loaded
    assert list(folders.folders()) == [demo.FOLDER]
    assert float(model.get_model_object("model_sampling").sigma_max) == pytest.approx(25.146, abs=1e-3)
    assert clip.encode_from_tokens(clip.tokenize("face")).shape == (1, 77, demo.WIDTH)
    assert vae.encode(torch.rand(1, 64, 64, 3)).shape == (1, 4, 8, 8)
    assert vision.encode_image(torch.rand(1, 30, 50, 3))["image_embeds"].shape == (1, demo.WIDTH)
    assert bundle.structure == "densepose" and bundle.decoupled is not None


def test_whole_graph_to_a_picture(loaded, parts):
    model, clip, vae, _, bundle = loaded
    bank, prepared = encode(loaded, parts)
    assert prepared.shape == (5, 96, 64, 3) and prepared.min() >= 0 and prepared.max() <= 1
    (pose,) = run("DensePose", image=demo.draw_pose())
    (applied,) = run("Apply", model=model, parts2whole=bundle, bank=bank, pose=pose)
    text = [[[clip.encode_from_tokens(clip.tokenize(words)), {}]] for words in ("a person", "")]
    latent = {"samples": torch.zeros(2, 4, 12, 8)}
    out = stock.common_ksampler(applied, 1, 2, 3.5, "euler", "ddim_uniform", *text, latent)[0]
    image = vae.decode(out["samples"])
    assert image.shape == (2, 96, 64, 3) and torch.isfinite(image).all()


def test_encoders_agree_with_the_standalone_code(models, loaded, parts, bank):
    """ComfyUI's CLIP, VAE and vision tower give the bank of transformers and diffusers (float32).

    The vision towers resize differently (torch, PIL): 5 % of the largest value.
    """
    from comfyui_figura.pipelines.parts2whole import generate

    with torch.inference_mode(False):
        model = generate.load(models / "parts2whole" / demo.FOLDER)
    clip = loaded[1]  # the tokenizers differ: one is tiny, the other ComfyUI's own
    model.text = lambda labels: torch.cat([bridge.encode_text(clip, label) for label in labels])
    wanted = generate.encode_parts(model, parts, **SIZE)
    for mine, theirs in zip(bank.parts, wanted.parts, strict=True):
        for block in theirs.kept:
            assert mine.kept[block].shape == theirs.kept[block].shape  # a small mask may leave no token
            torch.testing.assert_close(mine.kept[block], theirs.kept[block], atol=1e-3, rtol=1e-3)
    scale = wanted.image_tokens.abs().max()
    assert (bank.image_tokens - wanted.image_tokens).abs().max() <= 0.05 * scale


def test_references_are_chained_without_touching_the_list():
    image = torch.rand(1, 20, 10, 3)
    (first,) = run("Reference", image=image, label="face")
    (second,) = run("Reference", image=image, label="shoes", weight=2.0, fit="pad", parts=first)
    assert [part.label for part in second] == ["face", "shoes"] and len(first) == 1
    assert second[1].weight == 2.0 and second[1].fit == "pad"


def test_mask_can_be_inverted():
    mask = torch.zeros(1, 8, 8)
    (parts,) = run("Reference", image=torch.rand(1, 8, 8, 3), label="face", mask=mask, invert_mask=True)
    assert parts[0].mask.min() == 1 and mask.max() == 0


def test_board_takes_what_is_plugged_in():
    image, mask = torch.rand(1, 8, 8, 3), torch.ones(1, 8, 8)
    (parts,) = run("Board", face=image, shoes=image, shoes_mask=mask, shoes_weight=0.5, fit="crop")
    assert [(part.label, part.weight) for part in parts] == [("face", 1.0), ("shoes", 0.5)]
    (parts,) = run("Board", **{label.replace(" ", "_"): image for label in LABELS})
    assert [part.label for part in parts] == list(LABELS)


def test_part_masks_find_a_drawn_person(models):
    picture, classes = draw_figure(8, 256, 384)
    *masks, shown = run("PartMasks", image=picture[None].expand(2, -1, -1, -1), model=demo.SEGFORMER)
    found = dict(zip(LABELS, masks, strict=True))
    assert all(mask.shape == (2, 384, 256) for mask in masks) and shown.shape == (2, 384, 256, 3)
    for label, index in (("face", 11), ("lower body clothes", 6), ("upper body clothes", 4)):
        wanted = classes == index
        overlap = (found[label][0] > 0) & wanted
        assert overlap.sum() > 0.6 * wanted.sum(), label
    assert found["hair or headwear"].max() == 0


NAN = torch.full((1, 8, 8, 3), float("nan"))
PICTURE, NOTHING = torch.rand(1, 8, 8, 3), torch.zeros(1, 8, 8)
FACE = {"image": PICTURE, "label": "face"}
BAD = {
    "loader, unknown folder": ("Loader", {"folder": "../../secret"}, "model: got"),
    "loader, absolute path": ("Loader", {"folder": "/etc"}, "model: got"),
    "loader, dtype": ("Loader", {"folder": demo.FOLDER, "weight_dtype": "int3"}, "weight_dtype"),
    "reference, label": ("Reference", {"image": PICTURE, "label": "arm"}, "label"),
    "reference, fit": ("Reference", FACE | {"fit": "x"}, "fit"),
    "reference, weight": ("Reference", FACE | {"weight": 99.0}, "weight"),
    "reference, nan": ("Reference", FACE | {"image": NAN}, "NaN"),
    "reference, two pictures": ("Reference", FACE | {"image": torch.rand(2, 8, 8, 3)}, "2 pictures"),
    "reference, no pictures": ("Reference", FACE | {"image": torch.rand(0, 8, 8, 3)}, "empty batch"),
    "reference, empty mask": (
        "Reference", FACE | {"mask": NOTHING},
        "reference 1, face: the mask is empty",
    ),
    "reference, masks": (
        "Reference", FACE | {"mask": torch.ones(3, 8, 8)}, "3 masks",
    ),
    "board, nothing": ("Board", {}, "references: got 0"),
    "board, mask alone": ("Board", {"face_mask": torch.ones(1, 8, 8)}, "mask without a picture"),
    "board, empty mask": (
        "Board", {"shoes": PICTURE, "face": PICTURE, "face_mask": NOTHING},
        "face: the mask is empty",
    ),
    "masks, folder": ("PartMasks", {"image": PICTURE, "model": "../x"}, "models/segformer"),
    "masks, resolution": (
        "PartMasks", {"image": PICTURE, "model": demo.SEGFORMER, "resolution": -1}, "resolution",
    ),
    "masks, picture": ("PartMasks", {"image": torch.rand(1, 8, 8, 2), "model": demo.SEGFORMER}, "channels"),
    "pose, choice": ("DensePose", {"image": demo.draw_pose(), "coloured_maps": "guess"}, "coloured_maps"),
    "pose, photo": ("DensePose", {"image": torch.rand(1, 32, 32, 3)}, "IUV"),
    "pose, black": ("DensePose", {"image": torch.zeros(1, 32, 32, 3)}, "all-black"),
    "pose, empty": ("DensePose", {"image": torch.zeros(0, 32, 32, 3)}, "empty batch"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_bad_input_gets_a_sentence(models, case):
    name, inputs, message = BAD[case]
    with pytest.raises(FiguraInputError, match=message):
        run(name, **inputs)


@pytest.mark.parametrize(
    "options, message",
    [
        ({"parts": []}, "references: got 0"),
        ({"width": 65}, "width"),
        ({"height": 0}, "height"),
        ({"width": 2**20}, "width"),
        ({"width": 64, "height": 64}, "at least 72 pixels"),
    ],
)
def test_bad_encode(loaded, parts, options, message):
    with pytest.raises(FiguraInputError, match=message):
        encode(loaded, options.pop("parts", parts), **options)


@pytest.mark.parametrize(
    "options, message",
    [
        ({"start_percent": 0.8, "end_percent": 0.2}, "start_percent"),
        ({"pose": torch.rand(1, 32, 32, 3)}, "IUV"),
        ({"pose": torch.zeros(0, 32, 32, 3)}, "empty batch"),
        ({"pose": torch.full((1, 8, 8, 3), float("nan"))}, "NaN"),
    ],
)
def test_bad_apply(loaded, bank, options, message):
    with pytest.raises(FiguraInputError, match=message):
        run("Apply", model=loaded[0], parts2whole=loaded[4], bank=bank, **options)


def test_pose_without_a_guider(loaded, bank):
    bundle = bridge.Bundle("bare", loaded[4].reference, None, "densepose", loaded[4].decoupled)
    with pytest.raises(FiguraInputError, match="no pose_guider"):
        run("Apply", model=loaded[0], parts2whole=bundle, bank=bank, pose=demo.draw_pose())


def test_missing_files_of_the_bundle_are_listed(models, tmp_path, monkeypatch):
    import shutil

    broken = shutil.copytree(models / "parts2whole", tmp_path / "parts2whole")
    shutil.rmtree(broken / demo.FOLDER / "vae")
    shutil.rmtree(broken / demo.FOLDER / "image_encoder")
    suffixes = folder_paths.folder_names_and_paths["parts2whole"][1]
    monkeypatch.setitem(folder_paths.folder_names_and_paths, "parts2whole", ([str(broken)], suffixes))
    with pytest.raises(FiguraInputError, match=r"vae \(pictures to latents.*image_encoder \(one CLIP token"):
        run("Loader", folder=demo.FOLDER)


def test_changed_files_are_read_again(models):
    token = NODES["Loader"].fingerprint_inputs(demo.FOLDER)
    assert token and NODES["Loader"].fingerprint_inputs(demo.FOLDER) == token
    path = models / "parts2whole" / demo.FOLDER / "model_index.json"
    path.write_text(path.read_text() + "\n")
    assert NODES["Loader"].fingerprint_inputs(demo.FOLDER) != token


def test_folders_are_only_those_with_a_network(models):
    assert list(segmenter.folders()) == [demo.SEGFORMER]
    (Path(folder_paths.get_folder_paths("segformer")[0]) / "empty").mkdir(exist_ok=True)
    assert list(segmenter.folders()) == [demo.SEGFORMER]
