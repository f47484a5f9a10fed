"""The verbs of this system on the command line."""

COMMANDS: dict = {}
