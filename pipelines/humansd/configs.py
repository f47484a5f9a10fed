"""What HumanSD's commands take. No torch here."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from .defaults import ADDED_PROMPT, GUIDANCE, NEGATIVE_PROMPT, STEPS

Schedule = Literal["full", "legacy_49"]


@dataclass(frozen=True)
class SampleConfig:
    """How a picture is painted. The names are those of the released script."""

    ddim_steps: int = STEPS
    """DDIM steps."""
    schedule: Schedule = "full"
    """full: every step. legacy_49: without the noisiest one, as the released scripts do."""
    scale: float = GUIDANCE
    """Classifier-free guidance."""
    strength: float = 1.0
    """With an initial picture: how much of it is painted anew, 0 to 1. 1 ignores the picture."""
    eta: float = 0.0
    """0 is DDIM; above it, noise is added again in each step, up to 1 (DDPM)."""
    pose_strength: float = 1.0
    """How strongly the skeleton is followed; 0 is as if it were empty."""


@dataclass(frozen=True)
class EstimatorConfig:
    """What finds people in photographs; not needed for pose files."""

    estimator: Path | None = None
    """A ViTPose folder, higherhrnet_w48_coco_512x512_udp.pth, an mmpose .pth or an rtmlib .onnx."""
    backend: Literal["auto", "vitpose", "higherhrnet", "mmpose", "rtmlib"] = "auto"
    """auto tells it from the file."""
    mmpose_config: str = ""
    """The mmpose model's configuration, for the mmpose backend."""
    detector: Path | None = None
    """Finds where people stand, for ViTPose and other top-down estimators; else the picture is one person."""


@dataclass(frozen=True)
class GenerateConfig:
    """Paint people in given poses."""

    prompt: str
    """What to paint."""
    humansd_checkpoint: Path
    """humansd-v1.ckpt, the same as .safetensors, or a diffusers folder."""
    pose_file: Path | None = None
    """A pose (.npz of HumanSD or Human-Art, or .json of OpenPose), or a folder of them."""
    ready_pose: str | None = None
    """One of the poses that come with Figura, such as standing."""
    image: Path | None = None
    """A photograph to take the pose from, or a folder of them."""
    skeleton: Path | None = None
    """A skeleton already drawn in HumanSD's colours, or a folder of them."""
    init_image: Path | None = None
    """With strength below 1: the picture to start from."""
    save_path: Path = Path("outputs/humansd")
    """Folder for the pictures, and for the skeletons beside them."""
    negative_prompt: str = NEGATIVE_PROMPT
    """What to keep out."""
    added_prompt: str = ADDED_PROMPT
    """Put behind every prompt; empty for none."""
    image_H: int | None = None
    """Height of the canvas. Left out: from the pose's own picture, the short side at 512."""
    image_W: int | None = None
    """Width of the canvas."""
    num_samples: int = 1
    """Pictures for each pose."""
    seed: int = 1234
    """The picture number i has seed + i."""
    detection_thresh: float = 0.05
    """Joints and people with a lower score are not drawn."""
    sample: SampleConfig = SampleConfig()
    pose_from: EstimatorConfig = EstimatorConfig()
    device: str = "auto"
    """auto, cpu, cuda, cuda:1, mps."""
    dtype: Literal["auto", "fp32", "fp16", "bf16"] = "auto"
    """Weights' type. auto: fp16 on a GPU, fp32 on the CPU."""


@dataclass(frozen=True)
class SkeletonConfig:
    """Draw skeletons from photographs or pose files."""

    source: Path
    """A folder of photographs or of pose files, or one of them."""
    save_path: Path = Path("outputs/skeletons")
    """Folder for <name>.png (the skeleton) and <name>.npz (the pose)."""
    detection_thresh: float = 0.05
    """Joints and people with a lower score are not drawn."""
    pose_from: EstimatorConfig = EstimatorConfig()
    device: str = "auto"
    """auto, cpu, cuda, cuda:1, mps."""


@dataclass(frozen=True)
class WidenConfig:
    """Turn a plain Stable Diffusion 2.1-base checkpoint into a start for training HumanSD."""

    source: Path
    """v2-1_512-ema-pruned.ckpt or .safetensors (4 input channels)."""
    out: Path
    """Where to write the 8-channel checkpoint (.safetensors)."""


@dataclass(frozen=True)
class ConvertConfig:
    """Turn the released .ckpt into .safetensors with only what inference needs."""

    source: Path
    """humansd-v1.ckpt."""
    out: Path
    """Where to write it (.safetensors)."""
