"""HumanSD's training: pictures with skeletons, varied; the noise loss and its weighting by joints."""
