"""HumanSD's weight files: the released Lightning checkpoint, the same as .safetensors, diffusers folders.

Only UNet, autoencoder and text encoder are read; the pose estimator (``mmpose_model.*``), schedule
buffers and averages that lie beside them are passed over. What a file is, is told from its header alone.
"""

from dataclasses import dataclass, replace
from pathlib import Path

from ..common import base_parts, ldm, ldm_text
from ..common.errors import FiguraWeightsError
from ..common.identify import require
from ..common.ldm import UNET_PREFIX, StateDict, UNetConfig
from ..common.ldm_vae import VAE_PREFIX
from ..common.weights import load_state_dict, read_header, save_state_dict
from . import unet

TEXT_PREFIX = "cond_stage_model.model."
PREFIXES = (UNET_PREFIX, VAE_PREFIX, TEXT_PREFIX)
WANTED = "a HumanSD checkpoint (Stable Diffusion 2.1 with 8 input channels), such as humansd-v1.ckpt"


@dataclass(frozen=True)
class Checkpoint:
    """A HumanSD in parts: UNet and VAE under LDM names without prefix, text under transformers' names.

    ``text`` holds all of OpenCLIP's layers, of which SD2 leaves the last unused.
    """

    name: str
    unet: StateDict
    unet_config: UNetConfig
    vae: StateDict
    text: StateDict


def read(path: str | Path, head_width: int = unet.HEAD_WIDTH) -> Checkpoint:
    """Read a HumanSD file or diffusers folder; anything else is named for what it is and refused."""
    path = Path(path)
    return read_folder(path) if path.is_dir() else read_file(path, head_width)


def read_file(path: Path, head_width: int = unet.HEAD_WIDTH) -> Checkpoint:
    """Read a single file in the released layout (``model.diffusion_model.*`` and so on)."""
    require_humansd(path)
    return _parts(path.name, load_parts(path), head_width)


def load_parts(path: Path) -> StateDict:
    """The tensors of UNet, autoencoder and text encoder, with their prefixes; nothing else is loaded."""
    state: StateDict = {}
    for prefix in PREFIXES:
        state |= load_state_dict(path, prefix=prefix)
    return state


def _parts(name: str, state: StateDict, head_width: int) -> Checkpoint:
    network = ldm.strip_prefix(state, UNET_PREFIX)
    return Checkpoint(
        name,
        network,
        unet.unet_config(network, head_width),
        ldm.strip_prefix(state, VAE_PREFIX),
        ldm_text.text_encoders(state)["clip_h"],
    )


def read_folder(path: Path) -> Checkpoint:
    """Read a diffusers folder: ``unet/``, ``vae/`` and ``text_encoder/`` with their config.json."""
    channels = base_parts.read_config(path / "unet" / "config.json").get("in_channels")
    if channels != unet.CHANNELS:
        raise FiguraWeightsError(path.name, f"a model whose UNet takes {channels} channels", WANTED)
    return _of_folder(path)


def _of_folder(path: Path) -> Checkpoint:
    parts = base_parts.open_folder(path, unet=True)
    if set(parts.encoders) != {"clip_h"} or parts.unet_config is None:
        raise FiguraWeightsError(path.name, f"text encoders {sorted(parts.encoders)}", WANTED)
    return Checkpoint(path.name, parts.unet, parts.unet_config, parts.vae, parts.encoders["clip_h"])


def widened(path: str | Path, head_width: int = unet.HEAD_WIDTH) -> Checkpoint:
    """A plain Stable Diffusion 2.1-base file or folder with four zero channels put behind its first four."""
    path = Path(path)
    if path.is_dir():
        parts = _of_folder(path)
        wide = parts.unet_config | {"in_channels": unet.CHANNELS}
        return replace(parts, unet=unet.widen(parts.unet), unet_config=wide)
    require_sd21(path)
    return _parts(path.name, unet.widen(load_parts(path), UNET_PREFIX), head_width)


def widen_file(source: str | Path, out: str | Path) -> None:
    """Write the 8-channel start of a plain Stable Diffusion 2.1-base file, in the released layout."""
    require_sd21(source)
    save_state_dict(out, unet.widen(load_parts(Path(source)), UNET_PREFIX))


def convert_file(source: str | Path, out: str | Path) -> None:
    """Write a HumanSD file as .safetensors, with only what inference needs."""
    require_humansd(source)
    save_state_dict(out, load_parts(Path(source)))


def require_model(path: str | Path) -> None:
    """Raise FiguraWeightsError unless the path is a HumanSD file, or a folder that may be one."""
    if not Path(path).is_dir():
        require_humansd(path)


def require_humansd(path: str | Path) -> None:
    """Raise FiguraWeightsError, naming what the file is, unless it is a whole HumanSD. Reads the header."""
    require(path, "humansd.checkpoint")
    _require_parts(Path(path), WANTED)


def require_sd21(path: str | Path) -> None:
    """Raise FiguraWeightsError unless the file is a whole plain Stable Diffusion 2.x. Reads the header."""
    require(path, "sd21.checkpoint")
    _require_parts(Path(path), "a plain Stable Diffusion 2.1-base checkpoint, such as v2-1_512-ema-pruned")


def _require_parts(path: Path, wanted: str) -> None:
    names = list(read_header(path))
    for prefix, word in {VAE_PREFIX: "VAE", TEXT_PREFIX: "text encoder (OpenCLIP)"}.items():
        if not any(name.startswith(prefix) for name in names):
            raise FiguraWeightsError(
                path.name, f"a checkpoint without its {word}", wanted, "Take the whole file."
            )
