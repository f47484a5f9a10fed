"""What model a weight file holds, told from the names and shapes of its tensors without reading them.

Structure decides before size, so that tiny test models are told apart as well as the released ones: SD1.5
projects with convolutions where SD2 has linear layers; only SDXL has label embeddings, its refiner one level
more.
"""

import json
import re
from dataclasses import dataclass
from pathlib import Path

from .errors import FiguraWeightsError
from .network_pickle import NetworkRecord, TFNetworkRecord, load_stylegan_pickle
from .rebuild import HEAD, is_legacy
from .weights import FileKind, read_header, read_metadata, sniff

Shapes = dict[str, tuple[int, ...]]

KINDS: dict[str, tuple[str, str]] = {
    "sd15.checkpoint": ("a Stable Diffusion 1.x checkpoint", "Load Checkpoint"),
    "sd15.unet": ("a Stable Diffusion 1.x UNet", "CosmicMan Loader"),
    "sd21.checkpoint": ("a Stable Diffusion 2.x checkpoint", "Load Checkpoint"),
    "sd21.unet": ("a Stable Diffusion 2.x UNet", "Load Diffusion Model"),
    "humansd.checkpoint": ("a HumanSD checkpoint", "HumanSD Loader"),
    "humansd.unet": ("a HumanSD UNet", "HumanSD Loader"),
    "sdxl.checkpoint": ("an SDXL checkpoint", "Load Checkpoint"),
    "sdxl.unet": ("an SDXL UNet", "CosmicMan Loader"),
    "refiner.checkpoint": ("an SDXL refiner checkpoint", "Load Checkpoint"),
    "refiner.unet": ("an SDXL refiner UNet", "Load Diffusion Model"),
    "inpainting": ("an inpainting model", "Load Checkpoint"),
    "pix2pix": ("an InstructPix2Pix model of Stable Diffusion 1.x", "Load Checkpoint"),
    "vae": ("a VAE", "Load VAE"),
    "controlnet": ("a ControlNet", "Load ControlNet Model"),
    "lora": ("a LoRA", "Load LoRA"),
    "text_encoder": ("a CLIP text encoder", "Load CLIP"),
    "image_encoder": ("a CLIP vision encoder", "Load CLIP Vision"),
    "parts2whole.reference_unet": ("Parts2Whole's reference UNet", "Parts2Whole Loader"),
    "parts2whole.pose_guider": ("Parts2Whole's pose guider", "Parts2Whole Loader"),
    "parts2whole.decoupled_attention": ("Parts2Whole's decoupled attention", "Parts2Whole Loader"),
    "parts2whole.folder": ("the Parts2Whole folder", "Parts2Whole Loader"),
    "diffusers.folder": ("a diffusers pipeline folder", ""),
    "stylegan1": ("a StyleGAN1 network", "StyleGAN Loader"),
    "stylegan2": ("a StyleGAN2 network", "StyleGAN Loader"),
    "stylegan3": ("a StyleGAN3 network", "StyleGAN Loader"),
    "stylegan.discriminator": ("a StyleGAN discriminator", ""),
    "stylegan2.rosinality": ("a StyleGAN2 in the layout of rosinality's code", ""),
    "e4e": ("an e4e encoder", "StyleGAN Encoder Loader"),
    "lpips": ("LPIPS weights", "StyleGAN Perceptual Loader"),
    "vgg16": ("a VGG16 classifier", "StyleGAN Perceptual Loader"),
    "alexnet": ("an AlexNet classifier", "StyleGAN Perceptual Loader"),
    "higherhrnet": ("a HigherHRNet pose estimator", ""),
    "mmpose": ("an mmpose estimator", ""),
    "transformer": ("a diffusion transformer (SD3, Flux or kin)", "Load Diffusion Model"),
    "unknown": ("a model of unknown kind", ""),
}


