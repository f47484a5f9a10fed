"""What the pack adds to ComfyUI's start, beside the same nodes with their libraries brought in at once."""

import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from .measure import Record, record

ROOT = Path(__file__).resolve().parents[1]
MEASURE = ROOT / "tests" / "nodes" / "measure_import.py"
EAGER = """
import sys, time
sys.path.insert(0, sys.argv[1])
from comfy.cli_args import args
args.cpu = True
import comfy.sd, nodes
begin = time.process_time()
import accelerate, cv2, diffusers, transformers
from diffusers import AutoencoderKL, UNet2DConditionModel
from transformers import CLIPTextModel
print(time.process_time() - begin)
"""
BUDGET = 0.050  # CPU seconds
REPEATS = 9


def run() -> list[Record]:
    """CPU seconds of importing the pack and asking for all its nodes, each time in a fresh process."""
    comfyui = os.environ.get("COMFYUI_PATH", str(Path.home() / "comfy" / "ComfyUI"))
    with tempfile.TemporaryDirectory() as bytecode:
        environment = {**os.environ, "PYTHONPYCACHEPREFIX": bytecode}
        environment.pop("PYTHONDONTWRITEBYTECODE", None)

        def last_line(*words: str) -> str:
            command = [sys.executable, *words]
            done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
            return done.stdout.splitlines()[-1]

        ours, eager = [], []
        for _ in range(REPEATS + 1):  # the first writes the bytecode
            ours.append(json.loads(last_line(str(MEASURE), str(ROOT), comfyui))["cpu_seconds"])
            eager.append(float(last_line("-c", EAGER, comfyui)))
    median = statistics.median(ours[1:])
    return [
        record("startup", median, statistics.median(eager[1:]), "the libraries brought in at once", "CPU s"),
        record("startup_budget", median, BUDGET, "the budget", "CPU s"),
    ]
