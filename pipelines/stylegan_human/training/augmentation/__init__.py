"""What stands between pictures and discriminator: ADA's transformations, their strength, StyleGAN3's blur."""
