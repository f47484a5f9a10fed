"""The demo: every system run on tiny models, and a contact sheet of what came out."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class DemoResult:
    """One thing the demo ran: its name, how long it took, and the picture it made."""

    name: str
    seconds: float
    picture: Path
