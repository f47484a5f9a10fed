"""Model files and input pictures that the shipped workflows name, tiny and written on the spot."""

import importlib
import shutil
from pathlib import Path

import torch
from PIL import Image, ImageDraw
from safetensors.torch import save

from . import graphs, pack, stock_models

DEMO = pack.ROOT / "pipelines" / "demo"


def write_all(base: Path) -> None:
    """Fill ``base/models`` by every system's ``write_models`` and for stock nodes; fill ``base/input``."""
    for path in sorted(DEMO.glob("*.py")):
        system = importlib.import_module(f"comfyui_figura.pipelines.demo.{path.stem}")
        if hasattr(system, "write_models"):
            system.write_models(base / "models")
    shipped = [graphs.load(name) for name in graphs.names()]
    stock_models.write(base / "models", shipped)
    write_broken(base / "models")
    write_pictures(base / "input", shipped)
    write_odd_pictures(base / "input")


BROKEN = {
    "broken_empty.safetensors": b"",
    "broken_page.ckpt": b"<!DOCTYPE html><html><body>Please log in to download</body></html>",
    "broken_other.safetensors": save({"of.another.model": torch.zeros(2)}),
}
PICTURES = ("one_pixel.png", "grey.png", "palette.gif")


def write_broken(models: Path) -> None:
    """Put files that are no models beside the models, for every loader to refuse."""
    for folder in [path for path in models.iterdir() if path.is_dir()]:
        for name, content in BROKEN.items():
            (folder / name).write_bytes(content)


def write_odd_pictures(folder: Path) -> None:
    """One pixel, one channel, and a palette with a transparent colour."""
    Image.new("RGB", (1, 1), (200, 30, 30)).save(folder / "one_pixel.png")
    draw_person(5).convert("L").save(folder / "grey.png")
    draw_person(6).convert("P").save(folder / "palette.gif", transparency=0)


def remove(base: Path) -> None:
    """Take back the space; pytest keeps the folders of three sessions."""
    for name in ("models", "packages", "custom_nodes"):
        shutil.rmtree(base / name, ignore_errors=True)


def write_pictures(folder: Path, shipped: list[dict]) -> None:
    """Draw a person for every name in a LoadImage."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in _names(shipped, "LoadImage", "image") | _names(shipped, "LoadImageMask", "image"):
        if not (folder / name).exists():
            (draw_densepose() if "densepose" in name else draw_person(len(name))).save(folder / name)


def _names(shipped: list[dict], class_type: str, key: str) -> set[str]:
    nodes = [node for graph in shipped for node in graph.values() if node["class_type"] == class_type]
    return {node["inputs"][key] for node in nodes if isinstance(node["inputs"].get(key), str)}


def draw_densepose() -> Image.Image:
    """A raw DensePose IUV picture: any other picture is refused as a pose of Parts2Whole."""
    demo = importlib.import_module("comfyui_figura.pipelines.demo.parts2whole")
    return Image.fromarray((demo.draw_pose()[0] * 255).round().to(torch.uint8).numpy())


def draw_person(seed: int, width: int = 256, height: int = 384) -> Image.Image:
    """A figure of a head, a trunk and four limbs on a transparent ground (RGBA: LoadImage makes its mask)."""
    picture = Image.new("RGBA", (width, height), (0, 0, 0, 0))
    pen = ImageDraw.Draw(picture)
    cloth = ((seed * 71) % 200 + 40, (seed * 37) % 200 + 40, (seed * 53) % 200 + 40, 255)
    skin, x, y = (222, 184, 150, 255), width / 2, height / 8
    for dx in (-1, 1):
        pen.line([(x, 2.2 * y), (x + dx * 0.9 * x / 2, 4 * y)], fill=skin, width=width // 14)
        pen.line([(x, 4.2 * y), (x + dx * 0.3 * x, 7.6 * y)], fill=(40, 50, 90, 255), width=width // 9)
    pen.rectangle([x - 0.3 * x, 1.8 * y, x + 0.3 * x, 4.4 * y], fill=cloth)
    pen.ellipse([x - 0.8 * y, 0.3 * y, x + 0.8 * y, 1.9 * y], fill=skin)
    return picture
