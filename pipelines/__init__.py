"""Standalone model code of the four systems: inference and training on torch, with no ComfyUI in it."""
