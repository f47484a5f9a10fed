"""What ``figura parts2whole generate`` does: a configuration, or a file of settings, to pictures on disk."""

import json
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import torch

from ..common.errors import FiguraInputError, FiguraMissingPackage
from ..common.files import check_folder
from ..common.images import read_image, to_image, write_png
from ..common.processes import find_device, share
from ..common.progress import console
from ..common.seeds import batch_seeds
from .configs import GenerateConfig, PartConfig
from .generate import Settings, check_fits, encode_parts, generate, load, read_pose
from .parts import LABELS, Part, check_parts, check_size, make_part

_POSITIVE = {"steps": 1000, "count": 10000, "batch": 256}
_SCALES = {"guidance": 100, "reference_strength": 10, "image_strength": 10, "pose_strength": 10}


def run(config: GenerateConfig) -> list[Path]:
    """Draw the pictures and return their paths, ``<out>/<seed>.png``."""
    if config.file is not None:
        config = merge(config, read_settings(config.file))
    _check(config)
    parts = read_parts(config)
    pose_image = None if config.pose is None else read_image(config.pose)
    device = find_device(config.device)
    model = load(config.model, device, _dtype(config.dtype, device))  # pyright: ignore[reportArgumentType]
    size, compatible = (config.width, config.height), config.reference_compatible
    check_fits(model, *size)
    pose = None if pose_image is None else read_pose(model.guider, pose_image, size, config.convert_part_map)
    bank = encode_parts(model, parts, *size, compatible, console("references"))
    settings = Settings(
        config.steps,
        config.guidance,
        config.reference_strength,
        config.image_strength,
        config.pose_strength,
    )
    paths = []
    for _, first in share(range(0, config.count, config.batch)):
        seeds = batch_seeds(config.seed + first, min(config.batch, config.count - first))
        pixels = generate(
            model,
            bank,
            config.prompt,
            config.negative,
            pose,
            seeds[0],
            len(seeds),
            settings,
            console("steps"),
        )
        for seed, image in zip(seeds, to_image(pixels), strict=True):
            paths.append(config.out / f"{seed}.png")
            write_png(paths[-1], image)
    return paths


def _check(config: GenerateConfig) -> None:
    """Refuse what cannot work before any model is read."""
    if config.model is None:
        raise FiguraInputError("model", "nothing", "the released Parts2Whole folder", "Give --model FOLDER.")
    check_size(config.width, config.height)
    for name, most in _POSITIVE.items():
        if not 1 <= getattr(config, name) <= most:
            raise FiguraInputError(name, str(getattr(config, name)), f"a whole number from 1 to {most}")
    for name, most in _SCALES.items():
        if not 0 <= getattr(config, name) <= most:
            raise FiguraInputError(name, str(getattr(config, name)), f"a number from 0 to {most}")
    check_folder(config.out)


def read_parts(config: GenerateConfig) -> list[Part]:
    """The parts whose picture is given, read from disk."""
    parts = []
    for label in LABELS:
        given: PartConfig = getattr(config, label.replace(" ", "_"))
        if given.image is None:
            continue
        mask = None if given.mask is None else read_image(given.mask)[..., 0]
        parts.append(
            make_part(_read_alpha(given.image), label, mask, given.weight, given.fit, len(parts) + 1)
        )
    return check_parts(parts)


def _read_alpha(path: Path) -> torch.Tensor:
    """Read a reference picture with its alpha, [1, H, W, 3 or 4] in [0, 1]."""
    import numpy as np
    from PIL import Image

    image = read_image(path)
    with Image.open(path) as picture:
        if "A" not in picture.getbands():
            return image
        return torch.from_numpy(np.asarray(picture.convert("RGBA"), dtype=np.float32) / 255)[None]


def read_settings(path: Path) -> dict[str, Any]:
    """Read a .json or .toml file of settings. Pictures named in it are looked for beside it."""
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise FiguraInputError(
            "file", f"'{path.name}' ({error.strerror})", "a readable .json or .toml file"
        ) from None
    except UnicodeDecodeError:
        raise FiguraInputError(path.name, "a file that is not UTF-8 text", "JSON or TOML") from None
    try:
        found = _parse_toml(text) if path.suffix.lower() == ".toml" else json.loads(text)
    except ValueError as error:
        raise FiguraInputError(path.name, f"text that does not parse ({error})", "JSON or TOML") from None
    if not isinstance(found, dict):
        raise FiguraInputError(path.name, f"a {type(found).__name__}", "an object of settings")
    return _resolve(found, path.parent)


def _parse_toml(text: str) -> dict[str, Any]:
    try:
        import tomllib
    except ImportError:
        raise FiguraMissingPackage(
            "tomllib", "TOML files", "Python 3.11 or newer, or use a JSON file"
        ) from None
    return tomllib.loads(text)


def _resolve(settings: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Labels with spaces become names, paths are taken from the file's folder, a bare path is a picture."""
    paths = {"model", "pose", "out", "image", "mask"}
    resolved = {}
    for key, value in settings.items():
        name = key.replace(" ", "_")
        if key in LABELS or name.replace("_", " ") in LABELS:
            value = {"image": value} if isinstance(value, str) else value
            if not isinstance(value, dict):
                raise FiguraInputError(key, f"{value!r}", "a picture's path, or {image, mask, weight, fit}")
            value = _resolve(value, folder)
        elif name in paths and isinstance(value, str):
            value = folder / value
        resolved[name] = value
    return resolved


def merge(config: Any, settings: dict[str, Any], what: str = "file") -> Any:
    """Return ``config`` with ``settings`` put in; unknown names and wrong types are refused."""
    known = {entry.name for entry in fields(config)}
    unknown = sorted(set(settings) - known)
    if unknown:
        raise FiguraInputError(what, f"unknown setting '{unknown[0]}'", "one of: " + ", ".join(sorted(known)))
    changes = {}
    for name, value in settings.items():
        old = getattr(config, name)
        if isinstance(old, PartConfig):
            changes[name] = merge(old, value, f"{what}: {name}")
        elif isinstance(old, bool | int | float | str) and not _alike(old, value):
            raise FiguraInputError(f"{what}: {name}", f"{value!r}", f"a {type(old).__name__}")
        else:
            changes[name] = float(value) if isinstance(old, float) else value
    return replace(config, **changes)


def _alike(old: Any, value: Any) -> bool:
    """A whole number may stand for a float; True and False may not stand for numbers."""
    if isinstance(old, bool) or isinstance(value, bool):
        return isinstance(old, bool) and isinstance(value, bool)
    return isinstance(value, int | float) if isinstance(old, float) else isinstance(value, type(old))


def _dtype(name: str, device: torch.device) -> torch.dtype:
    if name == "auto":
        return torch.float32 if device.type == "cpu" else torch.float16
    return getattr(torch, name)
