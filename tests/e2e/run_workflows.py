"""Run every shipped workflow in a real ComfyUI, small, and keep one picture of each in a folder.

``python tests/e2e/run_workflows.py <folder>`` prints one line of JSON per workflow: name, seconds, picture.
Prints nothing where there is no ComfyUI. `figura demo` calls it.
"""

import json
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import conftest  # noqa: E402, F401  loads the pack and makes `harness` importable
from harness import graphs, install  # noqa: E402
from harness.client import Client  # noqa: E402
from harness.session import serving  # noqa: E402


def run(name: str, client: Client, out: Path) -> dict | None:
    """Run one workflow and save the last picture it made (films are none); None for one that makes none.

    RuntimeError tells why one failed.
    """
    done = client.run(graphs.light(name))
    if done.end != "execution_success":
        raise RuntimeError(f"workflow {name}: {done.error.get('exception_message', done.end)}")
    pictures = [file for _, file in done.files() if file["filename"].endswith(".png")]
    if not pictures:
        return None
    picture = out / f"workflow_{name}.png"
    picture.write_bytes(client.view(pictures[-1]))
    return {"name": f"workflow {name}", "seconds": round(done.seconds, 2), "picture": str(picture)}


def main() -> None:
    """Start, run all, stop."""
    out, found = Path(sys.argv[1]), install.find()
    if found is None or not graphs.names():
        return
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as base, serving(found, Path(base)) as server:
        for name in graphs.names():
            if made := run(name, Client(server.url), out):
                print(json.dumps(made), flush=True)


if __name__ == "__main__":
    main()
