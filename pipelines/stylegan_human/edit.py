"""Edits: shifts of latents and of styles, stacked with strengths, for all three generations.

InterFaceGAN's directions (Shen et al. 2020) as StyleGAN-Human ships them shift every layer's style;
StyleSpace (Wu et al. 2021) shifts a few channels of one layer; SeFa (Shen and Zhou 2021) finds directions of
w in the weights alone. Shifts of styles never touch the layers that make colours (torgb); shifts of w reach
every layer of their rows.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from ..common.errors import FiguraInputError
from ..common.progress import Progress, silent
from .generator import Generator
from .latents import check_ws
from .noise import noise_source
from .synthesis import Context, PrefixCache, Synthesis

SEFA_ROWS = range(4, 8)  # what the released directions move: clothes, at 1024x512


@dataclass(frozen=True)
class Edit:
    """A change at strength 1: ``styles`` by layer name [C], ``rows`` of ws [w_dim] by number."""

    name: str
    styles: dict[str, Tensor] = field(default_factory=dict)
    rows: dict[int, Tensor] = field(default_factory=dict)


Stack = Sequence[tuple[Edit, float]]
"""Edits with their strengths, all applied at once; the order does not matter."""


def style_layers(synthesis: Synthesis) -> list[str]:
    """Names of the layers whose styles edits may shift: s_0, s_1, … of the papers, without torgb and v3's
    input.
    """
    return [slot.name for slot in synthesis.slots if not slot.to_rgb and slot.name != "input"]


def direction_in_w(
    vector: Tensor, rows: Sequence[int] = SEFA_ROWS, name: str = "direction", gain: float = 1.0
) -> Edit:
    """Move ``rows`` of ws along ``vector`` [w_dim]. The released SeFa edits have a gain of 2."""
    vector = vector.float().flatten() * gain
    return Edit(name, rows={row: vector for row in rows})


def direction_in_styles(synthesis: Synthesis, vectors: Sequence[Tensor], name: str = "direction") -> Edit:
    """Move the style of layer i along ``vectors[i]`` ([C] or [1, C]); fewer vectors than layers leave the
    rest.
    """
    layers = style_layers(synthesis)
    if len(vectors) > len(layers):
        vectors = vectors[: len(layers)]
    return Edit(
        name, styles={layer: vector.float().flatten() for layer, vector in zip(layers, vectors, strict=False)}
    )


def style_channels(
    synthesis: Synthesis,
    layer: int,
    vector: Tensor,
    importance: Tensor,
    threshold: float,
    name: str = "channels",
) -> Edit:
    """Move only the channels of style ``layer`` whose ``importance`` [C] is above ``threshold`` in size."""
    layers = style_layers(synthesis)
    if not 0 <= layer < len(layers):
        raise FiguraInputError("layer", str(layer), f"0 to {len(layers) - 1}")
    vector, importance = vector.float().flatten(), importance.float().flatten()
    if vector.shape != importance.shape:
        raise FiguraInputError(
            "channel importance", f"{len(importance)} values", f"{len(vector)}, as the direction"
        )
    return Edit(name, styles={layers[layer]: vector * (importance.abs() > threshold)})


def factorize(synthesis: Synthesis) -> tuple[Tensor, Tensor]:
    """SeFa: (directions [w_dim, w_dim], one per row, strongest first; singular values [w_dim]).

    The right singular vectors of all style layers' weights stacked. Their signs are arbitrary; here the
    largest entry of each is positive.
    """
    weights = [_style_weight(synthesis, name).detach().double().cpu() for name in style_layers(synthesis)]
    _, values, vectors = torch.linalg.svd(torch.cat(weights), full_matrices=False)
    largest = vectors.gather(1, vectors.abs().argmax(dim=1, keepdim=True))
    return (vectors * largest.sign()).float(), values.float()


def _style_weight(synthesis: Synthesis, layer: str) -> Tensor:
    module = synthesis.get_submodule(layer)
    return (module.style if hasattr(module, "style") else module.affine).weight  # type: ignore[union-attr, return-value]


def check_edit(edit: Edit, generator: Generator) -> None:
    """Raise FiguraInputError unless every vector fits this generator, naming both sizes."""
    expected = {
        name: len(_style_bias(generator.synthesis, name)) for name in style_layers(generator.synthesis)
    }
    for layer, vector in edit.styles.items():
        if expected.get(layer) != len(vector):
            raise FiguraInputError(
                f"edit '{edit.name}'", f"{len(vector)} values for layer {layer}",
                f"{expected[layer]} values" if layer in expected else f"one of {', '.join(expected)}",
                "The direction was made for another network.",
            )  # fmt: skip
    for row, vector in edit.rows.items():
        if row >= generator.config.num_ws or len(vector) != generator.config.w_dim:
            raise FiguraInputError(
                f"edit '{edit.name}'", f"{len(vector)} values for row {row}",
                f"{generator.config.w_dim} values, rows 0 to {generator.config.num_ws - 1}",
                "The direction was made for another network.",
            )  # fmt: skip
    if not all(torch.isfinite(v).all() for v in [*edit.styles.values(), *edit.rows.values()]):
        raise FiguraInputError(f"edit '{edit.name}'", "values that are NaN or infinite", "finite values")


def _style_bias(synthesis: Synthesis, layer: str) -> Tensor:
    module = synthesis.get_submodule(layer)
    return (module.style if hasattr(module, "style") else module.affine).bias  # type: ignore[union-attr, return-value]


def edited_ws(ws: Tensor, stack: Stack) -> Tensor:
    """ws [N, num_ws, w_dim] with the stack's shifts of rows added."""
    ws = ws.clone()
    for edit, strength in stack:
        for row, vector in edit.rows.items():
            ws[:, row] += strength * vector.to(ws)
    return ws


