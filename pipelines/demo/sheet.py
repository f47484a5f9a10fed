"""The contact sheet: every picture of the demo on one page, each with its name under it."""

from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from ..common.files import atomic_path
from . import DemoResult

CELL, CAPTION, GAP, COLUMNS = 256, 34, 12, 4
PAPER, INK = (250, 250, 248), (40, 40, 40)


def draw_sheet(results: list[DemoResult], path: Path) -> Path:
    """Draw one cell per result, four to a row, and write the page as PNG; returns ``path``."""
    rows = -(-len(results) // COLUMNS)
    width = COLUMNS * (CELL + GAP) + GAP
    page = Image.new("RGB", (width, rows * (CELL + CAPTION + GAP) + GAP), PAPER)
    draw = ImageDraw.Draw(page)
    for index, result in enumerate(results):
        left = GAP + index % COLUMNS * (CELL + GAP)
        top = GAP + index // COLUMNS * (CELL + CAPTION + GAP)
        _paste_fitted(page, result.picture, left, top)
        caption = f"{result.name}\n{result.seconds:.1f} s"
        draw.multiline_text((left, top + CELL + 4), caption, INK, ImageFont.load_default(12))
    with atomic_path(path) as temporary:
        page.save(temporary, format="PNG")
    return path


def _paste_fitted(page: Image.Image, path: Path, left: int, top: int) -> None:
    """Fit the picture into its cell, centred; small ones are enlarged unsmoothed, to show their pixels."""
    with Image.open(path) as opened:
        picture = opened.convert("RGB")
    scale = CELL / max(picture.size)
    size = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
    picture = picture.resize(size, Image.Resampling.NEAREST if scale > 1 else Image.Resampling.LANCZOS)
    page.paste(picture, (left + (CELL - size[0]) // 2, top + (CELL - size[1]) // 2))
