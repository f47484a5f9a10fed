"""Frames to a film: .mp4 through PyAV, .gif through Pillow; whole or not at all, frame by frame.

Frames may come from a generator: none is kept longer than it takes to write it.
"""

import io
from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from ..common.errors import FiguraInputError, FiguraMissingPackage
from ..common.files import atomic_path, check_file

SUFFIXES = (".gif", ".mp4")


def write_film(path: str | Path, frames: Iterable[np.ndarray], fps: float) -> int:
    """Write ``frames`` (uint8 [H, W, 3], all of one size) as the suffix says: .gif, which loops, or .mp4.

    Returns how many there were.
    """
    path = Path(path)
    check_film(path, fps)
    counted = _Counted(frames)
    with atomic_path(path) as temporary:
        (_write_gif if path.suffix == ".gif" else write_mp4)(temporary, counted, fps)
    return counted.count


def check_film(path: Path, fps: float) -> None:
    """Refuse a place, a suffix or a rate that cannot be, and a missing package, before anything is drawn."""
    check_file(path, "film")
    check_fps(fps)
    if path.suffix not in SUFFIXES:
        raise FiguraInputError("film", f"the suffix '{path.suffix}'", " or ".join(SUFFIXES))
    if path.suffix == ".mp4":
        _av()


def check_fps(fps: float) -> None:
    """Refuse a rate that no film has."""
    if not 0 < fps <= 240:
        raise FiguraInputError("frames a second", str(fps), "more than 0, at most 240")


class _Counted:
    """Frames with a first one at least, all of one size, counted as they pass."""

    def __init__(self, frames: Iterable[np.ndarray]) -> None:
        self.count, rest = 0, iter(frames)
        first = next(rest, None)
        if first is None:
            raise FiguraInputError("film", "no frames", "at least one")
        self.first, self._frames = first, chain([first], rest)

    def __iter__(self) -> Iterator[np.ndarray]:
        for frame in self._frames:
            if frame.shape != self.first.shape:
                raise FiguraInputError(
                    "film", f"a frame of {frame.shape}", f"{self.first.shape} as the first"
                )
            self.count += 1
            yield frame


def _write_gif(path: Path, frames: _Counted, fps: float) -> None:
    from PIL import Image

    pictures = (Image.fromarray(frame) for frame in frames)
    first = next(pictures)
    first.save(path, format="GIF", save_all=True, append_images=pictures, duration=1000 / fps, loop=0)


def mp4_bytes(frames: Iterable[np.ndarray], fps: float) -> io.BytesIO:
    """The film as an .mp4 in memory, far smaller than its frames."""
    check_fps(fps)
    buffer = io.BytesIO()
    write_mp4(buffer, _Counted(frames), fps)
    buffer.seek(0)
    return buffer


def write_mp4(target: Path | io.BytesIO, frames: _Counted, fps: float) -> None:
    """Encode in H.264 at a quality (crf 14) whose loss the eye does not see."""
    from fractions import Fraction

    av = _av()
    height, width = (length // 2 * 2 for length in frames.first.shape[:2])  # the codec takes even sizes only
    place = target if isinstance(target, io.BytesIO) else str(target)
    with av.open(place, "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=Fraction(fps).limit_denominator(1000))
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.options = {"crf": "14"}
        for frame in frames:
            picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame[:height, :width]), format="rgb24")
            container.mux(stream.encode(picture))
        container.mux(stream.encode())


def _av() -> Any:
    try:
        import av
    except ImportError as error:
        raise FiguraMissingPackage("av", "writing .mp4", "pip install av") from error
    return av
