"""The nodes of stylegan_human."""

NODES: list = []