@dataclass(frozen=True)
class Architecture:
    """What a file holds.

    Attributes:
        kind: a key of KINDS.
        layout: ``ldm`` or ``diffusers`` for the diffusion models (whose names differ), else empty.
        input_channels: of a UNet's first convolution, or 0.
        resolution: height of a StyleGAN's pictures, or 0.
        tensors: how many.
    """

    kind: str
    layout: str = ""
    input_channels: int = 0
    resolution: int = 0
    tensors: int = 0

    @property
    def title(self) -> str:
        """The kind in words, with its numbers."""
        detail = f" with {self.input_channels} input channels" if self.input_channels else ""
        return KINDS[self.kind][0] + (f", {self.resolution} pixels high" if self.resolution else detail)

    @property
    def node(self) -> str:
        """Display name of the node that takes such a file; empty when there is none."""
        return KINDS[self.kind][1]


def identify(path: str | Path) -> Architecture:
    """Tell what a weight file or diffusers folder holds. Reads its header only.

    Raises:
        FiguraWeightsError: no such file, damaged, hostile, or no weight file at all.
    """
    path = Path(path)
    if path.is_dir():
        index = path / "model_index.json"
        if index.is_file():
            parts2whole = "Refs2Image" in index.read_text(encoding="utf-8", errors="replace")
            return Architecture("parts2whole.folder" if parts2whole else "diffusers.folder")
    elif _is_network_pickle(path):
        return _network(path)
    header = read_header(path)
    found = classify({name: shape for name, (_, shape) in header.items()})
    if found.kind.startswith("stylegan") and not found.resolution:
        metadata = {} if path.is_dir() else read_metadata(path)
        return Architecture(found.kind, resolution=_told_resolution(metadata), tensors=found.tensors)
    return found


def require(path: str | Path, *wanted: str) -> Architecture:
    """Identify a file and raise FiguraWeightsError unless it is of one of the ``wanted`` kinds.

    The message names what the file is, what was wanted, and the node that takes the file.
    """
    found = identify(path)
    if found.kind in wanted:
        return found
    words = " or ".join(KINDS[kind][0] for kind in wanted)
    hint = f"The node '{found.node}' takes this file." if found.node else ""
    raise FiguraWeightsError(Path(path).name, found.title, words, hint)


def _is_network_pickle(path: Path) -> bool:
    if sniff(path) is not FileKind.PICKLE:
        return False
    with open(path, "rb") as file:
        return not is_legacy(file.read(HEAD))


def _network(path: Path) -> Architecture:
    records = load_stylegan_pickle(path, header_only=True)
    record = next(records[key] for key in ("G_ema", "G", "D") if key in records)
    if isinstance(record, TFNetworkRecord):
        return Architecture("stylegan1", resolution=int(record.static_kwargs.get("resolution", 0)))
    assert isinstance(record, NetworkRecord)
    given = {**record.attributes, **record.init_kwargs}
    kind = "stylegan3" if "SynthesisInput" in record.classes.values() else "stylegan2"
    if "synthesis" not in record.classes:
        kind = "stylegan.discriminator"
    return Architecture(kind, resolution=int(given.get("img_resolution", 0)), tensors=len(record.shapes))


def _told_resolution(metadata: dict[str, str]) -> int:
    """Height from the configuration that our own .safetensors carry."""
    for text in metadata.values():
        try:
            return int(json.loads(text)["resolution"])
        except (ValueError, TypeError, LookupError):
            continue
    return 0


def classify(shapes: Shapes) -> Architecture:
    """Tell an architecture from names and shapes."""
    kind = next((kind for kind, test in _TESTS if test(shapes)), "")
    if kind:
        return Architecture(kind, tensors=len(shapes), resolution=_resolution(kind, shapes))
    ldm, bare, diffusers = "model.diffusion_model.", "", "conv_in.weight"
    for prefix in (ldm, bare):
        if f"{prefix}input_blocks.0.0.weight" in shapes:
            return _unet(shapes, prefix, "ldm")
    if diffusers in shapes and _any(shapes, r"down_blocks\.\d"):
        return _unet(shapes, "", "diffusers")
    return Architecture("unknown", tensors=len(shapes))


def _unet(shapes: Shapes, prefix: str, layout: str) -> Architecture:
    ldm = layout == "ldm"
    channels = shapes[f"{prefix}input_blocks.0.0.weight" if ldm else "conv_in.weight"][1]
    whole = "checkpoint" if _any(shapes, r"(cond_stage_model|conditioner|first_stage_model)\.") else "unet"
    family = _family(shapes, prefix, channels, ldm)
    if family == "reference":
        return Architecture("parts2whole.reference_unet", layout, channels, tensors=len(shapes))
    kind = family if family in KINDS else f"{family}.{whole}"
    return Architecture(kind if kind in KINDS else "unknown", layout, channels, tensors=len(shapes))


