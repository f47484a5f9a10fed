"""InsetGAN (Frühstück et al. 2022): a face network's face in a body network's body, without a seam."""
