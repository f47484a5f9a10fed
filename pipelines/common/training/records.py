"""What a run leaves behind to be read: JSON lines, grids of samples, TensorBoard.

``log.jsonl`` holds no clock, so that a resumed run's is the same byte for byte; times are in ``speed.jsonl``.
"""

import json
import logging
import platform
from collections.abc import Mapping
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from torch import Tensor

from ..errors import FiguraInputError
from ..files import atomic_path
from .configs import TrainerConfig
from .logs import read_log

LOG = logging.getLogger(__name__)
PACKAGES = ("torch", "accelerate", "diffusers", "transformers", "numpy", "opencv-python-headless")
MAY_CHANGE = {"out", "steps", "keep", "resume", "workers", "max_bad_steps", "cpu"}  # between two starts
GRID_COLUMNS = 8


class Records:
    """Writes a run's folder; only the main process's object writes."""

    def __init__(self, config: TrainerConfig, accelerator: Accelerator, about: Mapping[str, Any]) -> None:
        self.out, self.writes = config.out, accelerator.is_main_process
        self._accelerator, self._config, self._about = accelerator, config, about
        self._board = None

    def open(self, step: int) -> None:
        """Begin the folder, or continue it at ``step``: later lines, of a run that was cut off, are
        dropped."""
        if self.writes:
            self.out.mkdir(parents=True, exist_ok=True)
            self._run_file(resumed=step > 0)
            for name in ("log.jsonl", "speed.jsonl"):
                _keep_lines(self.out / name, step)
            _keep_lines(self.out / "bad_batches.jsonl", step - 1)  # these count from 0
        self._board = _tensorboard(self._accelerator)

    def _run_file(self, resumed: bool) -> None:
        path, settings = self.out / "run.json", _settings(self._config)
        if resumed and path.is_file():
            before = json.loads(path.read_text(encoding="utf-8"))
            _same_run(before["trainer"], settings)
            _say_changes(_flat(before.get("task", {})), _flat(json.loads(_json(self._about))))
        content = {
            "trainer": settings,
            "task": dict(self._about),
            "processes": self._accelerator.num_processes,
            "device": _device_name(self._accelerator.device),
            "versions": {name: _version(name) for name in PACKAGES},
            "python": platform.python_version(),
        }
        with atomic_path(path) as temporary:
            temporary.write_text(_json(content), encoding="utf-8")

    def line(self, step: int, values: Mapping[str, float]) -> None:
        """One line of the log: ``step`` updates are done."""
        line = {"step": step, "samples": step * self._config.batch, **values}
        self._append("log.jsonl", line)
        if self._board is not None and self.writes and values:
            self._board.log(dict(values), step=step)

    def speed(self, step: int, seconds: float, samples: int) -> None:
        """How long the updates since the last line took."""
        memory = torch.cuda.max_memory_allocated() if torch.cuda.is_available() else None
        rate = {"samples_per_second": samples / max(seconds, 1e-9), "peak_gpu_bytes": memory}
        self._append("speed.jsonl", {"step": step, "seconds": seconds, **rate})

    def pictures(self, step: int, samples: Mapping[str, Tensor]) -> None:
        """A grid per name, float [B, 3, H, W] in [0, 1], as ``samples/<name>_<step>.png``."""
        if not self.writes:
            return
        from PIL import Image

        for name, pictures in samples.items():
            page = grid(pictures)
            path = self.out / "samples" / f"{name}_{step:08d}.png"
            with atomic_path(path) as temporary:
                Image.fromarray(page.numpy()).save(temporary, format="PNG")
            if self._board is not None:
                self._board.log_images({name: page[None].numpy()}, step=step, dataformats="NHWC")

    def bad_batch(self, step: int, names: list[str], applied: list[str], skipped: list[str]) -> None:
        """Note the samples of an update whose loss or gradient was not finite, and which optimisers had
        stepped before that was seen."""
        self._append(
            "bad_batches.jsonl", {"step": step, "names": names, "applied": applied, "skipped": skipped}
        )

    def close(self) -> None:
        """Flush TensorBoard."""
        if self._board is not None and self.writes:
            self._board.finish()  # not the accelerator's end_training: that ends the process group too

    def _append(self, name: str, line: Mapping[str, Any]) -> None:
        if self.writes:
            with open(self.out / name, "a", encoding="utf-8") as file:
                file.write(json.dumps(line) + "\n")


def grid(pictures: Tensor, columns: int = GRID_COLUMNS) -> Tensor:
    """Pictures float [B, 3, H, W] in [0, 1] -> one page, uint8 [rows*H, columns*W, 3], white where empty."""
    count, _, height, width = pictures.shape
    columns = min(columns, count)
    page = torch.full((3, -(-count // columns) * height, columns * width), 255, dtype=torch.uint8)
    for index, picture in enumerate((pictures.detach().float().cpu().clamp(0, 1) * 255).round().byte()):
        y, x = index // columns * height, index % columns * width
        page[:, y : y + height, x : x + width] = picture
    return page.permute(1, 2, 0).contiguous()


def _keep_lines(path: Path, step: int) -> None:
    """Drop lines about updates after ``step``; of a run that begins anew, all."""
    if not path.is_file():
        return
    kept = [line for line in read_log(path) if line["step"] <= step and step > 0]
    with atomic_path(path) as temporary:
        temporary.write_text("".join(json.dumps(line) + "\n" for line in kept), encoding="utf-8")


def _settings(config: TrainerConfig) -> dict[str, Any]:
    return {name: value for name, value in asdict(config).items() if name != "out"}


def _same_run(before: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    changed = [n for n in now if n not in MAY_CHANGE and n in before and before[n] != now[n]]
    if changed:
        raise FiguraInputError(
            "this run's folder",
            ", ".join(f"trainer.{name} {now[name]}" for name in changed),
            ", ".join(f"{before[name]}" for name in changed) + ", as the run began with",
            "Use the same settings, another folder, or --trainer.no-resume to begin anew.",
        )


def _say_changes(before: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    """A task's settings may change (a longer run, another metric), but not unnoticed."""
    for name in now:
        if not name.startswith("trainer.") and name in before and before[name] != now[name]:
            LOG.warning("The run goes on with %s %s; so far it was %s.", name, now[name], before[name])


def _flat(settings: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """``{"a": {"b": 1}}`` -> ``{"a.b": 1}``."""
    flat = {}
    for name, value in settings.items():
        flat |= _flat(value, f"{prefix}{name}.") if isinstance(value, dict) else {prefix + name: value}
    return flat


def _json(content: Mapping[str, Any]) -> str:
    return json.dumps(dict(content), indent=1, default=str)


def _tensorboard(accelerator: Accelerator) -> Any:
    """accelerate's TensorBoard tracker, or None where the package is missing: the log holds everything."""
    from accelerate.utils import is_tensorboard_available

    if not is_tensorboard_available():
        return None
    accelerator.init_trackers("tensorboard")
    return accelerator.get_tracker("tensorboard")


def _device_name(device: torch.device) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
