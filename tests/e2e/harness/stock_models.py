"""Tiny files for ComfyUI's own loaders, under the names that the shipped workflows give them."""

from pathlib import Path


def write(models: Path, shipped: list[dict]) -> None:
    """Write every file that a stock loader of ``shipped`` names and no system wrote."""