def _family(shapes: Shapes, prefix: str, channels: int, ldm: bool) -> str:
    labels = f"{prefix}label_emb.0.0.weight" if ldm else "add_embedding.linear_1.weight"
    last_level = f"{prefix}input_blocks.9.0.op.weight" if ldm else "down_blocks.3.resnets.0.conv1.weight"
    projection = next((shape for name, shape in shapes.items() if name.endswith("proj_in.weight")), ())
    if channels == 9:
        return "inpainting"
    if labels in shapes:
        return "refiner" if last_level in shapes else "sdxl"
    if not ldm and "conv_out.weight" not in shapes:
        return "reference"
    if len(projection) == 2:
        return {4: "sd21", 8: "humansd"}.get(channels, "unknown")
    return {4: "sd15", 8: "pix2pix"}.get(channels, "unknown")


def _any(shapes: Shapes, pattern: str) -> bool:
    match = re.compile(pattern).match
    return any(match(name) for name in shapes)


def _all(shapes: Shapes, pattern: str) -> bool:
    match = re.compile(pattern).search
    return bool(shapes) and all(match(name) for name in shapes)


def _is_pose_guider(shapes: Shapes) -> bool:
    return {"conv_in.weight", "blocks.0.weight", "conv_out.weight"} <= set(shapes) and _all(
        shapes, r"^(conv_in|conv_out|blocks\.\d+)\.(weight|bias)$"
    )


# The first test that holds decides. UNets come after all of these, in ``classify``.
_TESTS = (
    ("lora", lambda s: _any(s, r".*(lora_up|lora_down|lora_A|lora_B|lora\.up|lora\.down)\b")),
    ("parts2whole.decoupled_attention", lambda s: _all(s, r"\.to_[kv]_dc\.weight$")),
    ("parts2whole.pose_guider", _is_pose_guider),
    ("controlnet", lambda s: _any(s, r"(control_model\.|controlnet_cond_embedding\.|input_hint_block\.)")),
    ("e4e", lambda s: _any(s, r"encoder\.styles\.\d")),
    ("lpips", lambda s: "lin0.model.1.weight" in s or "lins.0.model.1.weight" in s),
    ("vgg16", lambda s: "features.0.weight" in s and "features.28.weight" in s),
    ("alexnet", lambda s: "features.10.weight" in s and s.get("features.0.weight", (0,))[-1] > 3),
    ("stylegan3", lambda s: "synthesis.input.freqs" in s),
    ("stylegan2", lambda s: "synthesis.b4.const" in s),
    ("stylegan1", lambda s: "synthesis.torgb_weight" in s),
    ("stylegan2.rosinality", lambda s: "to_rgb1.conv.weight" in s or "conv1.conv.modulation.weight" in s),
    ("stylegan.discriminator", lambda s: "b4.fc.weight" in s and "b4.out.weight" in s),
    ("higherhrnet", lambda s: "keypoint_head.deconv_layers.0.0.0.weight" in s),
    ("mmpose", lambda s: _any(s, r"backbone\.") and _any(s, r"(keypoint_)?head\.")),
    ("transformer", lambda s: _any(s, r"(model\.diffusion_model\.)?(joint|double|transformer)_blocks\.0\.")),
    ("vae", lambda s: {"encoder.conv_in.weight", "decoder.conv_in.weight"} <= set(s)),
    ("vae", lambda s: _any(s, r"first_stage_model\.") and not _any(s, r"model\.diffusion_model\.")),
    ("text_encoder", lambda s: _any(s, r"text_model\.encoder\.")),
    ("image_encoder", lambda s: _any(s, r"vision_model\.encoder\.")),
)  # fmt: skip


def _resolution(kind: str, shapes: Shapes) -> int:
    """Height of the pictures, as far as the tensors alone tell it."""
    if kind == "stylegan2":
        return max(int(name.split(".")[1][1:]) for name in shapes if re.match(r"synthesis\.b\d+\.", name))
    if kind == "stylegan1":
        return max((shape[0] for name, shape in shapes.items() if name.endswith("noise_const")), default=0)
    return 0
