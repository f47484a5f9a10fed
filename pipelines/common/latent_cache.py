"""Latents of a whole data set, encoded once and kept beside the run."""

import hashlib
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from .people_dataset import People, pixels_of
from .progress import Progress, silent
from .weights import load_state_dict, read_metadata, save_state_dict

log = logging.getLogger(__name__)
BATCH = 16


def fingerprint(vae: Any, sets: Sequence[People]) -> str:
    """Changes with the autoencoder's weights, the pictures' names, captions and size."""
    digest = hashlib.sha256()
    for name, tensor in sorted(vae.state_dict().items()):
        digest.update(name.encode() + tensor.detach().cpu().float().contiguous().numpy().tobytes())
    for people in sets:
        digest.update(repr((people.size, [(r.path, r.caption) for r in people.records])).encode())
    return digest.hexdigest()


def cached_moments(
    path: Path, vae: Any, sets: Sequence[People], progress: Progress = silent
) -> dict[str, Tensor]:
    """``mean`` and ``std`` of the posterior, fp16 [N, C, h, w] over all sets in order, and ``own`` [N], the
    picture that stands at each place (a broken one is replaced by the next). Read from ``path`` where it
    fits."""
    key = fingerprint(vae, sets)
    if path.is_file() and read_metadata(path).get("fingerprint") == key:
        return load_state_dict(path)
    log.info("encoding %d pictures", sum(map(len, sets)))
    device = next(vae.parameters()).device
    found: dict[str, list[Tensor]] = {"mean": [], "std": [], "own": []}
    total, done = sum(map(len, sets)), 0
    for people in sets:
        for first in range(0, len(people), BATCH):
            read = [people.read(place) for place in range(first, min(first + BATCH, len(people)))]
            with torch.no_grad():
                pixels = pixels_of([image for _, image, _ in read])
                posterior = vae.encode(pixels.to(device, next(vae.parameters()).dtype)).latent_dist
            found["mean"].append(posterior.mean.half().cpu())
            found["std"].append(posterior.std.half().cpu())
            found["own"].append(torch.tensor([own for own, _, _ in read]))
            done += len(read)
            progress(done, total)
    moments = {name: torch.cat(parts).contiguous() for name, parts in found.items()}
    save_state_dict(path, moments, {"fingerprint": key})
    return load_state_dict(path)  # what a resumed run will read, to the layout in memory
