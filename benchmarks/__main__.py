"""``python -m benchmarks [system …]``: measure and write ``benchmarks/results/<system>.json``."""

import sys
from importlib import import_module
from pathlib import Path

import torch

from .measure import store

torch.set_num_threads(1)  # single-thread CPU seconds are what can be compared on a shared machine
SYSTEMS = sorted(
    path.stem
    for path in Path(__file__).parent.glob("*.py")
    if path.stem not in ("__main__", "measure", "__init__")
)

for system in sys.argv[1:] or SYSTEMS:
    store(system, import_module(f"benchmarks.{system}").run())
