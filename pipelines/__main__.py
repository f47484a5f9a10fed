"""The ``figura`` command: ``figura <system> <verb> --flags``, joined from every system's ``COMMANDS``."""

import errno
import sys
from importlib import import_module
from typing import NoReturn

SYSTEMS = {
    "stylegan": "stylegan_human",
    "cosmicman": "cosmicman",
    "humansd": "humansd",
    "parts2whole": "parts2whole",
    "base": "base",
    "mannequin": "mannequin",
}
FROM_OUTSIDE = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.ENAMETOOLONG)
"""What a disk may answer at any moment; other errors of the system are ours, and keep their traceback."""
TOP_LEVEL = ("demo", "convert", "common.training")  # packages whose verbs stand right after ``figura``


def all_commands() -> dict:
    """Return every verb, nested as it is typed: ``{"stylegan": {"generate": ...}, "demo": ...}``."""
    commands = {word: _commands(package) for word, package in SYSTEMS.items()}
    for package in TOP_LEVEL:
        commands |= _commands(package)
    return {word: verbs for word, verbs in commands.items() if verbs}


def _commands(package: str) -> dict:
    return import_module(f".{package}.commands", __package__).COMMANDS


def dispatch(commands: dict, words: list[str], prog: str) -> None:
    """Follow ``words`` down the nested verbs, then let tyro read the flags of the one they name."""
    import tyro

    chosen = commands.get(words[0]) if words else None
    if chosen is None:
        asked = words[:1] in (["-h"], ["--help"])
        print(usage(commands, prog), file=sys.stdout if asked else sys.stderr)
        raise SystemExit(0 if asked else 2)
    prog = f"{prog} {words[0]}"
    if isinstance(chosen, dict):
        dispatch(chosen, words[1:], prog)
    else:
        tyro.cli(chosen, args=words[1:], prog=prog)


def usage(commands: dict, prog: str) -> str:
    """The verbs that may follow ``prog``, each with its first line of help."""
    lines = [f"usage: {prog} <command> ...", ""]
    for word, verb in commands.items():
        about = ", ".join(verb) if isinstance(verb, dict) else (verb.__doc__ or "").strip().split("\n")[0]
        lines.append(f"  {word:12} {about}")
    return "\n".join(lines)


def main() -> None:
    """Run one command; a FiguraInputError, or a full or forbidden disk, ends it with one sentence and exit
    code 2, without a traceback."""
    from .common.errors import FiguraInputError

    try:
        dispatch(all_commands(), sys.argv[1:], "figura")
    except FiguraInputError as error:
        _end(str(error))
    except OSError as error:
        if error.errno not in FROM_OUTSIDE:
            raise
        where = f"{error.filename}: " if error.filename else ""
        _end(f"{where}{error.strerror}; what was written before is whole.")


def _end(message: str) -> NoReturn:
    """Say what is wrong on a line of its own, and stop."""
    progress = sys.modules.get(f"{__package__}.common.progress")  # not loaded: no bar, and no torch for this
    if progress is not None:
        progress.clear_bars()
    print(f"figura: {message}", file=sys.stderr)
    raise SystemExit(2)


if __name__ == "__main__":
    main()
