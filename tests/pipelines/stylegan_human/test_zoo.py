"""What each released network can do: every cell of docs/stylegan_models.md, proved on a tiny file of the same
layout. A "no" must be a refusal in our words, or no effect at all; it is never merely claimed.
"""

import re
from pathlib import Path

import pytest
import torch
from comfyui_figura.pipelines.common.errors import FiguraInputError
from comfyui_figura.pipelines.common.perceptual import PixelsAndGradients
from comfyui_figura.pipelines.demo.stylegan_human import FACES, FILES, write_models
from comfyui_figura.pipelines.stylegan_human.configs import V1Config, V2Config, stylegan2_human, stylegan3_r
from comfyui_figura.pipelines.stylegan_human.generate import sample_ws, synthesize
from comfyui_figura.pipelines.stylegan_human.inset.compose import inset
from comfyui_figura.pipelines.stylegan_human.inset.inset import InsetConfig
from comfyui_figura.pipelines.stylegan_human.inversion.invert import find_latents, tune_generator
from comfyui_figura.pipelines.stylegan_human.inversion.settings import ProjectSettings, TuneSettings
from comfyui_figura.pipelines.stylegan_human.latents.edit import (
    check_edit,
    direction_in_styles,
    direction_in_w,
    sefa_vector,
    sweep,
)
from comfyui_figura.pipelines.stylegan_human.latents.latent_file import Latents
from comfyui_figura.pipelines.stylegan_human.latents.mixing import mixing_matrix
from comfyui_figura.pipelines.stylegan_human.latents.walks import path_of_ws
from comfyui_figura.pipelines.stylegan_human.loading import load_generator, save_generator
from comfyui_figura.pipelines.stylegan_human.networks.generator import build

PAGE = Path(__file__).parents[3] / "docs" / "stylegan_models.md"
RELEASED = {
    "stylegan_human_v1_1024.pkl": V1Config(),
    "stylegan_human_v2_1024.pkl": stylegan2_human(1024),
    "stylegan_human_v2_512.pkl": stylegan2_human(512),
    "stylegan_human_v3_512.pkl": stylegan3_r(512),
    "ffhq.pkl": V2Config(1024, square=True),
}
RELEASED_VECTORS = [512] * 10 + [256, 256, 128, 128, 64]  # of StyleGAN-Human's style_vect_mean files
MEASURE = PixelsAndGradients()


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    root = tmp_path_factory.mktemp("zoo")
    write_models(root)
    return root / "stylegan_human"


@pytest.fixture(scope="module")
def networks(files):
    return {name: load_generator(files / name) for name in RELEASED}


def ws_of(generator, *seeds):
    return sample_ws(generator, seeds or [1], 0.7)


def draws(generator, networks, tmp_path):
    pixels = synthesize(generator, ws_of(generator, 1, 2))
    assert pixels.shape == (2, 3, *generator.image_size) and torch.isfinite(pixels).all()
    return not torch.equal(pixels[0], pixels[1])


def converts(generator, networks, tmp_path):
    save_generator(tmp_path / "network.safetensors", generator)
    again = load_generator(tmp_path / "network.safetensors")
    return torch.equal(synthesize(again, ws_of(again)), synthesize(generator, ws_of(generator)))


def own_noise(generator, networks, tmp_path):
    const, none = (synthesize(generator, ws_of(generator), mode) for mode in ("const", "none"))
    return not torch.equal(const, none)


def truncates_all_rows(generator, networks, tmp_path):
    """At psi 0 every row is the average; else only the first ones are."""
    ws = sample_ws(generator, [1], 0.0)
    assert torch.allclose(ws[:, :8], generator.mapping.w_avg.expand_as(ws[:, :8]), atol=1e-5)
    return torch.allclose(ws, generator.mapping.w_avg.expand_as(ws), atol=1e-5)


def mixes_and_walks(generator, networks, tmp_path):
    a, b = ws_of(generator, 1), ws_of(generator, 2)
    sheet = mixing_matrix(generator, a, b, [0, 1])
    assert not torch.equal(sheet[3], sheet[1]) and not torch.equal(sheet[3], sheet[2])
    return len(path_of_ws(torch.cat([a, b]), 4)) == 5


def sefa(generator, networks, tmp_path):
    edit = direction_in_w(sefa_vector(generator.synthesis, 0), [2, 3])
    pixels = sweep(generator, ws_of(generator), [(edit, 0.0)], 0, [-5.0, 5.0])
    return not torch.equal(pixels[0], pixels[1])