def edited_styles(synthesis: Synthesis, ws: Tensor, stack: Stack) -> list[Tensor]:
    """Styles of ``ws`` with all edits applied."""
    styles = synthesis.styles(edited_ws(ws, stack))
    for edit, strength in stack:
        for i, slot in enumerate(synthesis.slots):
            if slot.name in edit.styles:
                styles[i] = styles[i] + strength * edit.styles[slot.name].to(styles[i])
    return styles


@torch.no_grad()
def sweep(
    generator: Generator,
    ws: Tensor,
    stack: Stack,
    varied: int,
    strengths: Sequence[float],
    noise_mode: str = "const",
    noise_seed: int = 0,
    force_fp32: bool = False,
    progress: Progress = silent,
) -> Tensor:
    """Pixels [len(strengths), 3, H, W] of one latent, edit number ``varied`` taking each of ``strengths`` in
    turn.

    Layers before the first one that the edit touches run once for the whole strip.
    """  # fmt: skip
    ws = check_ws(ws, generator.config.num_ws, generator.config.w_dim)[:1].to(generator.mapping.w_avg.device)
    for edit, _ in stack:
        check_edit(edit, generator)
    cache, noise = PrefixCache(generator.synthesis), noise_source(noise_mode, [noise_seed])
    pixels = []
    for i, strength in enumerate(strengths):
        check_strength(strength)
        varying = [(edit, strength if n == varied else given) for n, (edit, given) in enumerate(stack)]
        styles = edited_styles(generator.synthesis, ws, varying)
        pixels.append(
            cache.render(Context(styles, noise, force_fp32), _part(progress, i, len(strengths))).cpu()
        )
    return torch.cat(pixels)


def _part(progress: Progress, index: int, parts: int) -> Progress:
    return lambda done, total, preview=None: progress(index * total + done, parts * total, preview)


def check_strength(strength: float) -> float:
    """Return a finite strength, or raise FiguraInputError."""
    if not abs(strength) <= 1e4:
        raise FiguraInputError("strength", str(strength), "a number from -10000 to 10000")
    return strength
