"""Finding, saving and loading directions as nodes; and the same edit through nodes and the command line."""

import sys

import numpy as np
import pytest
import torch

pytest.importorskip("comfy", reason="no ComfyUI: set COMFYUI_PATH")

import folder_paths  # noqa: E402
from comfyui_figura.nodes import host  # noqa: E402
from comfyui_figura.nodes.stylegan_human.edit import (  # noqa: E402
    FiguraStyleGANEdit,
    FiguraStyleGANEditSweep,
    FiguraStyleGANLoadDirection,
    FiguraStyleGANSaveDirection,
    FiguraStyleGANSeFa,
)
from comfyui_figura.nodes.stylegan_human.find import (  # noqa: E402
    FiguraStyleGANFitDirection,
    FiguraStyleGANLatentDirection,
    FiguraStyleGANStyleChannels,
    FiguraStyleGANTextDirection,
)
from comfyui_figura.nodes.stylegan_human.generate import FiguraStyleGANSampler, FiguraStyleGANSeedGrid  # noqa: E402
from comfyui_figura.nodes.stylegan_human.latents import (  # noqa: E402
    FiguraStyleGANLoadLatent,
    FiguraStyleGANSaveLatent,
)
from comfyui_figura.pipelines import __main__ as figura  # noqa: E402
from comfyui_figura.pipelines.common.errors import FiguraInputError  # noqa: E402
from comfyui_figura.pipelines.demo.network_pickle import write_network  # noqa: E402
from comfyui_figura.pipelines.demo.stylegan_human import random_generator, write_clip  # noqa: E402
from comfyui_figura.pipelines.stylegan_human.configs import tiny  # noqa: E402
from comfyui_figura.pipelines.stylegan_human.generate import sample_ws  # noqa: E402
from comfyui_figura.pipelines.stylegan_human.latents.edit import EVERY_ROW, Edit  # noqa: E402
from comfyui_figura.pipelines.stylegan_human.latents.latent_file import Latents  # noqa: E402
from comfyui_figura.pipelines.stylegan_human.loading import load_generator  # noqa: E402
from PIL import Image  # noqa: E402

NAN = float("nan")


@pytest.fixture(scope="module", autouse=True)
def folders(tmp_path_factory):
    """Folders of our own for directions, CLIP and outputs."""
    root = tmp_path_factory.mktemp("comfy")
    table, kept = folder_paths.folder_names_and_paths, {}
    for name in ("stylegan_directions", "clip_vision"):
        (root / name).mkdir()
        kept[name] = table[name]
        table[name] = ([str(root / name)], table[name][1])
    write_clip(root / "clip_vision/tiny_clip.safetensors")
    output = folder_paths.get_output_directory()
    (root / "output").mkdir()
    folder_paths.set_output_directory(str(root / "output"))
    folder_paths.filename_list_cache.clear()
    yield root
    table.update(kept)
    folder_paths.set_output_directory(output)
    folder_paths.filename_list_cache.clear()


@pytest.fixture(scope="module")
def stylegan():
    return host.as_patcher(random_generator(tiny(2)))


@pytest.fixture(scope="module")
def grid(stylegan):
    """Forty people: their pictures and latents."""
    with torch.inference_mode():
        _, images, latents = FiguraStyleGANSeedGrid.execute(stylegan, "0-39", 1.0, "const", 0, False).result
    return images, latents


def redness(images):
    return images[..., 0].mean(dim=(1, 2)) - images[..., 1:].mean(dim=(1, 2, 3))


def fit(latents, seeds="", rows="all", **options):
    """As ComfyUI calls a node that takes lists: every input is one."""
    lists = {name: value if isinstance(value, list) else [value] for name, value in options.items()}
    return FiguraStyleGANFitDirection.execute([latents], [seeds], [rows], **lists).result


def test_fit_from_a_graphs_masks(stylegan, grid):
    """Red areas of the pictures as masks; the direction makes a person redder."""
    images, latents = grid
    edit, score, report = fit(latents, masks=[images[:20, ..., 0], images[20:, ..., 0]])
    assert edit.rows.keys() == {EVERY_ROW} and f"{score:.3f}" in report and "R2" in report
    ends, strip = FiguraStyleGANEditSweep.execute(stylegan, latents, edit, -2.0, 2.0, 2, "const", 0).result
    assert ends[1, ..., 0].mean() > ends[0, ..., 0].mean()
    assert strip.shape[0] == 1 and strip.shape[2] > 2 * 32


