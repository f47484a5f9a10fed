"""Load the pack as ComfyUI does, named ``comfyui_figura``; put ComfyUI on the path when there is one.

Also the one server that all end-to-end tests share, and the line that says how many of them ran.
"""

import importlib.util
import os
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
COMFYUI = Path(os.environ.get("COMFYUI_PATH") or Path.home() / "comfy" / "ComfyUI").expanduser()

sys.path[:] = [entry for entry in sys.path if Path(entry or ".").resolve() != ROOT]
SHARED = ("e2e", "workflows", "golden")  # for `harness`, `builder` and `stylegan_training_data`
sys.path += [str(ROOT / "tests" / folder) for folder in SHARED]

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


@pytest.fixture(scope="session")
def comfy_server(tmp_path_factory):
    """One real ComfyUI with the pack and tiny models in it, for the whole session."""
    from harness import install
    from harness.session import serving

    found = install.find()
    if found is None:
        pytest.skip("no ComfyUI: set COMFYUI_PATH")
    with serving(found, tmp_path_factory.mktemp("comfyui")) as running:
        yield running


@pytest.fixture(scope="session")
def client(comfy_server):
    """An HTTP and websocket client of the session's server."""
    from harness.client import Client

    return Client(comfy_server.url)


@pytest.fixture(scope="session")
def object_info(client) -> dict[str, dict]:
    """Every node the server knows, ComfyUI's and ours."""
    return client.object_info()


def pytest_collection_modifyitems(config, items):
    """Where pytest-xdist shares the tests out, a file stays in one process, and so does all that needs the
    server: there is one of it.
    """
    if config.pluginmanager.hasplugin("xdist"):
        for item in items:
            group = "server" if "comfy_server" in item.fixturenames else str(item.path)
            item.add_marker(pytest.mark.xdist_group(group))


def pytest_terminal_summary(terminalreporter):
    """Say in every run, whatever its outcome, how many end-to-end tests ran and where."""
    from harness import install

    if os.environ.get("COMFYUI_PATH") == "none":  # a run that wants no ComfyUI (mmpose's environment)
        return
    found = install.find()
    counts = {"ran": 0, "skipped": 0}
    for outcome in ("passed", "failed", "error", "skipped", "xfailed", "xpassed"):
        reports = [r for r in terminalreporter.stats.get(outcome, []) if "e2e" in getattr(r, "keywords", {})]
        counts["skipped" if outcome == "skipped" else "ran"] += len({report.nodeid for report in reports})
    where = found or "NO ComfyUI FOUND: set COMFYUI_PATH"
    terminalreporter.section("end to end")
    line = f"end-to-end tests: {counts['ran']} ran, {counts['skipped']} skipped ({where})"
    terminalreporter.write_line(line, yellow=found is None, green=found is not None)
