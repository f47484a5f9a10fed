"""Run every shipped workflow once, made light, in a real ComfyUI; used by ``figura demo``.

``python tests/e2e/run_workflows.py FOLDER`` saves the pictures there and prints one JSON line per workflow:
``{"name", "seconds", "picture"}``. Prints nothing where there is no ComfyUI. Needs no pytest.
"""

import json
import shutil
import sys
import tempfile
from pathlib import Path

TESTS = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(TESTS), str(TESTS / "e2e")]

import conftest  # noqa: E402, F401  loads the pack under its name
from harness import graphs, install, models, pack, server  # noqa: E402
from harness.client import Client, Run  # noqa: E402


def main(out: Path) -> None:
    """Start the server, run the workflows, stop the server; the server's folder goes with it."""
    found = install.find()
    if found is None:
        return
    print(f"running the shipped workflows in {found}", file=sys.stderr)
    out.mkdir(parents=True, exist_ok=True)
    base = Path(tempfile.mkdtemp(prefix="figura-demo-"))
    running = server.Server(found, base)
    try:
        running.make_folders()
        pack.copy_pack(base / "custom_nodes")
        models.write_all(base)
        pack.link_requirements(found.python, base / "packages")
        running.start(base / "packages")
        run_all(Client(running.url), out)
    finally:
        running.stop()
        shutil.rmtree(base, ignore_errors=True)


def run_all(client: Client, out: Path) -> None:
    """Run each workflow and report it; one that fails is reported on stderr and the others still run."""
    failed = []
    for name in graphs.names():
        run = client.run(graphs.light(name))
        if run.end != "execution_success":
            failed.append(name)
            print(f"{name}: {run.error.get('exception_message', run.end)}", file=sys.stderr)
            continue
        if picture := save_last(client, run, out / name):
            entry = {"name": name, "seconds": round(run.seconds, 2), "picture": str(picture)}
            print(json.dumps(entry), flush=True)
    if failed:
        raise SystemExit(f"workflows that failed: {', '.join(failed)}")


def save_last(client: Client, run: Run, stem: Path) -> Path | None:
    """Save the last picture of the run beside ``stem``; None for a graph that makes no picture."""
    pictures = [file for _, file in run.files() if file["filename"].endswith(".png")]
    if not pictures:
        return None
    target = stem.with_suffix(".png")
    target.write_bytes(client.view(pictures[-1]))
    return target


if __name__ == "__main__":
    main(Path(sys.argv[1]))