def test_fit_from_numbers_texts_and_seeds(grid):
    images, latents = grid
    amounts = redness(images).tolist()
    edit, _, report = fit(latents, numbers=amounts, rows="2-3")
    assert edit.rows.keys() == {2, 3} and "R2" in report
    as_text = fit(latents, numbers=[" ".join(map(str, amounts))], rows="2-3")[0]
    assert torch.equal(as_text.rows[2], edit.rows[2])
    chosen = [seed for seed, amount in enumerate(amounts) if amount > sorted(amounts)[20]]
    words = ",".join(map(str, chosen))
    by_seed, _, report = fit(latents, words)
    labels = fit(latents, numbers=["yes" if seed in chosen else "no" for seed in range(40)])[0]
    assert torch.equal(labels.rows[EVERY_ROW], by_seed.rows[EVERY_ROW]) and "accuracy" in report


def test_fit_keeps_another_direction_out(grid):
    images, latents = grid
    green = fit(latents, masks=images[..., 1])[0]
    kept = fit(latents, masks=images[..., 0], keep_out=green)[0]
    a, b = (torch.nn.functional.normalize(edit.rows[EVERY_ROW], dim=0) for edit in (green, kept))
    assert abs(a @ b) < 1e-4


def test_fit_joins_lists_of_latents(grid):
    _, latents = grid
    halves = [Latents(latents.ws[:20], latents.seeds[:20]), Latents(latents.ws[20:], latents.seeds[20:])]
    whole = fit(latents, "0-9")[0]
    joined = FiguraStyleGANFitDirection.execute(halves, ["0-9"], ["all"]).result[0]
    assert torch.equal(whole.rows[EVERY_ROW], joined.rows[EVERY_ROW])


def channels(stylegan, latents, seeds="", count=4, **options):
    lists = {name: value if isinstance(value, list) else [value] for name, value in options.items()}
    return FiguraStyleGANStyleChannels.execute([stylegan], [latents], [seeds], [count], **lists).result


def test_style_channels(stylegan, grid):
    images, latents = grid
    edit, report = channels(stylegan, latents, numbers=redness(images).tolist())
    assert sum(int((vector != 0).sum()) for vector in edit.styles.values()) == 4
    assert len(report.splitlines()) == 4 and "channel" in report
    assert channels(stylegan, latents, "0-9", 2, layer=3)[0].styles.keys() == {3}
    person = Latents(latents.ws[:1])
    edited = FiguraStyleGANEdit.execute(person, edit, 1.0).result[0]
    pictures = [
        FiguraStyleGANSampler.execute(stylegan, 0, 1, 1.0, "const", 0, x).result[0] for x in (person, edited)
    ]
    assert redness(pictures[1]) > redness(pictures[0])


def text_direction(
    stylegan, clip="tiny_clip.safetensors", text="a dress", versus="trousers", samples=20, **options
):
    return FiguraStyleGANTextDirection.execute(
        stylegan, clip, text, versus, samples, 0, 1.0, "all", **options
    ).result


def test_text_direction(stylegan):
    edit, score, report = text_direction(stylegan)
    assert edit.name == "a dress" and edit.rows[EVERY_ROW].shape == (32,) and "R2" in report
    reverse = text_direction(stylegan, text="trousers", versus="a dress")[0]
    assert torch.allclose(reverse.rows[EVERY_ROW], -edit.rows[EVERY_ROW], atol=1e-4)
    assert FiguraStyleGANTextDirection.fingerprint_inputs("tiny_clip.safetensors", text="x") != "tiny_clip"


def test_latent_direction(stylegan):
    ws = sample_ws(stylegan.model, [1, 2, 3])
    edit = FiguraStyleGANLatentDirection.execute(Latents(ws[:1]), Latents(ws[1:]), "all").result[0]
    moved = ws[:1] + torch.stack([edit.rows[row] for row in range(10)])
    assert torch.allclose(moved, ws[1:].mean(dim=0, keepdim=True), atol=1e-5)
    some = FiguraStyleGANLatentDirection.execute(Latents(ws[:1]), Latents(ws[1:]), "4-5").result[0]
    assert some.rows.keys() == {4, 5}


