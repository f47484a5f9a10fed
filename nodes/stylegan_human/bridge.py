"""Generators in ComfyUI: loaded as ordinary weights, moved by its model management, latents in its
folders.
"""

from dataclasses import replace

import torch
from comfy.model_patcher import ModelPatcher
from torch import Tensor

from ...pipelines.common.errors import FiguraInputError
from ...pipelines.common.images import to_image
from ...pipelines.stylegan_human.directions import load_direction
from ...pipelines.stylegan_human.edit import Edit, check_strength, direction_in_w, sefa_vector, spread, sweep
from ...pipelines.stylegan_human.explore import mixing_matrix, path_of_ws
from ...pipelines.stylegan_human.generate import sample_ws, synthesize
from ...pipelines.stylegan_human.grid import sheet
from ...pipelines.stylegan_human.latent_file import Latents, load_latents, save_latents
from ...pipelines.stylegan_human.latents import blend, check_same_model, check_ws, parse_rows, truncate
from ...pipelines.stylegan_human.loading import load_generator
from .. import host
from .folders import DEMO, DIRECTIONS, FOLDER, latent_path, save_path


def load(name: str) -> ModelPatcher:
    """The generator of a combo's name. Its weights are ordinary tensors, so that later nodes may train on
    them.
    """
    with torch.inference_mode(False), torch.no_grad():
        return host.as_patcher(load_generator(host.model_path(FOLDER, name, DEMO)))


def sample(patcher: ModelPatcher, seeds: list[int], psi: float, cutoff: int) -> Latents:
    """Latents of the seeds. ``cutoff`` 0 stands for the network's own."""
    return Latents(sample_ws(host.on_device(patcher), seeds, psi, cutoff or None).cpu(), tuple(seeds))


def render(patcher: ModelPatcher, latents: Latents, noise_mode: str, noise_seeds: list[int]) -> Tensor:
    """IMAGE batch of the latents, with progress, preview and interruption."""
    generator = host.on_device(patcher)
    progress = host.NodeProgress(len(latents.ws) * generator.synthesis.num_steps)
    pixels = synthesize(
        generator, latents.ws, noise_mode, noise_seeds, progress=progress, edits=latents.edits
    )
    return host.result(to_image(pixels))


def check(latents, what: str = "latent") -> Latents:
    """Refuse what is no value of our own latents socket."""
    if not isinstance(latents, Latents):
        raise FiguraInputError(what, type(latents).__name__, "the latent output of a StyleGAN node")
    return latents


def blended(a: Latents, b: Latents, factor: float, mode: str, rows: str) -> Latents:
    """``a`` moved towards ``b``, edits in the same measure; with only some rows moved, ``a`` keeps its "
    "edits."""
    chosen = parse_rows(rows, a.ws.shape[1])
    ws = blend(a.ws, b.ws, factor, mode, chosen)
    if chosen is not None:
        return Latents(ws, edits=a.edits)
    moved = [(edit, strength * (1 - factor)) for edit, strength in a.edits]
    return Latents(ws, edits=(*moved, *[(edit, strength * factor) for edit, strength in b.edits]))


def truncated(patcher: ModelPatcher, latents: Latents, psi: float, cutoff: int) -> Latents:
    """The latents moved towards the network's average person."""
    generator = patcher.model
    ws = check_ws(latents.ws, generator.config.num_ws, generator.config.w_dim)
    return replace(latents, ws=truncate(ws, generator.mapping.w_avg.cpu(), psi, cutoff or None))


def with_edit(latents: Latents, edit: Edit, strength: float) -> Latents:
    """The latents with one more edit."""
    if not isinstance(edit, Edit):
        raise FiguraInputError("edit", type(edit).__name__, "the edit output of a StyleGAN node")
    return replace(latents, edits=(*latents.edits, (edit, check_strength(strength))))


def sefa(patcher: ModelPatcher, number: int, rows: str) -> Edit:
    """Direction ``number`` of the network's own factorisation, strongest first."""
    vector = sefa_vector(patcher.model.synthesis, number)
    chosen = parse_rows(rows, patcher.model.config.num_ws)
    every = range(patcher.model.config.num_ws)
    return direction_in_w(vector, every if chosen is None else chosen, f"SeFa {number}")


def load_edit(name: str, rows: str) -> Edit:
    """The direction of a combo's name."""
    return load_direction(host.model_path(DIRECTIONS, name), parse_rows(rows, 64))


def strip(
    patcher: ModelPatcher,
    latents: Latents,
    edit: Edit,
    span: tuple[float, float, int],
    noise_mode: str,
    seed: int,
) -> Tensor:
    """IMAGE batch of the first latent with one more edit; ``span`` is its first and last strength and their
    count.
    """
    strengths = spread(*span)
    stack = with_edit(latents, edit, 0.0).edits
    generator = host.on_device(patcher)
    progress = host.NodeProgress(len(strengths) * generator.synthesis.num_steps)
    varied = len(stack) - 1
    pixels = sweep(generator, latents.ws, stack, varied, strengths, noise_mode, seed, progress=progress)
    return host.result(to_image(pixels))


def matrix(
    patcher: ModelPatcher, rows: Latents, columns: Latents, styles: str, noise_mode: str, seed: int
) -> Tensor:
    """IMAGE sheet of every row person with styles of every column person."""
    generator = host.on_device(patcher)
    config = generator.config
    ws = [check_ws(given.ws, config.num_ws, config.w_dim) for given in (rows, columns)]
    cells = (1 + len(ws[0])) * (1 + len(ws[1])) - 1
    chosen = parse_rows(styles, config.num_ws) or list(range(config.num_ws))
    progress = host.NodeProgress(cells * generator.synthesis.num_steps)
    pixels = mixing_matrix(generator, *ws, chosen, noise_mode, seed, progress)
    return host.result(sheet(to_image(pixels), columns=1 + len(ws[1])))


def walk(latents: list[Latents], steps: int, mode: str, loop: bool) -> Latents:
    """The latents of a walk through all those given, in order."""
    for other in latents[1:]:
        check_same_model(latents[0].ws[:1], other.ws[:1])
    return Latents(path_of_ws(torch.cat([given.ws for given in latents]), steps, mode, loop))


def save(latents: Latents, prefix: str) -> str:
    """Write the latents into ComfyUI's output folder and return the file's name."""
    path = save_path(prefix)
    save_latents(path, latents)
    return path.name


def read(name: str) -> Latents:
    """The latents of a combo's name."""
    return load_latents(latent_path(name))
