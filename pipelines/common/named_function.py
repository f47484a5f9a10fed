"""Functions named on the command line as ``module:function``, so that trainers know no reader and no world:
they are told which to ask. A leading dot means this package.

A score (``--score``) is called as ``function(pictures, records)`` with uint8 pictures [B, H, W, 3] and, for
each, the record (``people_dataset.Record``) that it should show; it returns ``{name: number}``.

A data set (``--data``) may have settings behind its name: ``module:function,count=2000,seed=7``.
"""

import re
from collections.abc import Callable, Sequence
from functools import partial
from importlib import import_module
from inspect import signature
from pathlib import Path
from typing import Any

import numpy as np

from .errors import FiguraInputError

Score = Callable[[np.ndarray, Sequence[Any]], dict[str, float]]
SPELLING = re.compile(r"\.?\w+(\.\w+)*:[A-Za-z_]\w*(,\w+=[^,]+)*")
WANTED = "module:function"


def named(place: str) -> Score | None:
    """The function behind ``module:function``; None for an empty name."""
    return resolve(place, "score") if place else None


def resolve(place: str, what: str, wanted: str = WANTED) -> Callable[..., Any]:
    """What ``place`` names. Raises FiguraInputError, with ``what`` and ``wanted``, if it cannot be had."""
    module, _, name = place.partition(":")
    try:
        package = (__package__ or "").rpartition(".")[0] if module.startswith(".") else None
        function: Any = getattr(import_module(module, package), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise FiguraInputError(what, f"'{place}' ({error})", wanted) from error
    if callable(function):
        return function
    raise FiguraInputError(what, f"'{place}', which is no function", wanted)


def source_named(path: Path) -> Callable[..., Any] | None:
    """The function that ``--data module:function,name=value`` means, with its settings, which are its
    keyword-only arguments; None for a path. Raises FiguraInputError: no such function, unknown settings."""
    text = str(path)
    if path.exists() or not SPELLING.fullmatch(text):
        return None
    place, *words = text.split(",")
    function = resolve(place, "data")
    settings = {name: _value(word) for name, word in (word.split("=", 1) for word in words)}
    known = [
        name for name, given in signature(function).parameters.items() if given.kind is given.KEYWORD_ONLY
    ]
    unknown = sorted(set(settings) - set(known))
    if unknown:
        raise FiguraInputError("data", f"'{text}' with {', '.join(unknown)}", "of " + ", ".join(known))
    return partial(function, **settings)


def _value(word: str) -> int | float | str:
    for kind in (int, float):
        try:
            return kind(word)
        except ValueError:
            continue
    return word