def test_save_and_load_direction(grid, folders):
    edit = fit(grid[1], "0-9", rows="2-3")[0]
    for kind in ("safetensors", "pt", "npy"):
        FiguraStyleGANSaveDirection.execute(edit, f"directions/{kind}", kind)
    options = FiguraStyleGANLoadDirection.define_schema().inputs[0].options
    names = [f"directions/{kind}_00001_.{kind} [output]" for kind in ("safetensors", "pt", "npy")]
    assert set(names) <= set(options)
    for name in names:
        rows = "" if "safetensors" in name else "2-3"
        back = FiguraStyleGANLoadDirection.execute(name, rows).result[0]
        assert back.rows.keys() == {2, 3} and torch.equal(back.rows[2], edit.rows[2])
    assert FiguraStyleGANLoadDirection.execute(names[0], "all").result[0].rows.keys() == {EVERY_ROW}
    styles = Edit("s", styles={0: torch.ones(8), 1: torch.ones(4)})
    FiguraStyleGANSaveDirection.execute(styles, "directions/series", "style_vect_mean")
    name = "directions/series_00001_/style_vect_mean_1.pkl [output]"
    assert FiguraStyleGANLoadDirection.execute(name, "").result[0].styles.keys() == {0, 1}


@pytest.mark.parametrize("kind", ["pt", "npz"])
def test_latents_in_the_references_files(stylegan, folders, kind):
    latents = Latents(sample_ws(stylegan.model, [1]))
    FiguraStyleGANSaveLatent.execute(latents, f"latents/{kind}", kind)
    back = FiguraStyleGANLoadLatent.execute(f"latents/{kind}_00001_.{kind} [output]").result[0]
    assert torch.equal(back.ws, latents.ws)


@pytest.mark.parametrize("version", [1, 2, 3])
def test_nodes_and_command_line_edit_alike_to_the_last_bit(version, folders, tmp_path, monkeypatch):
    """One direction file, one latent file, three strengths: both ways give the same bytes."""
    network, strengths = tmp_path / "network.pkl", (-3.0, 0.0, 3.0)
    write_network(network, random_generator(tiny(version)))
    patcher = host.as_patcher(load_generator(network))
    person = FiguraStyleGANSampler.execute(patcher, 7, 1, 0.8, "const").result[1]
    FiguraStyleGANSaveLatent.execute(person, f"latents/v{version}")
    found = FiguraStyleGANSeFa.execute(patcher, 1, "2-4").result[0]
    FiguraStyleGANSaveDirection.execute(found, f"directions/v{version}", "safetensors")
    direction, latent = (f"{kind}/v{version}_00001_.safetensors" for kind in ("directions", "latents"))
    edit = FiguraStyleGANLoadDirection.execute(f"{direction} [output]", "").result[0]
    loaded = FiguraStyleGANLoadLatent.execute(f"{latent} [output]").result[0]
    edited = [FiguraStyleGANEdit.execute(loaded, edit, strength).result[0] for strength in strengths]
    images = torch.cat(
        [FiguraStyleGANSampler.execute(patcher, 0, 1, 0.8, "const", 0, one).result[0] for one in edited]
    )
    swept = FiguraStyleGANEditSweep.execute(patcher, loaded, edit, -3.0, 3.0, 3).result[0]
    assert torch.equal(swept, images), "a sweep re-uses layers and changes nothing"

    out = folder_paths.get_output_directory()
    words = ["--latent", f"{out}/{latent}", "--direction", f"{out}/{direction}", "--strengths=-3,0,3"]
    command = ["figura", "stylegan", "edit", "--network", str(network), *words, "--outdir", str(tmp_path)]
    monkeypatch.setattr(sys, "argv", command)
    figura.main()
    strip = np.asarray(Image.open(next(tmp_path.glob("*.png"))))
    nodes = (torch.cat(list(images), dim=1) * 255).round().to(torch.uint8).numpy()
    assert np.array_equal(strip, nodes)
    assert not np.array_equal(strip[:, :32], strip[:, 32:64]), "the edit does something"


