"""Generators in ComfyUI: loaded as ordinary weights, moved by its model management, latents in its
folders.
"""

from collections.abc import Sequence
from dataclasses import replace

import torch
from comfy.model_patcher import ModelPatcher
from torch import Tensor

from ...pipelines.common.errors import FiguraInputError
from ...pipelines.common.images import to_image
from ...pipelines.common.seeds import batch_seeds
from ...pipelines.stylegan_human.directions.direction_file import load_direction, save_direction
from ...pipelines.stylegan_human.generate import sample_ws, synthesize
from ...pipelines.stylegan_human.grid import MAX_SIDE, sheet
from ...pipelines.stylegan_human.latents.edit import (
    SEFA_ROWS,
    Edit,
    check_strength,
    direction_in_w,
    parse_edit_rows,
    sefa_vector,
    spread,
    sweep,
)
from ...pipelines.stylegan_human.latents.latent_file import Latents, load_latents, save_latents
from ...pipelines.stylegan_human.latents.latents import (
    blend,
    check_same_model,
    check_ws,
    combine,
    parse_rows,
    parse_seeds,
    truncate_rows,
)
from ...pipelines.stylegan_human.latents.mixing import mixing_matrix
from ...pipelines.stylegan_human.latents.walks import corner_grid, path_of_ws, random_walk
from ...pipelines.stylegan_human.loading import load_generator
from ...pipelines.stylegan_human.networks.mapping import truncate
from .. import host
from ..compat import one_of
from .folders import DEMO, FOLDER, direction_path, latent_path, save_path


def load(name: str) -> ModelPatcher:
    """The generator of a combo's name. Its weights are ordinary tensors, so that later nodes may train on
    them.
    """
    with torch.inference_mode(False), torch.no_grad():
        return host.as_patcher(load_generator(host.model_path(FOLDER, name, DEMO)))


def sample(patcher: ModelPatcher, seeds: list[int], psi: float, cutoff: int) -> Latents:
    """Latents of the seeds. ``cutoff`` 0 stands for the network's own."""
    return Latents(sample_ws(host.on_device(patcher), seeds, psi, cutoff or None).cpu(), tuple(seeds))


def sample_batch(patcher: ModelPatcher, seed: int, count: int, psi: float, cutoff: int) -> Latents:
    """Latents of ``seed``, ``seed`` + 1, …"""
    return sample(patcher, batch_seeds(seed, count), psi, cutoff)


def sample_listed(patcher: ModelPatcher, seeds: str, psi: float, cutoff: int = 0) -> Latents:
    """Latents of seeds such as ``1,3,5-9``."""
    return sample(patcher, parse_seeds(seeds, limit=256), psi, cutoff)


def render(patcher: ModelPatcher, latents: Latents, noise_mode: str, seed: int | None = None) -> Tensor:
    """IMAGE batch of the latents, with progress, preview and interruption.

    Random noise comes from ``seed`` + i, or from the latents' own seeds when None.
    """
    noise_seeds = list(latents.seeds or ()) if seed is None else batch_seeds(seed, len(latents.ws))
    generator = host.on_device(patcher)
    progress = host.NodeProgress(len(latents.ws) * generator.synthesis.num_steps)
    pixels = synthesize(
        generator, latents.ws, noise_mode, noise_seeds, progress=progress, edits=latents.edits
    )
    return host.result(to_image(pixels))


def seed_sheet(images: Tensor, latents: Latents, labels: bool, columns: int) -> Tensor:
    """IMAGE sheet of the pictures, each with its seed below it."""
    return sheet(images, [str(seed) for seed in latents.seeds or ()] if labels else [], columns)


def check(latents, what: str = "latent") -> Latents:
    """Refuse what is no value of our own latents socket."""
    if not isinstance(latents, Latents):
        raise FiguraInputError(what, type(latents).__name__, "the latent output of a StyleGAN node")
    return latents


def blended(a: Latents, b: Latents, factor: float, mode: str, rows: str) -> Latents:
    """``a`` moved towards ``b``, edits in the same measure; if only some rows move, ``a`` keeps its own."""
    chosen = parse_rows(rows, a.ws.shape[1])
    ws = blend(a.ws, b.ws, factor, mode, chosen)
    if chosen is not None:
        return Latents(ws, edits=a.edits)
    moved = [(edit, strength * (1 - factor)) for edit, strength in a.edits]
    return Latents(ws, edits=(*moved, *[(edit, strength * factor) for edit, strength in b.edits]))


def combined(a: Latents, b: Latents, operation: str, factor: float, rows: str) -> Latents:
    """a + factor * b, or a - factor * b, edits included; where only some rows change, ``a`` keeps its own."""
    chosen = parse_rows(rows, a.ws.shape[1])
    ws = combine(a.ws, b.ws, operation, factor, chosen)
    sign = factor if operation == "add" else -factor
    added = [] if chosen is not None else [(edit, strength * sign) for edit, strength in b.edits]
    return Latents(ws, edits=(*a.edits, *added))


