"""Load the pack as ComfyUI does, named ``comfyui_figura``; put ComfyUI on the path when there is one."""

import importlib.util
import os
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
COMFYUI = Path(os.environ.get("COMFYUI_PATH") or Path.home() / "comfy" / "ComfyUI")

sys.path[:] = [entry for entry in sys.path if Path(entry or ".").resolve() != ROOT]

if "comfyui_figura" not in sys.modules:
    spec = importlib.util.spec_from_file_location(
        "comfyui_figura", ROOT / "__init__.py", submodule_search_locations=[str(ROOT)]
    )
    module = importlib.util.module_from_spec(spec)
    sys.modules["comfyui_figura"] = module
    spec.loader.exec_module(module)

if (COMFYUI / "comfy").is_dir():
    sys.path.insert(0, str(COMFYUI))
    os.environ.setdefault("COMFYUI_PATH", str(COMFYUI))
    import torch
    from comfy.cli_args import args

    args.cpu = not torch.cuda.is_available()
