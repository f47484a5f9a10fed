"""Edits: shifts of latents and of styles, stacked with strengths, for all three generations.

InterFaceGAN's directions (Shen et al. 2020) as StyleGAN-Human ships them shift every layer's style;
StyleSpace (Wu et al. 2021) shifts a few channels of one layer; SeFa (Shen and Zhou 2021) finds directions of
w in the weights alone. Shifts of styles never touch the layers that make colours (torgb); shifts of w reach
every layer of their rows.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from ...common.errors import FiguraInputError
from ...common.progress import Progress, part, silent
from ..networks.generator import Generator
from ..networks.noise import noise_source
from ..networks.synthesis import Context, PrefixCache, Synthesis
from .latents import check_ws, parse_rows

SEFA_ROWS = range(4, 8)  # what the released directions move: clothes, at 1024x512
EVERY_ROW = -1  # as a row's number: all rows, however many the network has


@dataclass(frozen=True, eq=False)
class Edit:
    """A change at strength 1: ``styles`` [C] by number of the style layer, ``rows`` of ws [w_dim] by
    number.
    """

    name: str
    styles: dict[int, Tensor] = field(default_factory=dict)
    rows: dict[int, Tensor] = field(default_factory=dict)

    def tensors(self) -> dict[str, Tensor]:
        """Its vectors under the names they have in files: ``style.0``, ``row.4``, ..."""
        named = [("style", self.styles), ("row", self.rows)]
        return {
            f"{kind}.{'all' if i == EVERY_ROW else i}": vector.detach().cpu().clone()
            for kind, group in named
            for i, vector in group.items()
        }

    @classmethod
    def of_tensors(cls, name: str, state: Mapping[str, Tensor], prefix: str = "") -> "Edit":
        """The edit whose vectors are in ``state`` under the names of ``tensors``, after ``prefix``."""

        def group(kind: str) -> dict[int, Tensor]:
            start = f"{prefix}{kind}."
            found = {key.removeprefix(start): v for key, v in state.items() if key.startswith(start)}
            found = {str(EVERY_ROW) if word == "all" else word: v for word, v in found.items()}
            numbered = {word: v for word, v in found.items() if word.removeprefix("-").isdecimal()}
            return {int(word): vector.float().flatten() for word, vector in numbered.items()}

        return cls(name, group("style"), group("row"))


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


def direction_in_styles(vectors: Sequence[Tensor], name: str = "direction") -> Edit:
    """Move style i along ``vectors[i]`` ([C] or [1, C]); with fewer vectors than layers the rest stays."""
    return Edit(name, styles={i: vector.float().flatten() for i, vector in enumerate(vectors)})


def style_channels(
    layer: int, vector: Tensor, importance: Tensor, threshold: float, name: str = "channels"
) -> Edit:
    """Move only the channels of style ``layer`` whose ``importance`` [C] is above ``threshold`` in size."""
    vector, importance = vector.float().flatten(), importance.float().flatten()
    if vector.shape != importance.shape:
        raise FiguraInputError(
            "channel importance", f"{len(importance)} values", f"{len(vector)}, as the direction"
        )
    return Edit(name, styles={layer: vector * (importance.abs() > threshold)})


def factorize(synthesis: Synthesis) -> tuple[Tensor, Tensor]:
    """SeFa: (directions [w_dim, w_dim], one per row, strongest first; singular values [w_dim]).

    The right singular vectors of all style layers' weights stacked. Their signs are arbitrary; here the
    largest entry of each is positive.
    """
    weights = [_style_weight(synthesis, name).detach().double().cpu() for name in style_layers(synthesis)]
    _, values, vectors = torch.linalg.svd(torch.cat(weights), full_matrices=False)
    largest = vectors.gather(1, vectors.abs().argmax(dim=1, keepdim=True))
    return (vectors * largest.sign()).float(), values.float()


def sefa_vector(synthesis: Synthesis, number: int) -> Tensor:
    """Direction ``number`` [w_dim] of ``factorize``, strongest first."""
    directions, _ = factorize(synthesis)
    if not 0 <= number < len(directions):
        raise FiguraInputError("direction", str(number), f"0 to {len(directions) - 1}")
    return directions[number]


def _style_weight(synthesis: Synthesis, layer: str) -> Tensor:
    module = synthesis.get_submodule(layer)
    return (module.style if hasattr(module, "style") else module.affine).weight  # type: ignore[union-attr, return-value]


def check_edit(edit: Edit, generator: Generator) -> None:
    """Raise FiguraInputError unless every vector fits this generator, naming both sizes."""
    layers, config = style_layers(generator.synthesis), generator.config
    for i, vector in edit.styles.items():
        if not 0 <= i < len(layers):
            _refuse(edit, f"style {i}", f"styles 0 to {len(layers) - 1}")
        width = _style_weight(generator.synthesis, layers[i]).shape[0]
        if len(vector) != width:
            _refuse(edit, f"{len(vector)} values for style {i}", f"{width} values")
    for row, vector in edit.rows.items():
        if not EVERY_ROW <= row < config.num_ws or len(vector) != config.w_dim:
            place = "every row" if row == EVERY_ROW else f"row {row}"
            rows = f"rows 0 to {config.num_ws - 1}"
            _refuse(edit, f"{len(vector)} values for {place}", f"{config.w_dim} values, {rows}")
    if not all(torch.isfinite(vector).all() for vector in [*edit.styles.values(), *edit.rows.values()]):
        raise FiguraInputError(f"edit '{edit.name}'", "values that are NaN or infinite", "finite values")


def _refuse(edit: Edit, got: str, wanted: str) -> None:
    raise FiguraInputError(f"edit '{edit.name}'", got, wanted, "The direction was made for another network.")


def edited_ws(ws: Tensor, stack: Stack) -> Tensor:
    """ws [N, num_ws, w_dim] with the stack's shifts of rows added."""
    ws = ws.clone()
    for edit, strength in stack:
        for row, vector in edit.rows.items():
            chosen = slice(None) if row == EVERY_ROW else slice(row, row + 1)
            ws[:, chosen] += strength * vector.to(ws)
    return ws


