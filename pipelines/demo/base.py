"""The tiny bases in the demo: two diffusion models, trained on mannequins, and the people they draw."""

import time
from pathlib import Path

from ..base.configs import GenerateConfig
from ..base.generate import run as generate
from ..common.images import read_image, write_png
from ..common.progress import Progress
from . import DemoResult

SHIPPED = Path(__file__).parent / "models" / "base"
PROMPTS = (
    "a woman with long brown hair, red sweater, blue pants, white shoes, in front of a beige wall",
    "a man with short black hair, yellow t-shirt, green shorts, black boots, in front of a light blue wall",
    "a woman with short blond hair, purple tank top, orange skirt, red shoes, in front of a gray wall",
    "a man with short gray hair, white sweater, black pants, green shoes, in front of a pink wall",
)
EACH = 2


def shipped() -> list[Path]:
    """Folders of the trained bases; the autoencoder that they share lies beside them."""
    return sorted(path for path in SHIPPED.iterdir() if (path / "model_index.json").is_file())


def run(models_dir: Path, out: Path, progress: Progress) -> list[DemoResult]:
    """Draw each prompt twice with each base, through the command line's own code."""
    import torch

    results = []
    for index, path in enumerate(shipped()):
        start = time.perf_counter()
        config = GenerateConfig(list(PROMPTS), path, out / path.name, images=EACH, seed=1)
        pictures = [read_image(file) for file in generate(config)]
        picture = out / f"{path.name}.png"
        write_png(picture, torch.cat(pictures, dim=2)[0])
        results.append(DemoResult(f"Base demo/{path.name}", time.perf_counter() - start, picture))
        progress(index + 1, len(shipped()))
    return results
