"""CosmicMan's published UNets: a diffusers UNet alone, its config.json beside it in the repository's root."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..common import ldm
from ..common.base_model import ldm_unet_config
from ..common.base_parts import read_config
from ..common.errors import FiguraWeightsError
from ..common.weights import Header, StateDict, load_state_dict, read_header

SUFFIX = "_New"  # the original trainer's private class names end so; parameters and arithmetic are stock
BASES = {
    "sdxl": "stable-diffusion-xl-base-1.0 (sd_xl_base_1.0.safetensors)",
    "sd": "Stable Diffusion 1.5 (v1-5-pruned-emaonly.safetensors)",
}
FOUND_AS = {8: "HumanSD's UNet (8 input channels)", 9: "an inpainting UNet (9 input channels)"}


@dataclass(frozen=True)
class CosmicManUNet:
    """Weights under diffusers or LDM names, diffusers' configuration, and which base they belong to."""

    state: StateDict
    config: dict[str, Any]
    variant: str
    """``sdxl`` or ``sd``."""


def strip_suffix(config: dict[str, Any]) -> dict[str, Any]:
    """A config.json with stock class names: without ``_New``, which the original trainer writes."""

    def plain(value: Any) -> Any:
        if isinstance(value, list):
            return [plain(item) for item in value]
        return value.removesuffix(SUFFIX) if isinstance(value, str) else value

    return {key: plain(value) for key, value in config.items()}


def open_unet(path: Path, variant: str = "auto") -> CosmicManUNet:
    """Open CosmicMan's UNet: its folder, or one file; config.json beside it is read where there is one.

    A full checkpoint in LDM layout (``model.diffusion_model.``) serves too: its UNet is taken.

    Args:
        variant: ``sdxl`` or ``sd`` to insist on one, ``auto`` to tell from the file.

    Raises:
        FiguraWeightsError: another network, a damaged file, or not the variant asked for.
    """
    if path.is_dir() and (path / "unet").is_dir() and not (path / "config.json").is_file():
        path = path / "unet"
    header = read_header(path)
    prefix = ldm.UNET_PREFIX if any(name.startswith(ldm.UNET_PREFIX) for name in header) else ""
    config = strip_suffix(read_config((path if path.is_dir() else path.parent) / "config.json"))
    if prefix or "block_out_channels" not in config:
        config = _config_from(header, prefix, path.name)
    ldm.unet_config_from_diffusers(config)  # tells a broken config.json before gigabytes are read
    found = _variant(config, path.name)
    if variant not in ("auto", found):
        raise FiguraWeightsError(
            path.name, f"a UNet for {BASES[found]}", f"one for {BASES[variant]}",
            f"Set variant to auto or {found}, or take the other file.",
        )  # fmt: skip
    return CosmicManUNet(ldm.strip_prefix(load_state_dict(path, prefix=prefix), prefix), config, found)


def _config_from(header: Header, prefix: str, name: str) -> dict[str, Any]:
    """The configuration of a file without config.json: read from LDM shapes, or a released size."""
    import torch

    shapes = {n[len(prefix) :]: shape for n, (_, shape) in header.items() if n.startswith(prefix)}
    if not ldm.is_diffusers_unet(shapes):
        try:
            return ldm_unet_config({n: torch.empty(shape, device="meta") for n, shape in shapes.items()})
        except FiguraWeightsError as error:
            raise FiguraWeightsError(name, error.got, "CosmicMan's UNet") from error
    for preset in (sdxl_config(), sd_config()):
        if shapes["conv_in.weight"][1] == 4 and _fits(shapes, preset):
            return preset
    raise FiguraWeightsError(
        name, f"{len(shapes)} tensors under diffusers names of no released size", "its config.json beside it",
        "Put the config.json of the same repository into the same folder.",
    )  # fmt: skip


def _fits(shapes: dict[str, tuple[int, ...]], preset: dict[str, Any]) -> bool:
    key = "down_blocks.1.attentions.0.transformer_blocks.0.attn2.to_k.weight"
    widths = preset["block_out_channels"]
    return shapes["conv_in.weight"][0] == widths[0] and shapes.get(key) == (
        widths[1],
        preset["cross_attention_dim"],
    )


def _variant(config: dict[str, Any], name: str) -> str:
    """``sdxl`` or ``sd``; FiguraWeightsError for a UNet of another system, saying which."""
    channels = config.get("in_channels", 4)
    if channels != 4:
        raise FiguraWeightsError(
            name, FOUND_AS.get(channels, f"a UNet with {channels} input channels"), "CosmicMan's, with 4",
            "HumanSD has a loader of its own." if channels == 8 else "",
        )  # fmt: skip
    if config.get("addition_embed_type") == "text_time":
        return "sdxl"
    if config.get("use_linear_projection"):
        raise FiguraWeightsError(name, "a UNet for Stable Diffusion 2", "CosmicMan-SDXL or CosmicMan-SD")
    return "sd"


def sdxl_config() -> dict[str, Any]:
    """The released CosmicMan-SDXL: SDXL's UNet, 2.57 billion parameters."""
    return {
        "in_channels": 4,
        "out_channels": 4,
        "sample_size": 128,
        "block_out_channels": [320, 640, 1280],
        "layers_per_block": 2,
        "down_block_types": ["DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"],
        "up_block_types": ["CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"],
        "transformer_layers_per_block": [1, 2, 10],
        "attention_head_dim": [5, 10, 20],
        "cross_attention_dim": 2048,
        "use_linear_projection": True,
        "addition_embed_type": "text_time",
        "addition_time_embed_dim": 256,
        "projection_class_embeddings_input_dim": 2816,
    }


def sd_config() -> dict[str, Any]:
    """The released CosmicMan-SD: Stable Diffusion 1.5's UNet, 860 million parameters."""
    return {
        "in_channels": 4,
        "out_channels": 4,
        "sample_size": 64,
        "block_out_channels": [320, 640, 1280, 1280],
        "layers_per_block": 2,
        "down_block_types": ["CrossAttnDownBlock2D"] * 3 + ["DownBlock2D"],
        "up_block_types": ["UpBlock2D"] + ["CrossAttnUpBlock2D"] * 3,
        "attention_head_dim": 8,
        "cross_attention_dim": 768,
    }
