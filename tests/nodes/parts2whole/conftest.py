"""A tiny Parts2Whole in ComfyUI, and references applied to it."""

import sys
from pathlib import Path

import pytest
import torch

sys.path.append(str(Path(__file__).parent))  # for `parts_graph`


@pytest.fixture(scope="module")
def loaded(tmp_path_factory):
    """MODEL, CLIP, VAE, CLIP_VISION, bundle of the demo's tiny folder."""
    from comfyui_figura.nodes.parts2whole import bridge
    from comfyui_figura.pipelines.demo import parts2whole as demo

    with torch.inference_mode(False):
        folder = tmp_path_factory.mktemp("models") / "Parts2Whole"
        with torch.random.fork_rng():
            torch.manual_seed(3)
            demo.write_folder(folder)
    with torch.inference_mode():
        return bridge.load(folder, torch.float32)


@pytest.fixture(scope="module")
def bank(loaded):
    from parts_graph import make_bank

    with torch.inference_mode():
        return make_bank(loaded)


@pytest.fixture(scope="module")
def applied(loaded, bank):
    from comfyui_figura.nodes.parts2whole import bridge
    from comfyui_figura.nodes.parts2whole.patches import Strengths

    with torch.inference_mode():
        return bridge.apply(loaded[0], loaded[4], bank, Strengths())
