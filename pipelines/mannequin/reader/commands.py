"""``figura mannequin train-reader`` and ``figura mannequin read``. No torch at import."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from tyro.conf import arg

from .configs import ReaderConfig


@dataclass(frozen=True)
class ReadConfig:
    """Reading pictures, or measuring the reader itself."""

    images: Path | None = None
    """A folder of pictures of one full-length figure each, twice as high as wide. Without it the reader's own
    accuracy on figures it never saw is measured."""
    captions: Path | None = None
    """JSON lines {"file": …, "caption": …}: how far the pictures show what was asked."""
    reader: Path | None = None
    """Another reader's file; without it the one that the pack ships."""
    through: Path | None = None
    """An autoencoder's folder: the accuracy is that on figures sent through it, the ceiling of whatever is
    drawn behind it."""
    bad_limit: float = 0.01
    """Share of the pictures, and of the captions, that may be unusable: broken, or not twice as high as wide.
    They are left out and named."""
    count: int = 240
    """Figures for the accuracy."""
    out: Path | None = None
    """Write the figures there as JSON too."""


def train_reader(config: Annotated[ReaderConfig, arg(name="")]) -> None:
    """Train the networks that read mannequins (colours, kinds, pose, parts, features)."""
    from dataclasses import asdict

    from ...common.progress import console
    from ...common.training.loop import train
    from .training import ReaderTask

    result = train(ReaderTask(config), config.trainer, console("figures", "sample"), about=asdict(config))
    print(f"{result.steps} updates; {config.trainer.out / 'reader.safetensors'}")


def read(config: Annotated[ReadConfig, arg(name="")]) -> None:
    """Read colours, kinds and pose from pictures of mannequins."""
    import json

    from ...common.files import atomic_path, check_file
    from .reading import SHIPPED, load_reader

    if config.out is not None:
        check_file(config.out)
    reader = load_reader(config.reader or SHIPPED)
    results = _folder(reader, config) if config.images is not None else _own_accuracy(reader, config)
    text = json.dumps(results, indent=1)
    if config.out is not None:
        with atomic_path(config.out) as temporary:
            temporary.write_text(text + "\n")
    print(text)


def _own_accuracy(reader: Any, config: ReadConfig) -> dict[str, Any]:
    from ...common.errors import FiguraInputError
    from .scores import accuracy, attribute_fit, render_distance

    count = config.count
    if not 2 <= count <= 100_000:
        raise FiguraInputError("count", str(count), "2 to 100000 figures")
    if config.through is not None:
        return _behind(reader, config.through, count)
    scores = accuracy(reader, count) | {
        f"r2 {name}": fit for name, fit in attribute_fit(reader, count).items()
    }
    scores |= render_distance(reader)
    return {name: round(value, 4) for name, value in scores.items()}


def _behind(reader: Any, folder: Path, count: int) -> dict[str, Any]:
    """Accuracy on standing (``demo_…``) and ``lively_…`` figures sent through an autoencoder."""
    from ...common import base_model
    from ...common.base_parts import read_module
    from .scores import round_trip_scores

    settings, state = read_module(folder)
    vae: Any = base_model.build_vae(state, settings, folder.name).float()

    def there_and_back(pixels: Any) -> Any:
        return vae.decode(vae.encode(pixels).latent_dist.mean).sample

    return {
        f"{name}_{key}": round(value, 4)
        for world, name in enumerate(("demo", "lively"))
        for key, value in round_trip_scores(reader, there_and_back, count, world).items()
    }


def _folder(reader: Any, config: ReadConfig) -> dict[str, Any]:
    """Readings of a folder; pictures that were left out by name; the scores of the rest."""
    from ...common.bad_samples import BadSamples
    from .folder import picture_names, read_captions, read_folder
    from .scores import caption_scores

    assert config.images is not None
    names, captions = picture_names(config.images), {}
    if config.captions is not None:
        captions = read_captions(config.captions, names, config.bad_limit)
    bad = BadSamples(config.bad_limit, what=config.images.name)
    readings = read_folder(reader, config.images, bad)
    results: dict[str, Any] = {"pictures": {name: _words(reading) for name, reading in readings.items()}}
    results["skipped"] = bad.samples
    asked = [name for name in readings if name in captions]
    if asked:
        scores = caption_scores([readings[name] for name in asked], [captions[name] for name in asked])
        results["scores"] = {name: round(value, 4) for name, value in scores.items()}
    return results


def _words(reading: Any) -> dict[str, Any]:
    points = [[round(float(value), 2) for value in point] for point in reading.keypoints]
    return {"caption": reading.caption, "colors": reading.colors, "kinds": reading.kinds, "keypoints": points}
