"""Files of the e4e encoder: ``{state_dict: {encoder.*, decoder.*}, latent_avg, opts}``, as released.

Only the encoder is read; the decoder in it is a copy of the generator in another layout.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from ...common.errors import FiguraInputError, FiguraWeightsError
from ...common.identify import require
from ...common.torch_file import torch_root
from ...common.weights import FileKind, load_state_dict, sniff
from ..networks.generator import Generator
from .encoder import GROUPS, Encoder, EncoderConfig

PREFIX = "encoder."
WANTED = "an e4e encoder (e4e_w+.pt), with encoder.* and latent_avg"


def load_encoder(path: str | Path) -> Encoder:
    """The encoder in ``path``. Raises FiguraWeightsError when it is none, or damaged."""
    path = Path(path)
    require(path, "e4e")
    options = _options(path)
    state = load_state_dict(path)
    average = state.get("latent_avg")
    state = {key.removeprefix(PREFIX): value for key, value in state.items() if key.startswith(PREFIX)}
    try:
        encoder = Encoder(_config(state, options))
        state |= {key: value for key, value in encoder.state_dict().items() if _is_counter(key, state)}
        encoder.load_state_dict(state)
    except (RuntimeError, KeyError, IndexError, ZeroDivisionError) as error:
        first = str(error).strip().splitlines()[0][:200]
        raise FiguraWeightsError(path.name, f"tensors that make no encoder ({first})", WANTED) from error
    if average is not None and options.get("start_from_latent_avg", True):
        rows = encoder.config.rows
        encoder.latent_avg = average.float().reshape(-1, average.shape[-1]).expand(rows, -1).clone()
    return encoder


def _is_counter(key: str, state: Mapping[str, Tensor]) -> bool:
    """Batch counters, which older files lack and nothing needs."""
    return key.endswith("num_batches_tracked") and key not in state


def _options(path: Path) -> dict[str, Any]:
    """The options the encoder was trained with, where the file tells them."""
    if sniff(path) is FileKind.SAFETENSORS:
        return {}
    with torch_root(path, WANTED) as root:
        options = root.get("opts") if isinstance(root, dict) else None
        return dict(options) if isinstance(options, dict) else {}


def _config(state: Mapping[str, Tensor], options: Mapping[str, Any]) -> EncoderConfig:
    rows = len({key.split(".")[1] for key in state if key.startswith("styles.")})
    starts = [sum(GROUPS[:i]) for i in range(len(GROUPS))]
    widths = tuple(state[f"body.{start}.res_layer.1.weight"].shape[0] for start in starts)
    excitation = state["body.0.res_layer.5.fc1.weight"]
    return EncoderConfig(
        rows=rows,
        w_dim=state["styles.0.linear.weight"].shape[0],
        widths=(state["input_layer.0.weight"].shape[0], *widths),
        squeezed=excitation.shape[1] // excitation.shape[0],
        whole_rows=options.get("encoder_type") == "GradualStyleEncoder",
    )


def check_encoder(encoder: Encoder, generator: Generator) -> None:
    """Raise FiguraInputError unless the encoder's latents fit the generator."""
    config, wanted = encoder.config, generator.config
    if (config.rows, config.w_dim) != (wanted.num_ws, wanted.w_dim):
        raise FiguraInputError(
            "encoder", f"one that makes {config.rows} rows of {config.w_dim}",
            f"{wanted.num_ws} rows of {wanted.w_dim}, as this network takes",
            "The released encoder belongs to StyleGAN-Human v2 1024x512.",
        )  # fmt: skip
