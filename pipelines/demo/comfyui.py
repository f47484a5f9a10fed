"""Runs the shipped workflows in a real ComfyUI, when the demo stands in a checkout and finds one."""

import json
import logging
import subprocess
import sys
from pathlib import Path

from . import DemoResult

log = logging.getLogger(__name__)
SCRIPT = Path(__file__).parents[2] / "tests" / "e2e" / "run_workflows.py"


def run_workflows(out: Path) -> list[DemoResult]:
    """Return one result per workflow that made a picture in ``out``; none where there is no ComfyUI.

    A process of its own: it starts the server, and loads the pack as ComfyUI does.
    """
    if not SCRIPT.is_file():
        log.info("no checkout here, so the workflows are not run in ComfyUI")
        return []
    lines = subprocess.run(
        [sys.executable, str(SCRIPT), str(out.absolute())], stdout=subprocess.PIPE, text=True, check=True
    ).stdout.splitlines()
    if not lines:
        log.warning("no ComfyUI at COMFYUI_PATH or ~/comfy/ComfyUI: the shipped workflows were not run")
    entries = [json.loads(line) for line in lines]
    return [DemoResult(entry["name"], entry["seconds"], Path(entry["picture"])) for entry in entries]
