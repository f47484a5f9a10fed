"""A real ComfyUI server of our own: private folders, a free port, its log kept and read."""

import os
import re
import socket
import subprocess
import time
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path

from .install import Install

FOLDERS = ("custom_nodes", "models", "input", "output", "user", "temp")
TROUBLE = re.compile(
    r"IMPORT FAILED|Cannot import|Error while calling comfy_entrypoint|Figura: the nodes could"
)
BOOT_SECONDS = 240  # 45 s on two idle cores; others may be busy


@dataclass
class Server:
    """A running server; ``base`` holds its models, input, output, user and temp folders and its log."""

    install: Install
    base: Path
    port: int = 0
    process: subprocess.Popen | None = field(default=None, repr=False)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def log(self) -> str:
        return (self.base / "server.log").read_text(encoding="utf-8", errors="replace")

    @property
    def models(self) -> Path:
        return self.base / "models"

    def alive(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def make_folders(self) -> None:
        for name in FOLDERS:
            (self.base / name).mkdir(parents=True, exist_ok=True)

    def start(self, packages: Path | None = None) -> None:
        """Start and wait until it answers. Raises RuntimeError with the log's end when it does not."""
        self.port = _free_port()
        with open(self.base / "server.log", "wb") as log:
            self.process = subprocess.Popen(
                self._command(), cwd=self.install.root, env=_environment(packages), stdout=log, stderr=log
            )
        self._wait()
        if trouble := TROUBLE.search(self.log):
            raise RuntimeError(f"{self.install} did not take the pack ({trouble[0]}):\n{self.log[-4000:]}")

    def stop(self) -> None:
        """End the process that ``start`` began, and only that."""
        if self.process is None:
            return
        self.process.terminate()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def resident_bytes(self) -> int | None:
        """Memory the server holds, or None where the system does not say (/proc is Linux)."""
        try:
            pages = int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1])
        except OSError:
            return None
        return pages * os.sysconf("SC_PAGE_SIZE")

    def _command(self) -> list[str]:
        # previews are off by default; API nodes would ask the internet; the database is the user's otherwise
        database = (self.base / "user" / "comfyui.db").as_posix()
        return [
            str(self.install.python), "main.py", "--cpu", "--listen", "127.0.0.1", "--port", str(self.port),
            "--base-directory", str(self.base), "--preview-method", "auto", "--disable-api-nodes",
            "--database-url", f"sqlite:///{database}",
        ]  # fmt: skip

    def _wait(self) -> None:
        end = time.monotonic() + BOOT_SECONDS
        while time.monotonic() < end and self.alive():
            try:
                with urllib.request.urlopen(f"{self.url}/system_stats", timeout=5):
                    return
            except (urllib.error.URLError, OSError):
                time.sleep(0.5)
        raise RuntimeError(f"{self.install} gave no answer; its log ends:\n{self.log[-4000:]}")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _environment(packages: Path | None) -> dict[str, str]:
    environment = {**os.environ, "PYTHONUNBUFFERED": "1", "HF_HUB_OFFLINE": "1"}
    environment.setdefault("OMP_NUM_THREADS", "1")  # tiny models gain nothing from more
    environment.pop("PYTHONPATH", None)
    if packages:
        environment["PYTHONPATH"] = str(packages)
    return environment
