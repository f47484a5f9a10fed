"""All pictures of a folder, one after the other: what fails is listed and left out, what is done stays done.

A picture's results are complete once its ``result.json`` is there, which is written last.
"""

import json
import logging
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import Tensor

from ...common.errors import FiguraInputError
from ...common.files import atomic_path
from ...common.images import read_image, write_png
from ...common.perceptual import Perceptual
from ...common.progress import Progress
from ..latents.latent_file import Latents, save_latents
from ..loading import save_generator
from ..networks.generator import Generator
from .encoder import Encoder
from .invert import Comparison, Tuned, compare, encoded_latents, find_latents, tune_generator
from .settings import ProjectSettings, TuneSettings
from .state_file import fingerprint
from .target import target_pixels

log = logging.getLogger(__name__)
SUFFIXES = {".png", ".jpg", ".jpeg", ".webp", ".bmp"}
DONE, UNFINISHED = "result.json", ".unfinished"


@dataclass(frozen=True)
class FolderSettings:
    """What is done to every picture."""

    project: ProjectSettings
    tune: TuneSettings | None
    """None: latents only."""
    fit: str = "exact"
    together: bool = False
    """Tune one network to all pictures, in place of one for each."""


@dataclass(frozen=True)
class Failure:
    """A picture that was left out, and why."""

    name: str
    reason: str


class FolderInversion:
    """Inverts the pictures of a folder into ``out/<picture>/``."""

    def __init__(
        self,
        generator: Generator,
        measure: Perceptual,
        settings: FolderSettings,
        out: Path,
        encoder: Encoder | None = None,
        progress: Callable[[str], Progress] | None = None,
    ) -> None:
        self.generator, self.measure, self.settings = generator, measure, settings
        self.out, self.encoder, self.progress = out, encoder, progress or _no_bars
        self.failures: list[Failure] = []
        self.done: list[str] = []

    def run(self, images: Path) -> None:
        """Invert all pictures in ``images``. Raises FiguraInputError when there is none."""
        pictures = list_pictures(images)
        if self.settings.together:
            return self._together(pictures)
        for path in pictures:
            self._guarded(path, lambda path=path: self._single(path))

    def _guarded(self, path: Path, work: Callable[[], None]) -> None:
        try:
            work()
            self.done.append(path.name)
        except FiguraInputError as error:
            log.warning("%s is left out: %s", path.name, error)
            self.failures.append(Failure(path.name, str(error)))

    def _single(self, path: Path) -> None:
        target = self._target(path)
        marker = self._marker(target)
        if self._is_done(path, marker):
            return
        ws = self._latents(path, target)
        tuned = None
        if self.settings.tune is not None:
            bar = self.progress(f"{path.name}: tuning")
            tuned = self._tuned(target, ws, bar)
        self._write(path, target, ws, tuned, marker)

    def _together(self, pictures: list[Path]) -> None:
        targets: dict[Path, Tensor] = {}
        latents: dict[Path, Tensor] = {}

        def find(path: Path) -> None:
            target = self._target(path)
            latents[path] = self._latents(path, target)
            targets[path] = target

        for path in pictures:
            self._guarded(path, lambda path=path: find(path))
        if not targets or self.settings.tune is None:
            return
        every = torch.cat(list(targets.values())), torch.cat(list(latents.values()))
        tuned = self._tuned(*every, self.progress("tuning to all"))
        for path, target in targets.items():
            self._write(path, target, latents[path], tuned, self._marker(target), network=False)
        save_generator(self.out / "network.safetensors", tuned.generator)

    def _target(self, path: Path) -> Tensor:
        return target_pixels(read_image(path), self.generator, self.settings.fit, path.name)

    def _latents(self, path: Path, target: Tensor) -> Tensor:
        if self.encoder is not None:
            return encoded_latents(self.generator, self.encoder, target)
        bar = self.progress(f"{path.name}: searching")
        state = self.out / UNFINISHED
        return find_latents(self.generator, target, self.measure, self.settings.project, bar, state=state)

    def _tuned(self, targets: Tensor, ws: Tensor, bar: Progress) -> Tuned:
        settings, state = self.settings.tune, self.out / UNFINISHED
        assert settings is not None
        return tune_generator(self.generator, targets, ws, self.measure, settings, bar, state=state)

    def _marker(self, target: Tensor) -> str:
        words = [self.settings, self.measure.title, self.encoder is not None, self.generator.config]
        return fingerprint(words, [target, *self.generator.state_dict().values()])

    def _is_done(self, path: Path, marker: str) -> bool:
        try:
            told = json.loads((self.out / path.name / DONE).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return False
        return isinstance(told, dict) and told.get("fingerprint") == marker

    def _write(
        self, path: Path, target: Tensor, ws: Tensor, tuned: Tuned | None, marker: str, network: bool = True
    ) -> None:
        folder = self.out / path.name
        network_after = None if tuned is None else tuned.generator
        told = compare(self.generator, network_after, target, ws, self.measure)
        save_latents(folder / "latent.safetensors", Latents(ws))
        if tuned is not None and network:
            save_generator(folder / "network.safetensors", tuned.generator)
        write_png(folder / "comparison.png", told.strip()[0])
        _write_json(folder / DONE, _figures(told, tuned, marker))


def _figures(told: Comparison, tuned: Tuned | None, marker: str) -> dict:
    figures = {"fingerprint": marker, "before": asdict(told.before)}
    if tuned is not None and told.after is not None:
        figures |= {"after": asdict(told.after), "updates": tuned.updates, "curve": tuned.curve}
    return figures


def _write_json(path: Path, values: dict) -> None:
    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps(values, indent=1) + "\n", encoding="utf-8")


def _no_bars(description: str) -> Progress:
    from ...common.progress import silent

    return silent


def list_pictures(images: Path) -> list[Path]:
    """Pictures of a folder by name, or the one file given."""
    if images.is_file():
        return [images]
    inside = sorted(images.iterdir()) if images.is_dir() else []
    found = [path for path in inside if path.suffix.lower() in SUFFIXES]
    if not found:
        raise FiguraInputError(
            "--images",
            f"'{images.name}', where no picture is",
            f"a folder with {', '.join(sorted(SUFFIXES))}",
        )
    return found
