"""The differences between ComfyUI 0.3.64 and today's, kept in one place.

Every node file takes ``io`` and ``ui`` from here and builds its schema with ``schema(...)``.
"""

import inspect
from collections.abc import Iterable
from dataclasses import fields
from functools import cache

from comfy_api.latest import ComfyExtension, io, ui

from ..pipelines.common.errors import FiguraInputError

__all__ = ["ComfyExtension", "advanced", "io", "one_of", "schema", "ui"]

_SCHEMA_FIELDS = {field.name for field in fields(io.Schema)}


def schema(**arguments) -> io.Schema:
    """Build ``io.Schema``, leaving out the fields this ComfyUI does not know (``search_aliases``, ...)."""
    return io.Schema(**{name: value for name, value in arguments.items() if name in _SCHEMA_FIELDS})


def advanced(input_type, *args, **arguments):
    """Build an input that newer pages fold away under "advanced"; older pages show it as any other."""
    extra = {"advanced": True} if _knows_advanced(input_type) else {}
    return input_type.Input(*args, **arguments, **extra)


@cache  # asked for every such input at start-up
def _knows_advanced(input_type) -> bool:
    return "advanced" in inspect.signature(input_type.Input.__init__).parameters


def one_of(what: str, value: str, choices: Iterable[str]) -> str:
    """The value of a combo if it is one of its choices: ComfyUI 0.3.64 lets any word through to the node."""
    if value not in choices:
        raise FiguraInputError(what, f"'{value}'", "one of " + ", ".join(choices))
    return value
