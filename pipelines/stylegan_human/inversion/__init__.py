"""From a picture back to a latent, and to a generator that draws it (Roich et al. 2021, "Pivotal Tuning for
Latent-based Editing of Real Images").

``project`` searches the latent, or ``encoder`` reads it off; ``tune`` then moves the generator's weights a
little, until it draws that very picture there. Both are ``Optimisation``s, run, stopped and continued by
``run``.
"""
