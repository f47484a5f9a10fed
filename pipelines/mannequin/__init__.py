"""The mannequin world: people drawn by rule, with every attribute known."""
