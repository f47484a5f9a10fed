"""A reader of pictures that a trainer asks for figures, named on the command line as ``module:function``.

It is called as ``function(pictures, records)`` with uint8 pictures [B, H, W, 3] and, for each, the record
(``people_dataset.Record``) that it should show; it returns ``{name: number}``. Trainers know no reader: they
are told which to ask.
"""

from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any

import numpy as np

from .errors import FiguraInputError

Score = Callable[[np.ndarray, Sequence[Any]], dict[str, float]]


def named(place: str) -> Score | None:
    """The function behind ``module:function``; None for an empty name. A leading dot means this package."""
    if not place:
        return None
    module, _, name = place.partition(":")
    try:
        package = (__package__ or "").rpartition(".")[0] if module.startswith(".") else None
        function: Any = getattr(import_module(module, package), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise FiguraInputError("score", f"'{place}' ({error})", "module:function") from error
    if callable(function):
        return function  # type: ignore[return-value]
    raise FiguraInputError("score", f"'{place}', which is no function", "module:function")
