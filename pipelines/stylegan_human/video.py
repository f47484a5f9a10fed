"""Frames to a film: .mp4 through PyAV, .gif through Pillow; whole or not at all."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ..common.errors import FiguraInputError, FiguraMissingPackage
from ..common.files import atomic_path


def write_film(path: str | Path, frames: Sequence[np.ndarray], fps: float) -> None:
    """Write ``frames`` (uint8 [H, W, 3], all of one size) as the suffix says: .gif, which loops, or .mp4."""
    path = Path(path)
    if not frames or not 0 < fps <= 240:
        raise FiguraInputError(
            "film", f"{len(frames)} frames at {fps} a second", "1 or more, at 1 to 240 a second"
        )
    if path.suffix not in (".gif", ".mp4"):
        raise FiguraInputError("film", f"the suffix '{path.suffix}'", ".gif or .mp4")
    with atomic_path(path) as temporary:
        (_write_gif if path.suffix == ".gif" else _write_mp4)(temporary, frames, fps)


def _write_gif(path: Path, frames: Sequence[np.ndarray], fps: float) -> None:
    from PIL import Image

    pictures = [Image.fromarray(frame) for frame in frames]
    pictures[0].save(
        path, format="GIF", save_all=True, append_images=pictures[1:], duration=1000 / fps, loop=0
    )


def _write_mp4(path: Path, frames: Sequence[np.ndarray], fps: float) -> None:
    try:
        import av
    except ImportError as error:
        raise FiguraMissingPackage("av", "writing .mp4", "pip install av") from error
    from fractions import Fraction

    height, width = (length // 2 * 2 for length in frames[0].shape[:2])  # the codec takes even sizes only
    with av.open(str(path), "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=Fraction(fps).limit_denominator(1000))
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.options = {"crf": "14"}
        for frame in frames:
            picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame[:height, :width]), format="rgb24")
            container.mux(stream.encode(picture))
        container.mux(stream.encode())
