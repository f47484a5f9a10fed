"""The nodes of cosmicman."""

NODES: list = []
