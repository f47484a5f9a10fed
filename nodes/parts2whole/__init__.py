"""The nodes of parts2whole."""

NODES: list = []
