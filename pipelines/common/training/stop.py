"""Ending a run politely: the first Ctrl-C or SIGTERM finishes the update and saves, the second one kills."""

import signal
import threading
from types import FrameType


class StopRequest:
    """While entered, notes a signal instead of dying of it. Signals reach only a program's main thread."""

    def __init__(self, listens: bool) -> None:
        self.asked = False
        self._listens = listens and threading.current_thread() is threading.main_thread()
        self._before: dict[int, object] = {}

    def __enter__(self) -> "StopRequest":
        if self._listens:
            for number in (signal.SIGINT, signal.SIGTERM):
                self._before[number] = signal.signal(number, self._note)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)  # type: ignore[arg-type]

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.asked = True
        signal.signal(number, self._before[number])  # type: ignore[arg-type]
