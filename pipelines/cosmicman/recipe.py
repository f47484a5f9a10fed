"""The numbers of CosmicMan's published inference recipe."""

STEPS, SCALE = 30, 7.5  # of the README's examples
REFINE_STRENGTH, REFINE_STEPS, REFINE_SCALE = 0.3, 15, 5.0  # img2img's defaults: 15 of 50 steps
REFINE_SEED = 2**32  # added to a picture's seed for the second pass, whose noise must not be the first's
AESTHETIC, NEGATIVE_AESTHETIC = 6.0, 2.5  # scores that SDXL's refiner is conditioned on
