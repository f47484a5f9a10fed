"""Where ComfyUI is on this machine, and which Python runs it."""

import os
import re
import sys
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Install:
    """A ComfyUI folder with the Python that has its packages."""

    root: Path
    python: Path
    version: str

    def __str__(self) -> str:
        return f"ComfyUI {self.version} at {self.root.name}"


def find() -> Install | None:
    """Look at ``COMFYUI_PATH``, then at comfy-cli's default place. None when neither holds a ComfyUI."""
    root = Path(os.environ.get("COMFYUI_PATH") or Path.home() / "comfy" / "ComfyUI").expanduser()
    if not (root / "main.py").is_file():
        return None
    return Install(root, _python(root), _version(root))


def _python(root: Path) -> Path:
    if named := os.environ.get("COMFYUI_PYTHON"):
        return Path(named)
    places = [
        root / venv / tail for venv in (".venv", "venv") for tail in ("bin/python", "Scripts/python.exe")
    ]
    return next((place for place in places if place.exists()), Path(sys.executable))


def _version(root: Path) -> str:
    text = (root / "comfyui_version.py").read_text(encoding="utf-8")
    return re.search(r'__version__ = "([^"]+)"', text)[1]