def truncated(patcher: ModelPatcher, latents: Latents, psi: float, cutoff: int, rows: str) -> Latents:
    """The latents moved towards the network's average person, in ``rows`` or in the first ``cutoff``."""
    generator = patcher.model
    ws = check_ws(latents.ws, generator.config.num_ws, generator.config.w_dim)
    average, chosen = generator.mapping.w_avg.cpu(), parse_rows(rows, generator.config.num_ws)
    if chosen is None:
        return replace(latents, ws=truncate(ws, average, psi, cutoff or None))
    return replace(latents, ws=truncate_rows(ws, average, psi, chosen))


def check_edit_value(edit) -> Edit:
    """Refuse what is no value of our own edit socket."""
    if not isinstance(edit, Edit):
        raise FiguraInputError("edit", type(edit).__name__, "the edit output of a StyleGAN node")
    return edit


def with_edit(latents: Latents, edit: Edit, strength: float) -> Latents:
    """The latents with one more edit."""
    return replace(latents, edits=(*latents.edits, (check_edit_value(edit), check_strength(strength))))


def sefa(patcher: ModelPatcher, number: int, rows: str) -> Edit:
    """Direction ``number`` of the network's own factorisation, strongest first."""
    chosen = parse_edit_rows(rows, patcher.model.config.num_ws)
    return direction_in_w(sefa_vector(patcher.model.synthesis, number), chosen or SEFA_ROWS, f"SeFa {number}")


def load_edit(name: str, rows: str) -> Edit:
    """The direction of a combo's name."""
    return load_direction(direction_path(name), parse_edit_rows(rows))


def save_edit(edit: Edit, prefix: str, kind: str, kinds: Sequence[str]) -> str:
    """Write the edit into ComfyUI's output folder and return the name of the file or folder."""
    path = save_path(prefix, "" if one_of("format", kind, kinds) == "style_vect_mean" else f".{kind}")
    save_direction(path, edit)
    return path.name


def strip(
    patcher: ModelPatcher,
    latents: Latents,
    edit: Edit,
    span: tuple[float, float, int],
    noise_mode: str,
    seed: int,
) -> tuple[Tensor, Tensor]:
    """IMAGE batch of the first latent with one more edit, and the same as a labelled strip; ``span`` is its
    first and last strength and their count.
    """
    strengths = spread(*span)
    stack = with_edit(latents, edit, 0.0).edits
    generator = host.on_device(patcher)
    progress = host.NodeProgress(len(strengths) * generator.synthesis.num_steps)
    pixels = sweep(
        generator, latents.ws, stack, len(stack) - 1, strengths, noise_mode, seed, progress=progress
    )
    images = host.result(to_image(pixels))
    columns = max(1, MAX_SIDE // (images.shape[2] + 8))
    return images, host.result(sheet(images, [f"{value:.3g}" for value in strengths], columns))


def matrix(
    patcher: ModelPatcher, rows: Latents, columns: Latents, styles: str, noise_mode: str, seed: int
) -> tuple[Tensor, Tensor]:
    """IMAGE sheet of every row person with styles of every column person, and the mixtures as a batch."""
    generator = host.on_device(patcher)
    config = generator.config
    ws = [check_ws(given.ws, config.num_ws, config.w_dim) for given in (rows, columns)]
    cells = (1 + len(ws[0])) * (1 + len(ws[1])) - 1
    chosen = parse_rows(styles, config.num_ws) or list(range(config.num_ws))
    progress = host.NodeProgress(cells * generator.synthesis.num_steps)
    images = to_image(mixing_matrix(generator, *ws, chosen, noise_mode, seed, progress))
    mixtures = images.unflatten(0, (1 + len(ws[0]), -1))[1:, 1:].flatten(0, 1)
    return host.result(sheet(images, columns=1 + len(ws[1]))), host.result(mixtures)


def wander(patcher: ModelPatcher, seed: int, frames: int, smoothness: float, psi: float) -> Latents:
    """The latents of a random walk."""
    return Latents(random_walk(host.on_device(patcher), seed, frames, smoothness, psi).cpu())


def between_corners(corners: Latents, rows: int, columns: int, mode: str) -> Latents:
    """The latents of a sheet between two or four."""
    return Latents(corner_grid(corners.ws, rows, columns, mode))


def walk(latents: list[Latents], steps: int, mode: str, loop: bool) -> Latents:
    """The latents of a walk through all those given, in order."""
    for other in latents[1:]:
        check_same_model(latents[0].ws[:1], other.ws[:1])
    return Latents(path_of_ws(torch.cat([given.ws for given in latents]), steps, mode, loop))


def save(latents: Latents, prefix: str, kind: str, kinds: Sequence[str]) -> str:
    """Write the latents into ComfyUI's output folder and return the file's name."""
    path = save_path(prefix, f".{one_of('format', kind, kinds)}")
    save_latents(path, latents)
    return path.name


def read(name: str) -> Latents:
    """The latents of a combo's name."""
    return load_latents(latent_path(name))
