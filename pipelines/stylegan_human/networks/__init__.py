"""The networks as the papers draw them: z -> ``mapping`` -> ws -> ``synthesis`` -> pixels; ``discriminator``.

``generator`` joins the two halves. ``synthesis`` is what the three generations share, ``synthesis_v1`` to
``synthesis_v3`` are the generations; the other files hold what their layers are made of.
"""
