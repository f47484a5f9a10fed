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


def main() -> None:
    """Run one command; a FiguraInputError ends it with its sentence and exit code 2, without a traceback."""
    import tyro

    from .common.errors import FiguraInputError

    commands = {
        word: import_module(f".{package}.commands", __package__).COMMANDS for word, package in SYSTEMS.items()
    }
    try:
        tyro.extras.subcommand_cli_from_dict(
            {word: verbs for word, verbs in commands.items() if verbs}, prog="figura"
        )
    except FiguraInputError as error:
        print(f"figura: {error}", file=sys.stderr)
        raise SystemExit(2) from None


if __name__ == "__main__":
    main()
