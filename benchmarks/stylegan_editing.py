"""Editing at full size: sweeps and mixing sheets that re-use layers, styles of a thousand latents at once.

The other side is our own code without the re-use: each picture drawn alone, each latent on its own. Networks
of the released sizes with random weights; that both sides agree is checked before they are timed.
"""

import os

import torch

from pipelines.stylegan_human.configs import V3Config, stylegan2_human
from pipelines.stylegan_human.directions.style_space import styles_of
from pipelines.stylegan_human.generate import sample_ws, synthesize
from pipelines.stylegan_human.latents.edit import Edit, edited_ws, sefa_vector, spread, style_layers, sweep
from pipelines.stylegan_human.latents.latents import mix_styles
from pipelines.stylegan_human.latents.mixing import mixing_matrix
from pipelines.stylegan_human.networks.generator import Generator, build

from .measure import Record, compare

MODELS = {"v2_512x256": stylegan2_human(512), "v2_1024x512": stylegan2_human(1024), "v3t_512x256": V3Config()}
STEPS, LATENTS = 10, 1000


def run() -> list[Record]:
    """Time sweeps and sheets on two networks, and a thousand latents on three."""
    torch.set_grad_enabled(False)
    wanted = os.environ.get("FIGURA_BENCH", "")  # part of a name, to measure a few
    records: list[Record] = []
    for name, config in MODELS.items():
        torch.manual_seed(0)
        works = {f"sefa_edit_{name}": _edited, f"style_space_{name}": _styles}
        if name.startswith("v2"):
            works |= {f"sweep_{name}": _sweep, f"sheet_{name}": _sheet}
        chosen = [work for title, work in works.items() if wanted in title]
        generator = build(config) if chosen else None
        records += [work(name, generator) for work in chosen]
    return records


def _agree(ours: torch.Tensor, other: torch.Tensor, tolerance: float = 0.0) -> None:
    difference = (ours - other).abs().max().item()
    if difference > tolerance * other.abs().max().item():
        raise RuntimeError(f"the two sides differ by {difference:.2e}")


def _sweep(name: str, generator: Generator) -> Record:
    """Ten strengths of an edit in the last layer's style."""
    layer = len(style_layers(generator.synthesis)) - 1
    ws, width = sample_ws(generator, [0]), styles_of(generator, sample_ws(generator, [0]))[layer].shape[1]
    edit, strengths = Edit("late", styles={layer: torch.randn(width)}), spread(-3, 3, STEPS)

    def ours() -> torch.Tensor:
        return sweep(generator, ws, [(edit, 0.0)], 0, strengths)

    def other() -> torch.Tensor:
        return torch.cat([synthesize(generator, ws, edits=[(edit, strength)]) for strength in strengths])

    _agree(ours(), other())
    return compare(f"sweep_late_layer_{name}", ours, other, "ten separate pictures", 3, warm=True)


def _sheet(name: str, generator: Generator) -> Record:
    """Two people with the last six rows of five others: 10 mixtures and 7 sources."""
    rows, columns = sample_ws(generator, [1, 2]), sample_ws(generator, range(3, 8))
    styles = range(generator.config.num_ws - 6, generator.config.num_ws)

    def ours() -> torch.Tensor:
        return mixing_matrix(generator, rows, columns, styles).unflatten(0, (3, 6))[1:, 1:].flatten(0, 1)

    def other() -> torch.Tensor:
        synthesize(generator, torch.cat([rows, columns]))
        mixed = [mix_styles(row[None], column[None], styles) for row in rows for column in columns]
        return synthesize(generator, torch.cat(mixed))

    _agree(ours(), other())
    return compare(f"mixing_sheet_late_rows_{name}", ours, other, "seventeen separate pictures", 3, warm=True)


def _edited(name: str, generator: Generator) -> Record:
    """A SeFa direction, applied to a thousand latents, down to all styles."""
    ws = torch.randn(LATENTS, generator.config.num_ws, generator.config.w_dim)
    vector = sefa_vector(generator.synthesis, 0)
    stack = [(Edit("sefa", rows={row: vector for row in range(4, 8)}), 5.0)]

    def ours() -> torch.Tensor:
        return styles_of(generator, edited_ws(ws, stack))[-1]

    def other() -> torch.Tensor:
        return torch.cat([styles_of(generator, edited_ws(one, stack))[-1] for one in ws.split(1)])

    _agree(ours(), other(), 1e-4)
    return compare(f"sefa_edit_1000_latents_{name}", ours, other, "one by one", 3, warm=True)


def _styles(name: str, generator: Generator) -> Record:
    """StyleSpace: all styles of a thousand latents."""
    ws = torch.randn(LATENTS, generator.config.num_ws, generator.config.w_dim)

    def ours() -> torch.Tensor:
        return styles_of(generator, ws)[-1]

    def other() -> torch.Tensor:
        return torch.cat([styles_of(generator, one)[-1] for one in ws.split(1)])

    _agree(ours(), other(), 1e-4)
    return compare(f"style_space_1000_latents_{name}", ours, other, "one by one", 3, warm=True)
