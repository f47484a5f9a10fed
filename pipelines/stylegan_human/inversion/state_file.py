"""Unfinished work on disk: one .safetensors, whole or not at all, that knows what it belongs to."""

import hashlib
import json
import logging
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ...common.errors import FiguraInputError
from ...common.weights import load_state_dict, read_metadata, save_state_dict

if TYPE_CHECKING:
    from .run import Optimisation

log = logging.getLogger(__name__)
KEY = "figura.unfinished"


@dataclass(frozen=True)
class StateFile:
    """Where unfinished work is kept; ``fingerprint`` tells what it belongs to; written every ``every``
    steps and when it is stopped.
    """

    path: Path
    fingerprint: str
    every: int = 100

    def write(self, work: "Optimisation") -> None:
        """Keep the work as it is between two steps."""
        notes = {"fingerprint": self.fingerprint, "done": work.done, "curve": work.curve}
        save_state_dict(self.path, work.tensors(), {KEY: json.dumps(notes), "format": "pt"})

    def resume(self, work: "Optimisation") -> bool:
        """Go on where the file stops, if it belongs to this work; otherwise leave it."""
        if not self.path.is_file():
            return False
        try:
            notes = json.loads(read_metadata(self.path).get(KEY, "{}"))
            if notes.get("fingerprint") != self.fingerprint:
                return False
            work.restore(load_state_dict(self.path), notes["done"], notes["curve"])
        except (FiguraInputError, KeyError, ValueError, RuntimeError) as error:
            log.warning("%s cannot be continued (%s); starting anew", self.path.name, error)
            return False
        log.info("continuing %s at step %d", self.path.name, work.done)
        return True

    def remove(self) -> None:
        """Forget the work, which is finished."""
        self.path.unlink(missing_ok=True)


@torch.no_grad()
def fingerprint(words: Iterable[object], tensors: Iterable[Tensor]) -> str:
    """A digest of settings and tensors: the same only for the same work on the same data."""
    digest = hashlib.sha256(json.dumps([repr(word) for word in words]).encode())
    for tensor in tensors:
        digest.update(str(list(tensor.shape)).encode())
        digest.update(tensor.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()
