"""A handful of small mannequins in CosmicMan's format, an autoencoder and bases made for them."""

import pytest
import torch
from comfyui_figura.pipelines.base.configs import NewConfig
from comfyui_figura.pipelines.base.new import write_new
from comfyui_figura.pipelines.base.vae_task import new_vae
from comfyui_figura.pipelines.common.write_base import WEIGHTS, write_module
from comfyui_figura.pipelines.mannequin import formats, storage
from comfyui_figura.pipelines.mannequin.configs import demo

SIZE = (64, 32)


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def people(tmp_path_factory):
    """24 pictures of 64 x 32."""
    out = tmp_path_factory.mktemp("people")
    return storage.write_set(formats.CosmicMan(demo(*SIZE), 5), out, 24)


@pytest.fixture(scope="session")
def vae_folder(tmp_path_factory):
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("vae")
    write_module(folder, new_vae((32, 32, 32, 32), 1), WEIGHTS)
    return folder


@pytest.fixture(scope="session")
def bases(tmp_path_factory, people, vae_folder):
    """An untrained base of each family, by name."""
    out = tmp_path_factory.mktemp("bases")
    return {
        family: write_new(NewConfig(out / family, vae_folder, [people], family))
        for family in ("sd15", "sd21")
    }
