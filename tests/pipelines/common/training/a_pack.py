"""Loads the pack as ``comfyui_figura`` for programs that run without conftest.py; sorts before imports."""

import importlib.util
import sys
from pathlib import Path

if "comfyui_figura" not in sys.modules:
    ROOT = Path(__file__).resolve().parents[4]
    spec = importlib.util.spec_from_file_location(
        "comfyui_figura", ROOT / "__init__.py", submodule_search_locations=[str(ROOT)]
    )
    sys.modules["comfyui_figura"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(sys.modules["comfyui_figura"])
