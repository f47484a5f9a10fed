"""Tiny Stable Diffusion bases trained from nothing, in the released layouts."""
