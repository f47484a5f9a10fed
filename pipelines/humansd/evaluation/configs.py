"""What measuring pictures is told. No torch here."""

from dataclasses import dataclass
from pathlib import Path

from ...common.errors import FiguraInputError
from ...common.files import check_file
from ..configs import EstimatorConfig


@dataclass(frozen=True)
class MeasureConfig:
    """Do pictures show the poses that were asked for? Are they like real ones?"""

    pictures: Path
    """Folder of pictures, named as their poses: NAME.png or, as figura humansd generate writes them,
    NAME_SEED.png."""
    poses: Path
    """A pose file, or a folder of them: what was asked for."""
    pose_from: EstimatorConfig = EstimatorConfig()
    """Finds people in the pictures. Numbers of different estimators do not compare."""
    detection_thresh: float = 0.05
    """Joints asked for with a lower score do not count."""
    released: bool = False
    """Give AP, CAP and PCE with the released script's faults, for comparison with published numbers."""
    real: Path | None = None
    """Folder of real pictures, for FID and KID."""
    detector: str = ""
    """Feature network for those, as module:function; its result has features(pixels [B, 3, H, W] in
    [-1, 1]) -> [B, D]."""
    kid_subset: int = 1000
    """Pictures in each of KID's hundred subsets, at most."""
    device: str = "auto"
    """auto, cpu, cuda, cuda:1, mps."""
    out: Path | None = None
    """Write the numbers there as JSON too."""

    def check(self) -> None:
        """Raise FiguraInputError for what cannot work."""
        if (self.real is None) != (not self.detector):
            raise FiguraInputError("real and detector", "one of them", "both, for FID and KID, or neither")
        if self.kid_subset < 2:
            raise FiguraInputError("kid-subset", str(self.kid_subset), "2 or more")
        if self.out is not None:
            check_file(self.out)
