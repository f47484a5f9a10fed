"""The gate of an autoencoder: clothes' colours must be read right behind it before anything is trained on it.

Whatever a diffusion model draws passes through the decoder, so what is lost here is lost for all of them.
"""

from typing import Any

import torch

from ..common import base_model
from ..common.base_parts import read_module
from ..common.named_function import named
from ..common.people_dataset import open_set, pixels_of
from .configs import MeasureConfig
from .vae_task import psnr

GARMENTS = ("color_top", "color_bottom", "color_shoes")


def measured(config: MeasureConfig) -> dict[str, Any]:
    """PSNR, the reader's figures for the pictures as they are (``renders``) and behind the autoencoder
    (``through``), latents' mean and deviation in the network's scale, and whether it ``passes``."""
    config.check()
    settings, state = read_module(config.vae)
    vae: Any = base_model.build_vae(state, settings, config.vae.name).float()
    score = named(config.score)
    images, labels, records = [], [], []
    for folder in config.data:
        people = open_set(folder, config.size)
        for place in range(max(0, len(people) - config.count), len(people)):
            own, image, parts = people.read(place)
            images.append(image)
            labels.append(torch.from_numpy(parts > 0)[None].float())
            records.append(people.records[own])
    pixels, masks = pixels_of(images), torch.stack(labels)
    back, latents = [], []
    with torch.no_grad():
        for chunk in pixels.split(16):
            latents.append(vae.encode(chunk).latent_dist.mean)
            back.append(vae.decode(latents[-1]).sample.clamp(-1, 1))
    decoded, codes = torch.cat(back), torch.cat(latents) * vae.config.scaling_factor
    figures: dict[str, Any] = {
        "pictures": len(records), "psnr": psnr(decoded, pixels), "psnr_figure": psnr(decoded, pixels, masks),
        "latent_mean": codes.mean((0, 2, 3)).tolist(), "latent_deviation": codes.std((0, 2, 3)).tolist(),
    }  # fmt: skip
    if score is None:
        return figures | {"passes": False}
    for name, pictures in (("renders", pixels), ("through", decoded)):
        bytes_ = ((pictures + 1) * 127.5).round().byte().permute(0, 2, 3, 1).numpy()
        figures[name] = score(bytes_, records)
    return figures | {"passes": passes(figures["through"], config.gate)}


def passes(figures: dict[str, float], gate: float) -> bool:
    """Whether the colours of all three garments reach the gate; one that was not read does not."""
    return all(figures.get(name, 0.0) >= gate for name in GARMENTS)
