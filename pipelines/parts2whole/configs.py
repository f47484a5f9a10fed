"""Settings of ``figura parts2whole``: flags, or the same names in one JSON or TOML file."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal


@dataclass(frozen=True)
class PartConfig:
    """One reference picture."""

    image: Path | None = None
    """The picture; none: this part is not given."""
    mask: Path | None = None
    """Grey picture, white = keep. Without one the picture's alpha serves, or all of it."""
    weight: float = 1.0
    """1 as trained, 0 as if not given, 2 counts the part twice."""
    fit: Literal["stretch", "pad", "crop"] = "stretch"
    """How the picture meets the output's shape; the model was trained with stretch."""


@dataclass(frozen=True)
class GenerateConfig:
    """Compose one person from up to six reference parts, a pose and a sentence."""

    model: Path | None = None
    """The released Parts2Whole folder."""
    file: Path | None = None
    """A JSON or TOML file with these same names; what it sets takes the place of the flags."""
    prompt: str = ""
    """What to show."""
    negative: str = ""
    """What to avoid."""
    face: PartConfig = field(default_factory=PartConfig)
    hair_or_headwear: PartConfig = field(default_factory=PartConfig)
    upper_body_clothes: PartConfig = field(default_factory=PartConfig)
    lower_body_clothes: PartConfig = field(default_factory=PartConfig)
    whole_body_clothes: PartConfig = field(default_factory=PartConfig)
    shoes: PartConfig = field(default_factory=PartConfig)
    pose: Path | None = None
    """A raw DensePose IUV picture (or a skeleton, if the pose guider was trained on them)."""
    convert_part_map: bool = False
    """Accept a coloured DensePose part map and recover its parts (U and V are lost)."""
    width: int = 512
    height: int = 768
    steps: int = 50
    guidance: float = 3.5
    """Guidance scale; 1 leaves the negative prompt out."""
    seed: int = 42
    """Picture i uses seed + i."""
    count: int = 1
    """How many pictures."""
    batch: int = 4
    """How many pictures are denoised together."""
    reference_strength: float = 1.0
    """Multiplies every part's weight in self-attention."""
    image_strength: float = 1.0
    """Scale of the decoupled cross-attention over the CLIP tokens."""
    pose_strength: float = 1.0
    reference_compatible: bool = False
    """Do as the published script: prompt ignored, one label for all parts, masks ignored, bank in float16."""
    device: str = "auto"
    """auto, cpu, cuda, cuda:1, mps."""
    dtype: Literal["auto", "float32", "float16", "bfloat16"] = "auto"
    out: Path = Path("parts2whole")
    """Folder for the pictures."""
