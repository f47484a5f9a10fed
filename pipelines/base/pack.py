"""A trained base made small enough to ship."""

from pathlib import Path

from ..common import base_model
from ..common.errors import FiguraInputError
from ..common.files import check_file, check_folder
from ..common.weights import save_state_dict
from ..common.write_base import halved, single_file, write_small
from .configs import PackConfig


def write_packed(config: PackConfig) -> Path:
    """Write the file or folder that ``config.out`` names; returns it."""
    one_file = config.out.suffix == ".safetensors"
    if not one_file and (config.out.suffix or not config.few_words):
        raise FiguraInputError(
            "out", str(config.out), "a .safetensors file, or with --few-words a folder",
            "A whole folder is what training writes already: RUN/model.",
        )  # fmt: skip
    (check_file if one_file else check_folder)(config.out)
    base = base_model.open_base(config.model, unet=True)
    if one_file:
        state = single_file(base.unet, base.encoders, base.vae, config.few_words)
        save_state_dict(config.out, halved(state) if config.half else state)
    else:
        write_small(config.out, base.unet, base.encoders, config.half)
    return config.out
