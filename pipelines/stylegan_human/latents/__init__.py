"""Latents, the values between the two networks: seeds, files, edits, mixtures and walks."""