OTHER = Latents(torch.zeros(12, 12, 32))
BAD = {
    "nothing to learn from": lambda s, g: fit(g[1]),
    "two ways at once": lambda s, g: fit(g[1], "1-9", masks=g[0][..., 0]),
    "masks of others": lambda s, g: fit(g[1], masks=g[0][:7, ..., 0]),
    "masks that are none": lambda s, g: fit(g[1], masks=["mask"]),
    "numbers of others": lambda s, g: fit(g[1], numbers=[1.0, 2.0]),
    "numbers that are words": lambda s, g: fit(g[1], numbers=["red"] * 40),
    "numbers all alike": lambda s, g: fit(g[1], numbers=[1.0] * 40),
    "numbers all unknown": lambda s, g: fit(g[1], numbers=[NAN] * 40),
    "seeds of others": lambda s, g: fit(g[1], "77"),
    "seeds as words": lambda s, g: fit(g[1], "seven"),
    "everyone has it": lambda s, g: fit(g[1], "0-39"),
    "latents without seeds": lambda s, g: fit(Latents(g[1].ws), "1-9"),
    "too few latents": lambda s, g: fit(Latents(g[1].ws[:4], (0, 1, 2, 3)), "1-2"),
    "latents of another type": lambda s, g: fit(g[1].ws, "1-9"),
    "rows out of range": lambda s, g: fit(g[1], "1-9", rows="99"),
    "unknown method": lambda s, g: fit(g[1], "1-9", method="guess"),
    "extremes of NaN": lambda s, g: fit(g[1], numbers=list(range(40)), extremes=NAN),
    "keeping out a text": lambda s, g: fit(g[1], "1-9", keep_out="pose"),
    "keeping out styles": lambda s, g: fit(g[1], "1-9", keep_out=Edit("x", styles={0: torch.ones(8)})),
    "keeping out another network's": lambda s, g: fit(
        g[1], "1-9", keep_out=Edit("x", rows={0: torch.ones(512)})
    ),
    "channels of another network": lambda s, g: channels(s, Latents(OTHER.ws, tuple(range(12))), "1-4"),
    "no channels": lambda s, g: channels(s, g[1], "1-9", 0),
    "layer that is not there": lambda s, g: channels(s, g[1], "1-9", layer=60),
    "channels without numbers": lambda s, g: channels(s, g[1], numbers=[NAN] * 40),
    "no such CLIP": lambda s, g: text_direction(s, clip="../x.safetensors"),
    "empty text": lambda s, g: text_direction(s, text=" "),
    "one text twice": lambda s, g: text_direction(s, versus="a dress"),
    "too few samples": lambda s, g: text_direction(s, samples=3),
    "difference of networks": lambda s, g: FiguraStyleGANLatentDirection.execute(g[1], OTHER, "all"),
    "difference with unknown rows": lambda s, g: FiguraStyleGANLatentDirection.execute(g[1], g[1], "99"),
    "difference with a text": lambda s, g: FiguraStyleGANLatentDirection.execute(g[1], "x", "all"),
    "saving no edit": lambda s, g: FiguraStyleGANSaveDirection.execute("x", "directions/x", "pt"),
    "saving outside": lambda s, g: FiguraStyleGANSaveDirection.execute(Edit("x"), "../x", "safetensors"),
    "saving in an unknown format": lambda s, g: FiguraStyleGANSaveDirection.execute(Edit("x"), "x", "exe"),
    "saving styles as one vector": lambda s, g: FiguraStyleGANSaveDirection.execute(
        Edit("x", styles={0: torch.ones(4)}), "directions/x", "pt"
    ),
    "saving a latent in an unknown format": lambda s, g: FiguraStyleGANSaveLatent.execute(g[1], "x", "exe"),
    "loading outside": lambda s, g: FiguraStyleGANLoadDirection.execute("../x.pt [output]", ""),
    "editing with 512 values": lambda s, g: FiguraStyleGANEditSweep.execute(
        s, g[1], Edit("x", rows={EVERY_ROW: torch.zeros(512)}), -1.0, 1.0, 2
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_gets_a_sentence(stylegan, grid, folders, case):
    before = set(folders.rglob("*"))
    with pytest.raises(FiguraInputError):
        BAD[case](stylegan, grid)
    assert {path for path in folders.rglob("*") if path.is_file()} <= before, "nothing half-written"
