"""The tiny generators of all three generations."""

import pytest
from comfyui_figura.pipelines.demo.stylegan_human import random_generator
from comfyui_figura.pipelines.stylegan_human.configs import tiny


@pytest.fixture(scope="module", params=[1, 2, 3])
def generator(request):
    return random_generator(tiny(request.param))
