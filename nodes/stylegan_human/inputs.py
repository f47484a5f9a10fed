"""Inputs that several StyleGAN nodes have, each in one place: the same name, range and words everywhere."""

from ...pipelines.stylegan_human.choices import BLEND_MODES, METHODS, NOISE_MODES
from ..compat import advanced, io
from ..sockets import Edit, StyleGAN, Ws

MAX_SEED = 2**64 - 1
CATEGORY = "figura/stylegan_human"


def network():
    """The generator."""
    return StyleGAN.Input("stylegan", tooltip="From StyleGAN Loader.")


def seed(tooltip: str):
    """A seed with its control."""
    return io.Int.Input(
        "seed", default=0, min=0, max=MAX_SEED, control_after_generate=True, tooltip=tooltip
    )  # fmt: skip


def psi(default: float = 0.7):
    """Truncation of what a node samples."""
    return io.Float.Input(
        "truncation_psi", default=default, min=-2.0, max=2.0, step=0.05,
        tooltip="How far from the average person: 1 is the full variety, 0 the average itself, 0.7 the "
        "usual compromise.",
    )  # fmt: skip


def cutoff():
    """How many first rows are truncated."""
    return advanced(
        io.Int, "truncation_cutoff", default=0, min=0, max=64,
        tooltip="Truncate only this many first rows of the latent. 0: as the network was released (8 rows "
        "for v1, all for v2 and v3).",
    )  # fmt: skip


def noise_mode():
    """Where a sampler's noise comes from."""
    return io.Combo.Input(
        "noise_mode", options=list(NOISE_MODES), default="const",
        tooltip="Fine detail such as hair: const is the network's own and always the same, random is drawn "
        "from the seed, none leaves it out. StyleGAN3 has no noise.",
    )  # fmt: skip


def noise():
    """Noise of nodes that draw many pictures of the same people: the same in all of them."""
    return [
        advanced(
            io.Combo, "noise_mode", options=list(NOISE_MODES), default="const",
            tooltip="Fine detail such as hair: the network's own, drawn from noise_seed, or none.",
        ),
        advanced(
            io.Int, "noise_seed", default=0, min=0, max=MAX_SEED, control_after_generate=True,
            tooltip="For random noise, the same in every picture.",
        ),
    ]  # fmt: skip


def mode():
    """The way between two latents."""
    return io.Combo.Input(
        "mode", options=list(BLEND_MODES), default="linear",
        tooltip="linear goes straight, spherical along an arc.",
    )  # fmt: skip


def fps(default: float):
    """Rate of a film."""
    return io.Float.Input(
        "fps", default=default, min=1.0, max=120.0, step=1.0, tooltip="Frames a second of the film."
    )  # fmt: skip


def people(name: str, tooltip: str):
    """A batch of latents."""
    return Ws.Input(name, tooltip=tooltip)


def edited_rows(default: str):
    """Rows that a direction moves."""
    return io.String.Input(
        "rows", default=default,
        tooltip="Rows of the latent that a direction of w moves, such as 4-7 (the released ones move clothes "
        "there) or all. Empty: as its file says, else 4-7.",
    )  # fmt: skip


def attribute():
    """What tells people with an attribute from those without, one of three ways."""
    numbers = [io.Float, io.Int, io.Boolean, io.String]
    return [
        io.String.Input(
            "seeds_with_it", default="", multiline=True,
            tooltip="Seeds of the people who show the attribute, such as 3,7,9-12; all others do not. Leave "
            "it empty to join numbers or masks instead.",
        ),
        io.MultiType.Input(
            "numbers", numbers, optional=True,
            tooltip="One number for each latent, in order, from any node: a list, or one text such as "
            "1 0 ? 0.5. ? is not known.",
        ),
        io.Mask.Input(
            "masks", optional=True,
            tooltip="One mask for each latent, in order: the area it covers is the number.",
        ),
    ]  # fmt: skip


def keep_out():
    """A direction that shall not change along with the one that is found."""
    return Edit.Input(
        "keep_out", optional=True, tooltip="An edit that must not change along with this one, such as pose."
    )  # fmt: skip


def method():
    """How a direction is fitted."""
    return advanced(
        io.Combo, "method", options=list(METHODS), default="auto",
        tooltip="auto: logistic for yes and no, ridge for amounts. svm needs the package scikit-learn.",
    )  # fmt: skip