def edited_styles(synthesis: Synthesis, ws: Tensor, stack: Stack) -> list[Tensor]:
    """Styles of ``ws`` with all edits applied."""
    styles = synthesis.styles(edited_ws(ws, stack))
    places = [i for i, slot in enumerate(synthesis.slots) if not slot.to_rgb and slot.name != "input"]
    for edit, strength in stack:
        for layer, vector in edit.styles.items():
            i = places[layer]
            styles[i] = styles[i] + strength * vector.to(styles[i])
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
            cache.render(Context(styles, noise, force_fp32), part(progress, i, len(strengths))).cpu()
        )
    return torch.cat(pixels)


def check_strength(strength: float) -> float:
    """Return a finite strength, or raise FiguraInputError."""
    if not abs(strength) <= 1e4:
        raise FiguraInputError("strength", str(strength), "a number from -10000 to 10000")
    return strength


def spread(first: float, last: float, steps: int) -> list[float]:
    """``steps`` strengths from ``first`` to ``last``, evenly; one step gives ``first``."""
    if steps < 1:
        raise FiguraInputError("steps", str(steps), "1 or more")
    return [check_strength(first + (last - first) * i / max(steps - 1, 1)) for i in range(steps)]


def parse_edit_rows(text: str, num_ws: int = 64) -> list[int] | None:
    """Rows of an edit: nothing gives None (as the file says), ``all`` every row, else as ``parse_rows``."""
    return None if not text.strip() else parse_rows(text, num_ws) or [EVERY_ROW]


def parse_strengths(text: str) -> list[float]:
    """Read strengths such as ``-5,0,5``."""
    try:
        return [check_strength(float(word)) for word in text.split(",")]
    except ValueError as error:
        raise FiguraInputError("strengths", f"'{text}'", "numbers such as -5,0,5") from error
