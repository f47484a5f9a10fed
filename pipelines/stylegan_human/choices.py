"""The words users choose between, apart from the code behind them, so that lists of nodes cost no imports."""

from typing import Literal

NoiseMode = Literal["const", "random", "none"]
NOISE_MODES: tuple[NoiseMode, ...] = ("const", "random", "none")
BLEND_MODES = ("linear", "spherical")
OPERATIONS = ("add", "subtract")
SPACES = ("z", "w", "w+")
METHODS = ("auto", "logistic", "svm", "ridge")
LATENT_SUFFIXES = (".safetensors", ".pt", ".npz")
DIRECTION_SUFFIXES = (".safetensors", ".pt", ".npy", "series of .pkl")
FITS = ("exact", "pad", "stretch")  # of a picture of another shape than the network's
