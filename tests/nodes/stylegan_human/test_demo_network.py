"""The trained network that the pack ships: listed as demo/…, opens in the nodes, and shows people."""

import pytest

pytest.importorskip("comfy", reason="no ComfyUI: set COMFYUI_PATH")

import torch  # noqa: E402
from comfyui_figura.nodes import host  # noqa: E402
from comfyui_figura.nodes.stylegan_human.folders import DEMO, FOLDER  # noqa: E402
from comfyui_figura.nodes.stylegan_human.generate import FiguraStyleGANSampler  # noqa: E402
from comfyui_figura.nodes.stylegan_human.loaders import FiguraStyleGANLoader  # noqa: E402
from comfyui_figura.pipelines.common.manifest import sha256  # noqa: E402
from comfyui_figura.pipelines.demo.stylegan_human import SHIPPED, shipped  # noqa: E402
from comfyui_figura.pipelines.mannequin.reader.reading import load_reader  # noqa: E402

NAMES = [f"demo/{path.name}" for path in shipped()]


def test_the_loader_offers_it_and_not_its_card():
    assert NAMES, "no trained network is shipped"
    assert [name for name in host.list_models(FOLDER, DEMO) if name.startswith("demo/")] == NAMES
    for path in shipped():
        assert sha256(path) in path.with_suffix(".md").read_text(encoding="utf-8"), "a card for another file"
    assert sum(path.stat().st_size for path in SHIPPED.iterdir()) < 2 << 20


@pytest.mark.parametrize("name", NAMES)
def test_its_people_have_shirts_of_many_colours(name):
    """Sampled by the nodes and read by the attribute reader: noise or one person would fail."""
    with torch.inference_mode():
        stylegan = FiguraStyleGANLoader.execute(name).result[0]
        images = FiguraStyleGANSampler.execute(stylegan, 1, 24, 0.8, "const").result[0]
    assert images.shape[1] == 2 * images.shape[2]
    readings = load_reader().read(images.movedim(3, 1) * 2 - 1)
    tops = [reading.colors.get("top") for reading in readings]
    assert sum(top is not None for top in tops) >= 20
    assert len(set(tops) - {None}) >= 4
