"""Nodes run as ComfyUI runs them; tiny networks of all three generations as it holds them."""

import pytest
import torch
from comfyui_figura.pipelines.demo.stylegan_human import random_generator
from comfyui_figura.pipelines.stylegan_human.configs import tiny


@pytest.fixture(autouse=True)
def as_comfyui_runs():
    """ComfyUI executes nodes under inference mode, on the CPU here."""
    with torch.inference_mode():
        yield


@pytest.fixture(scope="module", params=[1, 2, 3])
def stylegan(request):
    from comfyui_figura.nodes import host

    return host.as_patcher(random_generator(tiny(request.param)))
