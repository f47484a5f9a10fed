"""The one exception that tells a user what to change."""


class FiguraInputError(ValueError):
    """An input cannot be used. Says which one, what came, what is wanted, and what to do.

    Args:
        what: the input in the user's words, e.g. ``"skeleton"`` or ``"reference 2, face"`` or a file's name.
        got: what came, with its numbers.
        wanted: what is accepted.
        hint: what to do about it; may be empty when ``wanted`` says it already.
    """

    def __init__(self, what: str, got: str, wanted: str, hint: str = "") -> None:
        self.what, self.got, self.wanted, self.hint = what, got, wanted, hint
        super().__init__(f"{what}: got {got}; wanted {wanted}." + (f" {hint}" if hint else ""))


class FiguraWeightsError(FiguraInputError):
    """A weight file cannot be used: damaged, of another architecture, or hostile."""


class FiguraMissingPackage(FiguraInputError):
    """An optional package is not installed. The hint holds the command that installs it."""

    def __init__(self, package: str, needed_for: str, command: str) -> None:
        super().__init__(needed_for, f"no package '{package}'", "it to be installed", f"Run: {command}")
