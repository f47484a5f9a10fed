"""StyleGAN-Human: generate, edit, invert and compose people."""
