"""A server with the pack and tiny models, from start to stop."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from . import models, pack
from .install import Install
from .server import Server


@contextmanager
def serving(install: Install, base: Path) -> Iterator[Server]:
    """Prepare ``base``, start the server there, and stop it at the end; only log and pictures stay."""
    running = Server(install, base)
    running.make_folders()
    pack.copy_pack(base / "custom_nodes")
    models.write_all(base)
    pack.link_requirements(install.python, base / "packages")
    try:
        running.start(base / "packages")
        yield running
    finally:
        running.stop()
        models.remove(base)
