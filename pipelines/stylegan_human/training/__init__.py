"""Training of StyleGAN2 and StyleGAN3, square or twice as high as wide: ``figura stylegan train``."""
