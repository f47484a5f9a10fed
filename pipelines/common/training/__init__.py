"""The trainer every system shares, on Hugging Face accelerate.

A system writes a ``Task`` (task.py): its modules, its optimisers and one update. ``loop.train`` runs it:
``configs.TrainerConfig`` (no torch) says how long and how often, ``order`` which samples, ``step.Step`` gives
randomness and applies gradients, ``checkpoint`` saves and resumes bit for bit, ``records`` writes what a
person, TensorBoard and ``figura report`` read.
"""