def style_directions(generator, networks, tmp_path):
    """Shifts of styles, of this network's own widths."""
    with torch.no_grad():
        styles = generator.synthesis.styles(ws_of(generator))
    slots = [
        i for i, slot in enumerate(generator.synthesis.slots) if not slot.to_rgb and slot.name != "input"
    ]
    edit = direction_in_styles([torch.ones(styles[i].shape[1]) for i in slots])
    pixels = sweep(generator, ws_of(generator), [(edit, 0.0)], 0, [0.0, 1.0])
    return not torch.equal(pixels[0], pixels[1])


def released_directions(generator, networks, tmp_path):
    """StyleGAN-Human's files, by their sizes, on the network at its full size (without weights)."""
    name = next(name for name, network in networks.items() if network is generator)
    with torch.device("meta"):
        full = build(RELEASED[name])
    check_edit(direction_in_styles([torch.zeros(width) for width in RELEASED_VECTORS]), full)
    return True


def inverts(generator, networks, tmp_path):
    target = synthesize(generator, ws_of(generator, 3))
    for space in ("w", "w+"):
        ws = find_latents(generator, target, MEASURE, ProjectSettings(space=space, steps=3, samples=20))
        assert ws.shape == (1, generator.config.num_ws, generator.config.w_dim)
    return bool(torch.isfinite(ws).all())


def tunes(generator, networks, tmp_path):
    """A few steps bring the drawing nearer, and the tuned network is saved and loaded again."""
    target, ws = synthesize(generator, ws_of(generator, 3)), ws_of(generator, 4)
    tuned = tune_generator(generator, target, ws, MEASURE, TuneSettings(steps=4, threshold=None)).generator
    save_generator(tmp_path / "tuned.safetensors", tuned)
    near, far = (
        (synthesize(network, ws) - target).square().mean()
        for network in (load_generator(tmp_path / "tuned.safetensors"), generator)
    )
    return bool(near < far)


def inset_body(generator, networks, tmp_path):
    return joined(networks["ffhq.pkl"], generator)


def inset_face(generator, networks, tmp_path):
    return joined(generator, networks["stylegan_human_v2_1024.pkl"])


def joined(face, body):
    result = inset(
        face, body, Latents(ws_of(face)), Latents(ws_of(body)), MEASURE, config=InsetConfig(1, 1, 2)
    )
    return result.image.shape[2:] == body.image_size


ABILITIES = {
    "seeds to pictures": draws, "converts to .safetensors": converts, "noise of its own": own_noise,
    "truncation moves all rows": truncates_all_rows, "mixing, walks": mixes_and_walks, "SeFa": sefa,
    "directions in styles": style_directions, "released direction files fit": released_directions,
    "inversion (w, w+)": inverts, "pivotal tuning": tunes, "InsetGAN body": inset_body,
    "InsetGAN face": inset_face,
}  # fmt: skip


def table(heading: str) -> dict[str, dict[str, str]]:
    """The page's table under ``heading``: row -> column -> cell."""
    section = PAGE.read_text(encoding="utf-8").split(f"## {heading}\n", 1)[1].split("\n## ")[0]
    rows = [[cell.strip(" `") for cell in line.strip("|").split("|")] for line in section.splitlines()
            if line.startswith("|")]  # fmt: skip
    assert re.fullmatch(r"[-: ]+", "".join(rows[1]))
    return {row[0]: dict(zip(rows[0][1:], row[1:], strict=True)) for row in rows[2:]}


def test_the_page_lists_all_networks_and_abilities():
    assert list(table("What each can do")) == list(ABILITIES)
    assert all(list(row) == list(RELEASED) for row in table("What each can do").values())
    assert list(table("Sizes")) == list(RELEASED) and set(RELEASED) == set(FILES) | set(FACES)


@pytest.mark.parametrize("network", RELEASED)
@pytest.mark.parametrize("ability", ABILITIES)
def test_cell(networks, tmp_path, network, ability):
    try:
        can = ABILITIES[ability](networks[network], networks, tmp_path)
    except FiguraInputError:
        can = False
    assert table("What each can do")[ability][network] == ("yes" if can else "no")


@pytest.mark.parametrize("network", RELEASED)
def test_sizes(network):
    with torch.device("meta"):
        generator = build(RELEASED[network])
    height, width = generator.image_size
    expected = {
        "picture (height x width)": f"{height} x {width}", "rows of ws": str(generator.config.num_ws),
        "parameters": f"{sum(parameter.numel() for parameter in generator.parameters()):,}",
        "family": f"StyleGAN{generator.version}",
    }  # fmt: skip
    assert table("Sizes")[network] == expected
