"""Learning rates over a run."""

import math


def cosine_with_warmup(step: int, warmup: int, steps: int, cosine: bool = True, least: float = 0.01) -> float:
    """The factor on the learning rate after ``step`` of ``steps`` updates: a rise over ``warmup``, then a
    cosine down to ``least``, or the full rate."""
    rise = min(1.0, (step + 1) / max(1, warmup))
    fall = 0.5 * (1 + math.cos(math.pi * min(1.0, step / max(1, steps))))
    return rise * (max(least, fall) if cosine else 1.0)
