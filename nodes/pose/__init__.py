"""Nodes that detect, convert, change and draw poses."""

NODES: list = []
