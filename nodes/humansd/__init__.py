"""The nodes of humansd."""

NODES: list = []
