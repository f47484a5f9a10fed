"""The ``figura`` command: ``figura <system> <verb> --flags``, joined from every system's ``COMMANDS``."""

import sys
from importlib import import_module

SYSTEMS = {
    "stylegan": "stylegan_human",
    "cosmicman": "cosmicman",
    "humansd": "humansd",
    "parts2whole": "parts2whole",
    "mannequin": "mannequin",
}
TOP_LEVEL = ("demo",)  # packages whose verbs stand right after ``figura``


def all_commands() -> dict:
    """Return every verb, nested as it is typed: ``{"stylegan": {"generate": ...}, "demo": ...}``."""
    commands = {word: _commands(package) for word, package in SYSTEMS.items()}
    for package in TOP_LEVEL:
        commands |= _commands(package)
    return {word: verbs for word, verbs in commands.items() if verbs}


def _commands(package: str) -> dict:
    return import_module(f".{package}.commands", __package__).COMMANDS


def main() -> None:
    """Run one command; a FiguraInputError ends it with its sentence and exit code 2, without a traceback."""
    import tyro

    from .common.errors import FiguraInputError

    try:
        tyro.extras.subcommand_cli_from_dict(all_commands(), prog="figura")
    except FiguraInputError as error:
        print(f"figura: {error}", file=sys.stderr)
        raise SystemExit(2) from None


if __name__ == "__main__":
    main()
